"""What is asked and what is answered, defined once.

From the fields below are made MLflow's signature (:mod:`tailor.serving.mlflow_model`), the HTTP body, the page's form
and the tables of the documentation (:mod:`tailor.serving.faces`), and scenarios (:mod:`tailor.serving.scenario`). A new
field is written here, and read where it has its effect; nothing else names it.

``python -m tailor.serving.schema`` prints the tables of docs/pipelines/inference.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tailor.config import Options
from tailor.data.item_times import MAX_DAYS
from tailor.errors import did_you_mean
from tailor.rerank import MinExposure, RerankOptions, registered_rerankers
from tailor.serving.intent import MAX_QUERY
from tailor.serving.rules import MAX_PINS, Block, Pin
from tailor.serving.validation import (
    MAX_ID,
    Validated,
    excerpt,
    property_of,
    read_filters,
    read_id,
    read_ids,
    read_numbers,
    read_printable_id,
    read_side_features,
    read_texts,
    read_words,
    refuse_unreadable,
)
from tailor.types import JsonObject

MAX_K = 10_000
MAX_ITEMS = 10_000
#: Texts of a user in one request, and signs of each.
MAX_TEXTS, MAX_TEXT = 20, 2000


@dataclass(frozen=True)
class Http:
    """Bounds that hold over HTTP, beside the field's own."""

    max_length: int | None = None
    """Entries of a list or mapping."""
    le: float | None = None
    """Largest number."""


@dataclass(frozen=True)
class OnPage:
    """How the page shows a field, where its type does not say it."""

    widget: str = ""
    """``items``: a search for titles, each adding an id; ``excluded``: items that rows add; ``rule``: what is not
    listed, as JSON; ``words``: the line that has the focus; ``lines``: a text on each; ``user``: who asks; ``columns``,
    ``conditions``, ``preset``: the model's side features, filters and scenarios."""
    start: Any = None
    """Value when the page opens; None: nothing is sent until the person sets something."""
    more: bool = False
    """Whether the field stands among those that are folded away."""
    for_all: bool = False
    """Whether it says nothing of who asks, so that it holds for the list that everybody gets, too."""


Id = Annotated[str | None, BeforeValidator(read_id)]
Ids = Annotated[tuple[str, ...], Field(max_length=MAX_ITEMS), BeforeValidator(read_ids), Http(max_length=1000)]
Weight = Annotated[float, Field(gt=0, le=100)]
Weights = Annotated[
    tuple[Weight, ...], Field(max_length=MAX_ITEMS), BeforeValidator(read_numbers), Http(max_length=1000)
]
SideFeatures = Annotated[
    dict[str, str | bool | int | float],
    BeforeValidator(read_side_features),
    Http(max_length=20),
    OnPage("columns", more=True),
]
Texts = Annotated[
    tuple[Annotated[str, Field(max_length=MAX_TEXT)], ...],
    Field(max_length=MAX_TEXTS),
    BeforeValidator(read_texts),
    Http(max_length=MAX_TEXTS),
]
Boost = Annotated[float | None, Field(ge=0, le=1)]
_READ_REQUEST_ID = partial(read_printable_id, most=200)
_READ_SESSION_ID = partial(read_printable_id, most=MAX_ID)


#: Temperatures below it would draw the best list anyway, with chances that no number of eight bytes can tell from 1.
MIN_TEMPERATURE = 0.01

#: Settings that move a hybrid between accuracy and exposure.
BOOSTS = frozenset({"tail_boost", "popularity_debias", "cold_boost"})
_NUMBERS = ("integer", "number")
#: What a field of an earlier version is called now.
RENAMED = {"diversity": "diversity is no longer a setting: write rerank: {{method: mmr, strength: {value}}}"}


def read_given(model: type[BaseModel], values: object) -> Any:
    """Return the fields that are given: None says that one is not.

    Args:
        model: whose fields they are.
        values: what is read.

    Raises:
        ValueError: a field of an earlier version, with what to write instead; a text or a number that is none; a truth
            value where a number stands.
    """
    if not isinstance(values, Mapping):
        return values
    for name in RENAMED.keys() & values.keys():
        raise ValueError(RENAMED[name].format(value=excerpt(values[name])))
    known = model.model_fields
    given = {name: value for name, value in values.items() if value is not None or name not in known}
    for name, value in given.items():
        refuse_unreadable(value, (name,))
        if isinstance(value, bool) and name in known and property_of(model, (name,)).get("type") in _NUMBERS:
            raise ValueError(f"{name} = {value} is not a number")
    return given


#: Fields of requests that a scenario may have, too; they join those of each request.
OF_SCENARIOS = ("filters", "pins", "block")


class PresentNames(Validated):
    """Base of what is asked: None is not given, and fields of an earlier version are refused by their names."""

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: object) -> Any:
        return read_given(cls, values)


