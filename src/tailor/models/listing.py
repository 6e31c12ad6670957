"""Top-k lists of any fitted model, block by block."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tailor.models.base import Csr, FittedModel, Mask, Query
from tailor.progress import progress
from tailor.topk import EXCLUDED, top_k

Lists = tuple[NDArray[np.int64], NDArray[np.float32]]


Name = TypeVar("Name", bound=Hashable)


def recommend(
    model: FittedModel,
    query: Query,
    seen: Csr,
    candidate_sets: Mapping[Name, Mask],
    k: int,
    tie_rank: NDArray[np.int64],
    block_users: int = 512,
    label: str = "lists",
) -> dict[Name, Lists]:
    """List the k best items per user and candidate set, scoring each block of users once.

    Memory: about 3 x block_users x n_items x 4 bytes.

    Args:
        model: scores.
        query: whom to list for (B users).
        seen: what lists leave out (B, n_items).
        candidate_sets: masks (n_items,) by name.
        k: length of the lists.
        tie_rank: of two equal scores the item with the lower rank comes first (n_items,).
        block_users: users scored at a time.
        label: of the bar that shows how far it is.

    Returns:
        Per candidate set: items (B, k), -1 for an empty place, and scores (B, k); of equal sets the same arrays.
    """
    same = {mask.tobytes(): name for name, mask in candidate_sets.items()}
    columns = {name: np.flatnonzero(candidate_sets[name]) for name in same.values()}
    sizes = {name: min(k, len(items)) for name, items in columns.items()}
    lists = {name: np.full((len(query), size), -1, dtype=np.int64) for name, size in sizes.items()}
    values = {name: np.full((len(query), size), EXCLUDED) for name, size in sizes.items()}
    parts = query.blocks(block_users)
    for rows, part in progress(parts, label, "block", total=-(-len(query) // block_users)):
        scores = model.score(part)
        scores[seen[rows].nonzero()] = EXCLUDED
        for name, items in columns.items():
            of_set = scores if len(items) == scores.shape[1] else scores[:, items]
            chosen, values[name][rows] = top_k(of_set, k, tie_rank[items])
            lists[name][rows] = np.where(chosen >= 0, items[chosen], -1)
    alike = {name: same[mask.tobytes()] for name, mask in candidate_sets.items()}
    return {name: (lists[of_set], values[of_set]) for name, of_set in alike.items()}
