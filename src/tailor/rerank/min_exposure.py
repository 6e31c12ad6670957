"""Places that a list keeps for items that are new, and for items of the tail, whatever the others score.

A constraint, not a re-ranker: it comes after any of them. In place of the lowest-ranked items that no minimum needs
come the best-scored items of the class that is short. What stays keeps its order; what comes in stands behind it, best
first. A list that has enough is not touched, and where a class has fewer items than asked for, all of them are listed.
"""

from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tailor.config import Options
from tailor.models.base import Mask
from tailor.rerank.base import Lists, Scores
from tailor.topk import EXCLUDED, top_k

#: Places of the list that a minimum is stated for.
OF = 20
Places = Annotated[int, Field(ge=0, le=OF)]


class MinExposure(Options):
    """At least so many new and tail items in each list, stated for a list of 20."""

    new: Places = Field(0, title="New", description="Of 20 places, for items without train interactions.", examples=[2])
    tail: Places = Field(0, title="Tail", description="Of 20 places, for items of the tail.", examples=[4])

    @model_validator(mode="after")
    def _fit_into_a_list(self) -> Self:
        if self.new + self.tail > OF:
            raise ValueError(f"new + tail = {self.new + self.tail} places of {OF}: ask for {OF} at most")
        return self

    def of_length(self, k: int) -> dict[str, int]:
        """Return the places of each class in a list of k, ⌊places · k / 20⌋.

        Example:
            >>> MinExposure(new=2, tail=4).of_length(10)
            {'new': 1, 'tail': 2}
        """
        return {"new": self.new * k // OF, "tail": self.tail * k // OF}


def best_of(scores: Scores, members: Mask, count: int, tie_rank: NDArray[np.int64]) -> tuple[Lists, Scores]:
    """Return the best items of a class for each user, (B, count) or fewer columns; -1 where none is left.

    Args:
        scores: of all items (B, n_items), ``-inf`` of what must not be listed.
        members: the items of the class (n_items,).
        count: how many.
        tie_rank: of two equal scores the item with the lower rank comes first (n_items,).
    """
    columns = np.flatnonzero(members)
    if not count or not len(columns):
        return np.zeros((len(scores), 0), np.int64), np.zeros((len(scores), 0), np.float32)
    items, values = top_k(scores[:, columns], count, tie_rank[columns])
    return np.where(items >= 0, columns[items], -1), values


def ensure_exposure(
    items: Lists,
    scores: Scores,
    members: Mapping[str, Mask],
    best: Mapping[str, tuple[Lists, Scores]],
    minimum: Mapping[str, int],
) -> tuple[Lists, Scores]:
    """Return lists that hold at least so many items of each class, as far as there are so many.

    Args:
        items: lists (B, k), best first, -1 for an empty place.
        scores: theirs (B, k), ``-inf`` in empty places.
        members: the items of each class (n_items,); no item is of two.
        best: the best items of each class (B, at least ``minimum``), as of :func:`best_of`.
        minimum: items of each class; together k at most.

    Returns:
        Items and scores (B, k); rows that have enough are those that came in.
    """
    items, scores = items.copy(), scores.copy()
    for row in range(len(items)):
        needed, joining = np.zeros(items.shape[1], dtype=bool), list[tuple[float, int]]()
        for name, least in minimum.items():
            listed = np.flatnonzero((items[row] >= 0) & members[name][items[row]])
            needed[listed[:least]] = True
            missing = max(0, least - len(listed))
            others, values = (part[row] for part in best[name])
            free = (others >= 0) & ~np.isin(others, items[row])
            joining += list(zip(values[free][:missing].tolist(), others[free][:missing].tolist(), strict=True))
        if joining:
            items[row], scores[row] = _put_behind(items[row], scores[row], needed, joining)
    return items, scores


def _put_behind(items: Lists, scores: Scores, needed: Mask, joining: list[tuple[float, int]]) -> tuple[Lists, Scores]:
    """Return one list (k,) without the lowest-ranked items that are not needed, and with those that join behind it."""
    staying = items >= 0
    surplus = int(staying.sum()) + len(joining) - len(items)
    if surplus > 0:
        staying[np.flatnonzero(staying & ~needed)[-surplus:]] = False
    joining = sorted(joining, key=lambda item: -item[0])
    listed = [*items[staying].tolist(), *(item for _, item in joining)]
    values = [*scores[staying].tolist(), *(score for score, _ in joining)]
    rest = len(items) - len(listed)
    return (
        np.array(listed + [-1] * rest, dtype=items.dtype),
        np.array(values + [EXCLUDED] * rest, dtype=scores.dtype),
    )