class Request(PresentNames):
    """Who asks for what: a known user, a list of consumed items, words, any of them together, or none.

    Example:
        >>> Request(history=["i1", "i5"], query="slow space opera, no romance").history
        ('i1', 'i5')
    """

    model_config = ConfigDict(allow_inf_nan=False)

    user_id: Annotated[Id, Field(title="User"), OnPage("user")] = Field(
        None,
        description="A known user's history is looked up, and what anybody did since (`POST /events`); an unknown id"
        " without events is treated like none.",
        examples=["u1"],
    )
    history: Annotated[Ids, OnPage("items")] = Field(
        (),
        title="Things you liked",
        description="Item ids, oldest first, added to what is known of the user; unknown ones are counted and left out."
        " It is answered by one fold-in, nothing is retrained.",
        examples=[["i1", "i5"]],
    )
    candidates: Annotated[Ids, OnPage(more=True, for_all=True)] = Field(
        (),
        description="Item ids that the list is chosen from; none: the whole catalogue. Unknown ones are counted.",
        examples=[["i2", "i3", "i4"]],
    )
    exclude: Annotated[Ids, OnPage("excluded", for_all=True)] = Field(
        (), title="Not for me", description="Item ids that must not be listed.", examples=[["i2"]]
    )
    weights: Annotated[Weights, OnPage(more=True)] = Field(
        (), description="Confidence of each item of the history, in its order; none: 1 each.", examples=[[1.0, 0.5]]
    )
    events: Annotated[Ids, OnPage(more=True)] = Field(
        (),
        description="Kind of each item of the history, in its order (view, buy), in place of weights: it counts by the"
        " strength that the kind had in the fit, and what it speaks against is not listed.",
        examples=[["view", "buy"]],
    )
    query: Annotated[str, Field(max_length=MAX_QUERY), BeforeValidator(read_words), OnPage("words")] = Field(
        "",
        title="What would you like?",
        description="Plain words: categories, titles, years and other numbers of the catalogue, negations and degrees"
        " in them are understood; the answer says how.",
        examples=["slow space opera, no romance"],
    )
    profile: Annotated[SideFeatures, OnPage("columns")] = Field(
        {},
        title="About you",
        description="Features of the user, by the columns of `feature_engineering.profile`, in place of what is stored."
        " Values that no train user has are ignored.",
        examples=[{"age": 31, "gender": "F"}],
    )
    context: SideFeatures = Field(
        {},
        description="Features of the situation (device, hour, shop), by the columns of `feature_engineering.context`.",
        examples=[{"context_device": "tv"}],
    )
    filters: Annotated[
        JsonObject, BeforeValidator(read_filters), Http(max_length=20), OnPage("conditions", for_all=True)
    ] = Field(
        {},
        description="`categories`: any of a list; a numeric column of the items table: its `min` and `max`.",
        examples=[{"categories": ["Drama"], "year": {"min": 1990, "max": 1999}}],
    )

    user_text: Annotated[Texts, OnPage("lines", more=True)] = Field(
        (),
        title="What you wrote",
        description="Comments, reviews or past searches of the user, evidence of taste beside the history; what is"
        " stored of a known user is joined. A model that was fitted on no such texts refuses them: `query` is for what"
        " is looked for now.",
        examples=[["slow films about the sea", "loved the long silences"]],
    )
    pins: Annotated[tuple[Pin, ...], Field(max_length=MAX_PINS), OnPage("json", more=True)] = Field(
        (),
        description="Items that stand at a rank, each for everybody or for a `segment`. What must not be listed is not"
        " pinned. Those of a scenario come first.",
        examples=[[{"item_id": "i7", "rank": 1}]],
    )
    block: Annotated[Block | None, OnPage("rule", more=True)] = Field(
        None,
        description="Items, and categories, of which nothing is listed; what a scenario blocks is blocked too.",
        examples=[{"categories": ["Horror"], "item_ids": ["i2"]}],
    )

    request_id: Annotated[str | None, BeforeValidator(_READ_REQUEST_ID), OnPage(more=True)] = Field(
        None,
        title="Request",
        description="Your name of this request, which the answer and its exposures carry; a draw (`explore`) depends on"
        " it, so give each request one of its own. None: one is made where a list is drawn, an experiment runs or the"
        " server stores what it lists.",
        examples=["3f1c9a52"],
    )
    session_id: Annotated[str | None, BeforeValidator(_READ_SESSION_ID), OnPage(more=True)] = Field(
        None,
        title="Session",
        description="Of a visitor without `user_id`, your name of the visit: in an experiment it stands for the user,"
        " so that all answers of a session come from one model. Lists do not depend on it; beside a `user_id` it is not"
        " stored.",
        examples=["s-81f0"],
    )
    domain: Annotated[str | None, Field(max_length=50), OnPage(more=True, for_all=True)] = Field(
        None,
        description="Of a model of several catalogues, the one whose items are listed; none: those of all. The history"
        " may hold items of any.",
        examples=["beauty"],
    )

    @model_validator(mode="after")
    def _one_weight_per_item(self) -> Self:
        if self.weights and len(self.weights) != len(self.history):
            raise ValueError(f"weights: {len(self.weights)} for a history of {len(self.history)}; give one per item")
        if self.events and len(self.events) != len(self.history):
            raise ValueError(f"events: {len(self.events)} for a history of {len(self.history)}; give one per item")
        if self.events and self.weights:
            raise ValueError("events and weights both say how sure the history is; give one of them")
        return self

    def behind(self, earlier: Mapping[str, float], left_out: Sequence[str]) -> Self:
        """Return the request with items before its history, and more that must not be listed.

        Args:
            earlier: confidence by item, oldest first; none of them is in the history.
            left_out: item ids.
        """
        weights = (*earlier.values(), *(self.weights or (1.0,) * len(self.history)))
        changed = {
            "history": (*earlier, *self.history),
            "weights": weights if any(weight != 1 for weight in weights) else (),
            "exclude": (*self.exclude, *left_out),
        }
        return self.model_copy(update=changed)


