"""Exact top-k with ties broken by a seeded order, so that a list never depends on how ids happen to be sorted."""

import numpy as np
from numpy.typing import NDArray

#: Score of what must never be listed.
EXCLUDED = np.float32(-np.inf)


def top_k(
    scores: NDArray[np.float32], k: int, tie_rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k best columns of each row, best first.

    Args:
        scores: shape (B, n_items); ``-inf`` marks excluded items.
        k: list length; capped at n_items.
        tie_rank: a permutation of 0…n_items-1; of two equal scores the item with the lower rank comes first.

    Returns:
        Items (B, k), int64, -1 where fewer than k items are allowed; and their scores (B, k), ``-inf`` there.
    """
    n_rows, n_items = scores.shape
    k = min(k, n_items)
    columns = np.argsort(tie_rank)
    ordered = scores[:, columns]
    chosen = np.argpartition(ordered, n_items - k, axis=1)[:, n_items - k :] if k < n_items else _all(n_rows, n_items)
    cut = np.take_along_axis(ordered, chosen, axis=1).min(axis=1)
    # argpartition picks arbitrary ones among equals at the border; rows where that matters are sorted in full.
    tied = np.flatnonzero((ordered >= cut[:, None]).sum(axis=1) > k)
    if len(tied):
        chosen[tied] = np.argsort(-ordered[tied], axis=1, kind="stable")[:, :k]
    chosen.sort(axis=1)
    values = np.take_along_axis(ordered, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    items = columns[np.take_along_axis(chosen, order, axis=1)]
    items[np.isneginf(values)] = -1
    return items, values


def _all(n_rows: int, n_items: int) -> NDArray[np.int64]:
    return np.tile(np.arange(n_items), (n_rows, 1))
