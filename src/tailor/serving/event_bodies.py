"""The body that brings events: one, or a list of them, read field by field and refused in a few short sentences."""

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from tailor.errors import BadInputError
from tailor.serving.bodies import BadBodyError, read_list
from tailor.serving.events import Positive
from tailor.serving.faces import Body
from tailor.serving.intent import MAX_QUERY
from tailor.serving.schema import MAX_K
from tailor.serving.validation import MAX_ID, MAX_PROBLEMS, excerpt, read_printable_id, read_words, sentences
from tailor.types import JsonObject

#: Bodies by what they are for.
EXAMPLES: JsonObject = {
    "A purchase": {"kind": "buy", "user_id": "u1", "item_id": "i7", "event_id": "order-17-1"},
    "Several": [{"kind": "rate", "user_id": "u1", "item_id": "i3", "value": 4}, {"kind": "search", "words": "robots"}],
}
#: Events in one call.
MAX_CALL = 1000
#: Seconds since 1970 at which the year 2100 begins: what is larger counts in milliseconds, or is wrong.
_YEAR_2100 = 4_102_444_800
#: Fields that only events of one kind have, and which kind.
_ONLY_OF = {"value": "rate", "words": "search", "rank": "exposure", "propensity": "exposure"}
#: Fields that events of a kind need; those that are not of search need an item.
_NEEDED = {"rate": ("item_id", "value"), "search": ("words",)}


def _read_plain_words(value: object) -> object:
    words = read_words(value)
    if isinstance(words, str) and (not words.strip() or "\0" in words):
        raise ValueError("there are no words, or a character that is none: send what was typed")
    return words.strip() if isinstance(words, str) else words


ShortId = Annotated[str | None, BeforeValidator(partial(read_printable_id, most=MAX_ID))]


class EventBody(Body):
    """One thing that somebody did."""

    kind: Literal[Positive, "not_for_me", "search", "exposure"] = Field(description="What was done.", examples=["buy"])
    event_id: ShortId = Field(
        None, description="Yours; sent twice, the event is stored once. None: one is made.", examples=["order-17-1"]
    )
    occurred_at: Annotated[float | None, Field(ge=0, le=_YEAR_2100)] = Field(
        None, description="Seconds since 1970; none: when it came.", examples=[1764180000.0]
    )
    user_id: ShortId = Field(None, description="Known or new; none: an anonymous visitor.", examples=["u1"])
    session_id: ShortId = Field(
        None,
        description="Of an anonymous visitor: yours, as in the request; beside a `user_id` it is not stored.",
        examples=["s-81f0"],
    )
    item_id: ShortId = Field(None, description="Of every kind but search.", examples=["i7"])
    value: float | None = Field(None, description="Of a rating.", examples=[4.0])
    words: Annotated[str | None, Field(max_length=MAX_QUERY), BeforeValidator(_read_plain_words)] = Field(
        None, description="Of a search.", examples=["slow space opera"]
    )
    request_id: ShortId = Field(None, description="Of the answer that listed the item.", examples=["a1b2"])
    rank: Annotated[int | None, Field(ge=1, le=MAX_K)] = Field(
        None, description="Of an exposure: position in that list, from 1 on.", examples=[1]
    )
    propensity: Annotated[float | None, Field(gt=0, le=1)] = Field(
        None, description="Of an exposure: probability of the item at this rank, where lists are drawn.", examples=[0.2]
    )
    variant: Literal["champion", "challenger"] | None = Field(None, description="Of an experiment.", examples=[None])
    version: ShortId = Field(None, description="Of the model that answered; needed beside a variant.", examples=["3"])

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed = _NEEDED.get(self.kind, ("item_id",))
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing: an event of the kind {self.kind} has one")
        for name, kind in _ONLY_OF.items():
            if getattr(self, name) is not None and self.kind != kind:
                raise ValueError(f"{name} is of {kind} alone: leave it out of an event of the kind {self.kind}")
        if self.kind == "search" and self.item_id is not None:
            raise ValueError("item_id: a search is for words; send what was clicked in its answer as a click")
        if self.variant is not None and self.version is None:
            raise ValueError("version is missing: an event with a variant names the version of the model that answered")
        return self


def read_events(body: bytes) -> list[JsonObject]:
    """Read the body that brings events: ``{...}`` or ``[{...}, ...]``.

    Returns:
        The columns that were given of each, see :class:`tailor.state.events.Event`.

    Raises:
        BadBodyError: with the first ten of what is wrong.
    """
    rows, problems = list[JsonObject](), list[str]()
    sent = read_list(body, MAX_CALL)
    for number, values in enumerate(sent):
        where = f"[{number}]: " if len(sent) > 1 else ""
        if not isinstance(values, dict):
            problems.append(f'{where}{excerpt(values)!r} is no event; write it as {{"kind": "buy", "item_id": ...}}')
            continue
        try:
            rows.append(EventBody.model_validate(values).model_dump(exclude_none=True))
        except ValidationError as problem:
            problems += [where + text for text in sentences(problem.errors(include_url=False), EventBody)]
        except BadInputError as problem:
            problems.append(f"{where}{problem}")
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise BadBodyError(problems[:MAX_PROBLEMS])
    return rows
