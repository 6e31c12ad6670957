"""Answers with titles and categories, as the app sends them; everything in one answer is of one model."""

import logging
import math
import uuid
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from tailor.errors import BadInputError
from tailor.serving.about_model import bucket_of, describe, elicit
from tailor.serving.champion import Champion
from tailor.serving.experiment import Assigned, Experiment, ExposureLog
from tailor.serving.faces import ASKED, flat_model
from tailor.serving.reach import Audience, Reach, audience, reach
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Answer, Request, Settings
from tailor.serving.validation import MAX_ID, excerpt, read_id
from tailor.types import JsonObject

log = logging.getLogger(__name__)
#: A model and its version: what one answer is made of.
Answering = tuple[Recommender, str]
_Asked: Any = flat_model("Asked", *ASKED)


class UnknownItemError(BadInputError):
    """An item that is asked for by its id, and that the catalogue does not have."""


class RecommendBody(_Asked):
    """One request with its settings; every field is optional."""


class ItemAnswer(BaseModel):
    """One place of a list."""

    rank: int
    item_id: str
    title: str
    categories: list[str]
    score: float
    bucket: str = ""
    """``new``: no train interactions; ``tail``: few; else nothing."""
    numbers: dict[str, float] = {}
    """Of the columns that can be filtered by; what is missing is left out."""
    reason: str = ""
    explanation: JsonObject | None = None
    propensity: float | None = None
    """Of a list that was drawn: probability of the item at its rank, given those above it."""
    probability: float | None = None
    """On request: that the item is taken up within one validation window."""


class ListAnswer(BaseModel):
    """A list, and how it came about."""

    path: str
    model_version: str
    request_id: str = ""
    """Send it with what follows from the list (``POST /events``)."""
    variant: str | None = None
    """Of an experiment: ``champion`` or ``challenger``; null: the request is in none, as one that names neither
    user nor session."""
    exposures_logged: bool | None = None
    """Whether the server has stored what it listed; null: it was not asked to."""
    unknown_history: int = 0
    unknown_candidates: int = 0
    understood: JsonObject = {}
    items: list[ItemAnswer]
    titles: dict[str, str] = {}
    """Of the items that the request's history, ``exclude`` and the explanations name."""


def recommend(answering: Answering, body: RecommendBody) -> ListAnswer:
    """Answer one request; the list, its titles and the version are of the same model."""
    model, version = answering
    given = body.model_dump(exclude_unset=True)
    request = Request(**_fields_of(Request, given))
    answer = model.recommend([request], Settings(**_fields_of(Settings, given)))[0]
    of_request = [item for item in (*request.history, *request.exclude) if model.items.index(item) >= 0]
    explained = sorted({*of_request, *(item for entry in answer.explanations for item in _named(entry))})
    return ListAnswer(
        path=answer.path,
        model_version=version,
        request_id=answer.request_id,
        unknown_history=answer.unknown_history,
        unknown_candidates=answer.unknown_candidates,
        understood=answer.understood,
        items=_with_chances(_items(model, answer.item_ids, answer.scores, answer.reasons, answer.explanations), answer),
        titles=dict(zip(explained, _titles(model, explained), strict=True)),
    )


def _with_chances(items: list[ItemAnswer], answer: Answer) -> list[ItemAnswer]:
    """Put what the model says of chances beside the items of a list, where it says any."""
    chances = {"propensity": answer.propensities, "probability": answer.probabilities}
    given = {name: values for name, values in chances.items() if values}
    return [item.model_copy(update={name: given[name][row] for name in given}) for row, item in enumerate(items)]


def _named(explanation: JsonObject) -> list[str]:
    """Return the history items that one explanation names."""
    return [*explanation["history"], *explanation.get("because_of", {}).get("items", [])]


def _fields_of(asked: type[BaseModel], given: JsonObject) -> JsonObject:
    return {name: value for name, value in given.items() if name in asked.model_fields}


def recommend_in(
    champion: Champion, body: RecommendBody, experiment: Experiment | None = None, exposures: ExposureLog | None = None
) -> ListAnswer:
    """Answer one request by the arm of its user or session, and store what is listed before it is sent.

    Where either is done, a request that has no name gets one; else the same request has the same answer.

    Args:
        champion: answers who is in no experiment.
        body: the request.
        experiment: None: there is none.
        exposures: None: nothing is stored.
    """
    if (experiment or exposures) and not body.request_id:
        body = body.model_copy(update={"request_id": str(uuid.uuid4())})
    assigned = (
        Assigned(*champion.up_to_date(), None)
        if experiment is None
        else experiment.assign(champion, body.user_id, body.session_id)
    )
    answer = recommend((assigned.model, assigned.version), body)
    answer.variant = assigned.variant
    if exposures is not None:
        listed = [item.model_dump(include={"item_id", "rank", "propensity"}) for item in answer.items]
        answer.exposures_logged = exposures.write(assigned, body.user_id, answer.request_id, listed, body.session_id)
    return answer


def similar(answering: Answering, item_id: str, k: int, scenario: str | None = None) -> ListAnswer:
    """List the k items closest to one, without those that nobody is shown and those that a scenario blocks.

    Raises:
        UnknownItemError: the catalogue does not have the item.
        BadInputError: the model does not have the scenario.
    """
    model, version = answering
    item_ids, scores = model.similar(_known(model, item_id), k, scenario)
    return ListAnswer(path="similar", model_version=version, items=_items(model, item_ids, scores))


