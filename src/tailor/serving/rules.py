"""What editors say of lists: items that stand at a rank, items and categories that are not listed."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field

from tailor.config import Options
from tailor.models.base import Floats, Indices
from tailor.serving.validation import read_id, read_ids, read_side_features
from tailor.topk import EXCLUDED

#: Pins of a request or a scenario, and ids or categories of a block rule.
MAX_PINS, MAX_BLOCKED = 100, 1000


class Pin(Options):
    """An item that stands at a rank, for everybody or for a segment."""

    item_id: Annotated[str, BeforeValidator(read_id)] = Field(description="What stands there.", examples=["i7"])
    rank: Annotated[int, Field(ge=1, le=1000)] = Field(description="Position in the list, from 1 on.", examples=[1])
    segment: Annotated[dict[str, str | bool | int | float], BeforeValidator(read_side_features)] = Field(
        {},
        description="Values that the request's profile or context must have; none: for everybody.",
        examples=[{"gender": "F"}],
    )

    def is_for(self, side_features: Mapping[str, object]) -> bool:
        """Whether a request with these values is of the segment."""
        return all(
            name in side_features and str(side_features[name]) == str(value) for name, value in self.segment.items()
        )


class Block(Options):
    """What is not listed."""

    categories: Annotated[tuple[str, ...], Field(max_length=MAX_BLOCKED)] = Field(
        (), description="Items that are in any of these.", examples=[["Horror"]]
    )
    item_ids: Annotated[tuple[str, ...], Field(max_length=MAX_BLOCKED), BeforeValidator(read_ids)] = Field(
        (), description="Items by id; unknown ones are passed over.", examples=[["i2"]]
    )

    def joined(self, other: "Block") -> "Block":
        """Return what is blocked by either."""
        return Block(
            categories=tuple(dict.fromkeys((*self.categories, *other.categories))),
            item_ids=tuple(dict.fromkeys((*self.item_ids, *other.item_ids))),
        )


def pin(items: Indices, values: Floats, scores: Floats, pins: Sequence[tuple[int, int]]) -> tuple[Indices, Floats]:
    """Return one list with items moved to, or put in at, ranks; it is as long as before.

    What must not be listed (its score is excluded) is not pinned. Of two pins at one rank, the first has it and the
    second comes next.

    Args:
        items: of the list (k,), -1 behind its end.
        values: their scores (k,).
        scores: of the whole catalogue (n_items,).
        pins: internal id and rank, from 1 on, of each.

    Example:
        >>> pin(np.array([4, 2, 3]), np.array([9.0, 8, 7]), np.array([5.0, 6, 8, 7, 9]), [(0, 2)])[0]
        array([4, 0, 2])
    """
    ranks: dict[int, int] = {}
    for item, rank in pins:
        if item >= 0 and scores[item] > EXCLUDED:
            ranks.setdefault(item, rank)
    chosen, behind = [item for item in items.tolist() if item >= 0 and item not in ranks], 0
    for item, rank in sorted(ranks.items(), key=lambda pinned: pinned[1]):
        place = min(max(rank - 1, behind), len(chosen))
        chosen.insert(place, item)
        behind = place + 1
    chosen = chosen[: len(items)]
    pinned, values_of = np.full_like(items, -1), np.full_like(values, EXCLUDED)
    pinned[: len(chosen)] = chosen
    by_item = dict(zip(items.tolist(), values.tolist(), strict=True))
    values_of[: len(chosen)] = [by_item.get(item, float(scores[item])) for item in chosen]
    return pinned, values_of
