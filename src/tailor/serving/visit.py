"""A visitor's first minutes with a model, step by step: nothing known, one like, three likes, a wish, not for me, why.

The items come by rule, so that any catalogue can be shown: the most popular item, and the nearest ones to it. The wish
is for the category that comes first on the list of everybody, without one that the liked items have.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import ComparesItems
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Answer, Request, Settings
from tailor.types import JsonObject

#: Items that a visitor likes in the end; of the nearest ones so many are looked through.
_LIKES, _NEAREST = 3, 100


def visit(model: Recommender, k: int = 5) -> list[JsonObject]:
    """Walk through a visit.

    Args:
        model: that answers.
        k: places of each list.

    Returns:
        Six steps: ``step``; ``given`` (what is told to the model, in words); ``path`` of the answer; ``titles`` (at
        most k,); ``note``: why there is no list, or why an item is listed.
    """
    settings = Settings(k=k)
    likes = choose_likes(model)
    nothing = _ask(model, Request(), settings)
    three = _ask(model, Request(history=likes), settings)
    steps = [
        _step(model, "Nothing is known", "", nothing),
        _step(model, "One like", _titles(model, likes[:1]), _ask(model, Request(history=likes[:1]), settings)),
        _step(model, "Three likes", _titles(model, likes), three),
    ]
    first = three.item_ids[:1]
    fewer = _ask(model, Request(history=likes, exclude=first), settings)
    return [
        *steps,
        _in_words(model, likes, nothing, settings),
        _step(model, "Not for me", _titles(model, first), fewer),
        _why(model, likes, first),
    ]


def choose_likes(model: Recommender) -> list[str]:
    """Return the ids of the most popular item that is listed, and of the two nearest to it that anybody knows."""
    known = np.where(model.gone, 0, model.popularity)
    popular = model.item_ids[np.argsort(-known, kind="stable")[: int((known > 0).sum())]].tolist()
    if not popular or not isinstance(model.model, ComparesItems):
        return list(popular[:_LIKES])
    near = model.similar(popular[0], _NEAREST)[0]
    nearest = [item for item, n in zip(near, known[model.item_indices(near)], strict=True) if n > 0]
    return list(dict.fromkeys([popular[0], *nearest, *popular]))[:_LIKES]


def describe(steps: Sequence[JsonObject]) -> str:
    """Return a visit as lines of text: two for each step."""
    lines = []
    for number, step in enumerate(steps, 1):
        given, path = (f": {step['given']}" if step["given"] else ""), (f"  [{step['path']}]" if step["path"] else "")
        lines += [f"{number}. {step['step']}{given}{path}", f"   {'; '.join(step['titles'])}{step['note']}"]
    return "\n".join(lines)


def _ask(model: Recommender, request: Request, settings: Settings) -> Answer:
    return model.recommend([request], settings)[0]


def _titles(model: Recommender, item_ids: Sequence[str]) -> str:
    return "; ".join(_names(model, item_ids))


def _names(model: Recommender, item_ids: Sequence[str]) -> list[str]:
    """Return titles; ids where the model has no metadata."""
    if model.metadata is None:
        return list(item_ids)
    return [model.metadata.titles[row] for row in model.item_indices(item_ids)]


def _step(model: Recommender, name: str, given: str, answer: Answer | None, note: str = "") -> JsonObject:
    titles = [] if answer is None else _names(model, answer.item_ids)
    return {"step": name, "given": given, "path": "" if answer is None else answer.path, "titles": titles, "note": note}


def _in_words(model: Recommender, likes: Sequence[str], nothing: Answer, settings: Settings) -> JsonObject:
    """Ask in words for another category than the liked items have, and against one of theirs; else for a title."""
    if model.metadata is None or model.encoder_of is None or model.no_encoder:
        return _step(model, "A wish", "", None, "This model takes no words.")
    words = query_by_category(model, likes, nothing.item_ids) or _query_by_title(model, nothing.item_ids)
    if not words:
        return _step(
            model, "A wish", "", None, "The items of this model have neither categories nor titles to ask for."
        )
    answer = _ask(model, Request(history=tuple(likes), query=words), settings)
    return _step(model, "A wish", f"“{words}”", answer)


def query_by_category(model: Recommender, likes: Sequence[str], listed: Sequence[str]) -> str:
    """Return a wish in words; empty where the categories do not make one.

    Args:
        model: whose items have categories.
        likes: ids of the liked items.
        listed: ids of the list that everybody gets, the best first.
    """
    if model.metadata is None:
        return ""
    categories = model.metadata.categories
    liked = Counter(name for row in model.item_indices(likes) for name in categories[row])
    every = [*model.item_indices(listed).tolist(), *range(len(categories))]
    category = next((name for row in every for name in categories[row] if name not in liked), None)
    return f"{category}, but no {liked.most_common(1)[0][0]}" if category is not None and liked else ""


def _query_by_title(model: Recommender, listed: Sequence[str]) -> str:
    """Return a wish for something like the last listed item that has a title; empty where none has."""
    title = next((title for title in reversed(_names(model, listed)) if title), "")
    return f"something like {title}" if title else ""


def _why(model: Recommender, likes: Sequence[str], listed: Sequence[str]) -> JsonObject:
    """Say why an item is listed, by the model's explanation of it."""
    given = _titles(model, listed)
    if not listed or not isinstance(model.model, HybridScorer):
        return _step(model, "Why", given, None, "The scores of this model cannot be taken apart.")
    (answer,) = model.recommend([Request(history=likes, candidates=listed)], Settings(k=1, explain=True))
    explanation = answer.explanations[0]
    carried = f"{explanation['history_share']:.0%} of what lifts it comes from the likes"
    if "because_of" not in explanation:
        return _step(model, "Why", given, None, f"{answer.reasons[0].replace('_', ' ')}; {carried}.")
    because = explanation["because_of"]
    *before, last = _names(model, because["items"])
    named = f"{'; '.join(before)} and {last}" if before else last
    return _step(model, "Why", given, None, f"Because of {named} ({because['reason'].replace('_', ' ')}); {carried}.")