def _methods() -> list[str]:
    return ["none", *registered_rerankers()]


def _known_method(name: str) -> str:
    """Refuse a re-ranker that is not registered."""
    known = _methods()
    if name not in known:
        raise ValueError(f"no re-ranker '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    return name


class Rerank(Options):
    """Choose the list from the best candidates so that it is also varied, calibrated or deeper."""

    method: Annotated[str, AfterValidator(_known_method)] = Field(
        title="Method",
        description="Name of a re-ranker; `none` lists the best scores.",
        examples=["mmr"],
        json_schema_extra=lambda schema: schema.update(enum=[*_methods()]),
    )
    strength: Annotated[float, Field(ge=0, le=1)] = Field(
        title="Strength", description="0: the list as it is; 1: relevance no longer counts.", examples=[0.3]
    )

    def options(self) -> RerankOptions | None:
        """Return the re-ranker's options; None where the list stays as it is."""
        if self.method == "none" or not self.strength:
            return None
        return RerankOptions.model_validate(self.model_dump())


class Settings(PresentNames):
    """How to answer, the same for all requests of a call. What is None (or left out) is not set."""

    model_config = ConfigDict(allow_inf_nan=False)

    k: Annotated[int, Field(ge=1, le=MAX_K), Http(le=1000), OnPage(more=True, for_all=True)] = Field(
        20, title="Length", description="Longest list.", examples=[10]
    )
    exclude_seen: Annotated[bool, OnPage(more=True)] = Field(
        True,
        title="leave out what is known",
        description="Leave out what is known of the user, and the request's history.",
        examples=[False],
    )
    tail_boost: Boost = Field(
        None,
        title="Long tail",
        description="Lift of tail items; none: the model's operating point; 0: the accuracy ranking.",
        examples=[0.5],
    )
    popularity_debias: Boost = Field(
        None,
        title="Personal",
        description="Share of the population's score that is taken off a user's; none: the model's operating point.",
        examples=[0.4],
    )
    cold_boost: Boost = Field(
        None,
        title="New items",
        description="Lift of items without train interactions; none: the model's operating point.",
        examples=[0.5],
    )
    min_score: Annotated[float | None, OnPage(more=True)] = Field(
        None, description="List nothing that scores less.", examples=[0.1]
    )
    rerank: Rerank | None = Field(
        None, title="Re-ranking", description=str(Rerank.__doc__), examples=[{"method": "mmr", "strength": 0.3}]
    )
    half_life: Annotated[float | None, Field(gt=0), OnPage(more=True)] = Field(
        None,
        description="Items after which a weight has halved, counted from the latest; stored items come before the"
        " request's and fade too, where their order is known.",
        examples=[5.0],
    )
    scenario: Annotated[str | None, Field(max_length=100), OnPage("preset")] = Field(
        None,
        description="One of the model's named settings (`evaluation.scenarios`, and `balance`, which evaluation"
        " chooses); its boosts are steps from the operating point toward 1; what a request sets itself comes before"
        " them.",
        examples=["balance"],
    )
    explain: Annotated[bool, OnPage(start=True)] = Field(
        False,
        title="say why",
        description="Say which sources, items of the history and words carried each score.",
        examples=[True],
    )
    min_exposure: Annotated[MinExposure | None, OnPage(more=True)] = Field(
        None,
        title="Places kept",
        description="Places of 20 kept for `new` items (without train interactions) and for `tail` items, of a list of"
        " k ⌊places · k / 20⌋: the best-scored ones take the place of the lowest-ranked others; where there are fewer,"
        " as many as there are. It comes after re-ranking.",
        examples=[{"new": 2, "tail": 4}],
    )

    explore: Annotated[float | None, Field(ge=0, le=100), OnPage(more=True)] = Field(
        None,
        title="Exploration",
        description="Temperature at which the list is drawn from the 200 best candidates (Plackett-Luce), in units of"
        " scores: 0 or none lists the best; the answer says how likely each item was at its rank. Neither re-ranking,"
        " `min_exposure`, `rank_by` nor pins go with it.",
        examples=[0.2],
    )
    probability: Annotated[bool, OnPage(more=True)] = Field(
        False,
        title="say how likely",
        description="Say the probability that each item is taken up within one validation window, by the click head.",
        examples=[True],
    )

    rank_by: Annotated[Literal["score", "trending", "newest"], OnPage(more=True, for_all=True)] = Field(
        "score",
        title="Rank by",
        description="`score`: what suits who asks. The same for everybody: `trending`, by the users who took an item in"
        " the last `window_days`, events included; `newest`, by the release date that the catalogue names, else by the"
        " first interaction. What is known, filters, words, pins and block rules hold as ever.",
        examples=["trending"],
    )
    window_days: Annotated[int, Field(ge=1, le=MAX_DAYS), OnPage(more=True, for_all=True)] = Field(
        7, description="Days before the newest interaction that `trending` looks at.", examples=[14]
    )

    @model_validator(mode="after")
    def _draws_alone(self) -> Self:
        if not self.explore:
            return self
        if self.explore < MIN_TEMPERATURE:
            raise ValueError(f"explore = {self.explore:g}: write 0 for the best list, or {MIN_TEMPERATURE:g} and more")
        is_set = {
            "rerank": self.rerank is not None and self.rerank.options() is not None,
            "min_exposure": self.min_exposure is not None,
            "rank_by": self.rank_by != "score",
        }
        beside = [name for name, chosen in is_set.items() if chosen]
        if beside:
            raise ValueError(
                f"explore: a list is either drawn or chosen by {' and '.join(beside)}, since a chance is known of draws"
                f" alone; leave {' and '.join(beside)} out, or set explore to 0"
            )
        return self

    def boosts(self) -> dict[str, float]:
        """Return the boosts that are set."""
        values = {name: getattr(self, name) for name in sorted(BOOSTS)}
        return {name: value for name, value in values.items() if value is not None}


class Answer(Validated):
    """A ranked list and how it came about."""

    item_ids: list[str] = Field(description="The list, best first.", examples=[["i7", "i3"]])
    scores: list[float] = Field(description="Of each item.", examples=[[2.1, 1.9]])
    path: str = Field(
        description="What the list stands on: `known_user` (the stored history, and events), `fold_in` (the request's"
        " history), `query` (words),"
        " `not_understood` (words that say nothing of this catalogue: the list is what it would be without them),"
        " `user_text`, `profile`, `context`, or `popular` (popularity carried most of the scores, or nothing is"
        " known); `trending` or `newest` where the settings rank by that.",
        examples=["fold_in"],
    )
    unknown_history: int = Field(0, description="Items of the history that the catalogue does not have.", examples=[0])
    unknown_candidates: int = Field(
        0, description="Items of the candidates that the catalogue does not have.", examples=[0]
    )
    reasons: list[str] = Field(
        [],
        description="What carried each score most: `taken_together`, `taken_next`, `similar_text`, `own_words`,"
        " `context`, `profile`, `popular`, `query`, `category`.",
        examples=[["taken_together", "similar_text"]],
    )
    understood: JsonObject = Field(
        {},
        description="What was read out of the words: `wanted` categories, those that the text is `about` without naming"
        " them, `excluded_categories`, `excluded_phrases` that no listed item says, what is wanted `softer`, `negated`"
        " phrases that items are moved down by, titles to be `like`, `filters`, and the `text` that is compared;"
        " empty where nothing was. From MLflow as JSON.",
        examples=[{"wanted": ["Sci-Fi"], "excluded_categories": ["Romance"]}],
    )
    request_id: str = Field(
        "", description="The request's, or the one that was made for a draw; else empty.", examples=["3f1c9a52"]
    )
    propensities: list[float] = Field(
        [],
        description="Of a list that was drawn: the probability of each item at its rank, given those above it.",
        examples=[[0.41, 0.22]],
    )
    probabilities: list[float] = Field(
        [],
        description="On request: the probability that each item is taken up within one validation window.",
        examples=[[0.031, 0.012]],
    )
    explanations: list[JsonObject] = Field(
        [],
        description="Per item, on request: parts that sum to its score, and the history items it is listed because of;"
        " from MLflow each as JSON.",
        examples=[[]],
    )


if __name__ == "__main__":
    from tailor.serving.faces import tables

    print(tables())