def reach_of(answering: Answering, item_id: str, k: int, n_users: int, text: str) -> Reach:
    """Say whom an item reaches, see :func:`tailor.serving.reach.reach`.

    Raises:
        UnknownItemError: the catalogue does not have the item.
    """
    model, version = answering
    return reach(model, _known(model, item_id), version, k, n_users, text)


def users_for(answering: Answering, item_id: str, k: int) -> Audience:
    """List the users whom an item suits best, see :func:`tailor.serving.reach.audience`.

    Raises:
        UnknownItemError: the catalogue does not have the item.
    """
    model, version = answering
    return audience(model, _known(model, item_id), version, k)


def _known(model: Recommender, item_id: str) -> str:
    """Return an id as the catalogue writes it.

    Raises:
        UnknownItemError: the catalogue does not have the item.
    """
    name = read_id(item_id)
    if name is None or model.items.index(name) < 0:
        raise UnknownItemError(f"Unknown item {excerpt(item_id)!r}")
    return name


def remove(champion: Champion, item_id: str) -> int:
    """List an item no more; return how many are removed in all.

    Raises:
        UnknownItemError: the catalogue does not have the item.
    """
    return champion.remove([_known(champion.model, item_id)])


def forget(champion: Champion, user_id: str) -> JsonObject:
    """Know a person no more; say what is left to the pipeline ``forget``.

    The answer is the same whether or not the person was known: it tells nobody who is.

    Raises:
        BadInputError: it is no id.
    """
    try:
        name = read_id(user_id) if len(user_id) <= MAX_ID else None
    except ValueError:
        name = None
    if name is None:
        raise BadInputError(f"The path names no user: write /users/ID with an id of 1 to {MAX_ID} characters")
    n_events = champion.forget(name)
    log.info("A person is known no more; %d events were deleted", n_events)
    return {"suppressed": True, "next": _NEXT}


#: What is to be done after a person was suppressed.
_NEXT = (
    "No server on this database knows the person from its next answer on. Rows of the person that come in a later "
    "run or update are left out. `kedro run --pipelines=forget` takes the history out of the registered package and "
    "lists the files that still hold it; `kedro run` fits everything without it."
)


def _items(
    model: Recommender,
    item_ids: Sequence[str],
    scores: Sequence[float],
    reasons: Sequence[str] = (),
    explanations: Sequence[JsonObject] = (),
) -> list[ItemAnswer]:
    """Put titles and categories beside a list; reasons and explanations may end before it does."""
    titles, categories, numbers = _titles(model, item_ids), _categories(model, item_ids), _numbers(model, item_ids)
    buckets = bucket_of(model, model.item_indices(item_ids))
    return [
        ItemAnswer(
            rank=place + 1,
            item_id=item_id,
            title=titles[place],
            categories=categories[place],
            score=scores[place],
            bucket=buckets[place],
            numbers=numbers[place],
            reason=reasons[place] if place < len(reasons) else "",
            explanation=explanations[place] if place < len(explanations) else None,
        )
        for place, item_id in enumerate(item_ids)
    ]


def _titles(model: Recommender, item_ids: Sequence[str]) -> list[str]:
    """Return the titles of items; their ids where the model has no metadata."""
    if model.metadata is None:
        return list(item_ids)
    return [model.metadata.titles[index] for index in model.item_indices(item_ids)]


def _categories(model: Recommender, item_ids: Sequence[str]) -> list[list[str]]:
    if model.metadata is None:
        return [[] for _ in item_ids]
    return [model.metadata.categories[index] for index in model.item_indices(item_ids)]


def _numbers(model: Recommender, item_ids: Sequence[str]) -> list[dict[str, float]]:
    if model.metadata is None:
        return [{} for _ in item_ids]
    rows = model.metadata.table[model.metadata.numeric_columns].iloc[model.item_indices(item_ids)].to_dict("records")
    return [{str(name): float(value) for name, value in row.items() if math.isfinite(value)} for row in rows]


def about(answering: Answering) -> JsonObject:
    """Say what a request to the model can say."""
    model, version = answering
    return describe(model, version)


def ask_about(answering: Answering, k: int) -> ListAnswer:
    """List the k items whose answers tell most about a new visitor."""
    model, version = answering
    item_ids = elicit(model, k)
    return ListAnswer(path="elicit", model_version=version, items=_items(model, item_ids, [0.0] * len(item_ids)))


def find(answering: Answering, q: str, k: int, scenario: str | None = None) -> list[JsonObject]:
    """Return the first k items, in the catalogue's order, whose title contains every word of ``q``.

    Accents, apostrophes and articles do not count; where no title matches, those a typing error away do. What was
    removed, has expired or is blocked by the scenario is not found.

    Raises:
        BadInputError: the model does not have the scenario.
    """
    model = answering[0]
    metadata, unlisted = model.known_metadata, model.unlisted(scenario)
    listed = [item for item in model.titles.search(q, len(model.items)) if not unlisted[item]]
    return [
        {
            "item_id": model.item_ids[index],
            "title": metadata.titles[index],
            "categories": metadata.categories[index],
        }
        for index in listed[:k]
    ]
