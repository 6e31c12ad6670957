"""Exact top-k with ties broken by a seeded order, so that a list never depends on how ids happen to be sorted."""

import numpy as np
from numpy.typing import NDArray

#: Score of what must never be listed.
EXCLUDED = np.float32(-np.inf)
#: Stretches of a row per place of a list, and columns from which they pay for a single row.
_STRETCHES, _LONG = 4, 20_000
#: Columns per place of a list from which they pay for several rows, and how many times k of a row may reach the border.
_WIDE, _MANY = 40, 16


def reached_by(scores: NDArray[np.float32], size: int) -> np.float32:
    """Return a finite score that at least ``size`` of ``scores`` (n,) reach, or all that are not excluded.

    The ``size``-th largest of the maxima of stretches is one: one pass, where a selection takes several.
    """
    width = max(1, len(scores) // (_STRETCHES * size))
    best = scores[: len(scores) - len(scores) % width].reshape(-1, width).max(axis=1)
    border = len(best) - size
    border_score = np.partition(best, border)[border] if border >= 0 else EXCLUDED
    return np.float32(max(border_score, np.finfo(np.float32).min))


def top_k(
    scores: NDArray[np.float32], k: int, tie_rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k best columns of each row, best first.

    Args:
        scores: shape (B, n); ``-inf`` marks excluded items.
        k: list length; capped at n.
        tie_rank: distinct numbers, shape (n,); of two equal scores the item with the lower one comes first.

    Returns:
        Columns (B, k), int64, -1 where fewer than k items are allowed; and their scores (B, k), ``-inf`` there.
    """
    n = scores.shape[1]
    k = min(k, n)
    if len(scores) == 1 and n >= _LONG and k > 0:
        return _of_one_row(scores[0], k, tie_rank)
    if k > 0 and n >= _WIDE * k:
        return _by_stretches(scores, k, tie_rank)
    return _by_selection(scores, k, tie_rank)


def ranks_of(
    scores: NDArray[np.float32],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    tie_rank: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return how many columns of their rows :func:`top_k` puts before some cells; of excluded cells n.

    For a cell or a few of each row this is far sooner than the lists.

    Args:
        scores: shape (B, n); ``-inf`` marks excluded items.
        row: of each cell (m,), ascending.
        column: of each cell (m,).
        tie_rank: as of :func:`top_k`.

    Returns:
        (m,), from 0 on.

    Example:
        >>> ranks_of(np.array([[1.0, 3.0, 2.0]], np.float32), np.array([0, 0]), np.array([1, 0]), np.arange(3)).tolist()
        [0, 2]
    """
    values = scores[row, column]
    before = np.zeros(len(row), dtype=np.int64)
    nth = np.arange(len(row)) - np.searchsorted(row, row)  # of its row, so that a row is compared with one cell a time
    for number in range(int(nth.max(initial=-1)) + 1):
        cells = np.flatnonzero(nth == number)
        part = scores if len(cells) == len(scores) else scores[row[cells]]
        border = values[cells, None]
        before[cells] = _count(part > border)
        for cell in np.flatnonzero(_count(part >= border) > before[cells] + 1):
            ties = part[cell] == border[cell]
            before[cells[cell]] += (tie_rank[ties] < tie_rank[column[cells[cell]]]).sum()
    return np.where(np.isneginf(values), scores.shape[1], before)


def _count(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.asarray(np.add.reduce(mask.view(np.int8), axis=1, dtype=np.int32))


def _by_selection(
    scores: NDArray[np.float32], k: int, tie_rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    n = scores.shape[1]
    chosen = np.argpartition(scores, n - k, axis=1)[:, n - k :] if k < n else np.tile(np.arange(n), (len(scores), 1))
    values = np.take_along_axis(scores, chosen, axis=1)
    # argpartition picks arbitrary ones among equals at the border; rows where that matters are sorted in full.
    tied = np.flatnonzero((scores >= values.min(axis=1, initial=np.inf)[:, None]).sum(axis=1) > k)
    if len(tied):
        columns = np.argsort(tie_rank)
        chosen[tied] = columns[np.argsort(-scores[np.ix_(tied, columns)], axis=1, kind="stable")[:, :k]]
        values[tied] = np.take_along_axis(scores[tied], chosen[tied], axis=1)
    order = np.lexsort((tie_rank[chosen], -values), axis=1)
    values = np.take_along_axis(values, order, axis=1)
    items = np.take_along_axis(chosen, order, axis=1)
    items[np.isneginf(values)] = -1
    return items, values


def _by_stretches(
    scores: NDArray[np.float32], k: int, tie_rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Sort what reaches a border that at least k of a row reach; rows where too many do, selected ones."""
    n_rows, n = scores.shape
    width = n // (_STRETCHES * k)
    best = scores[:, : n - n % width].reshape(n_rows, -1, width).max(axis=2)
    border = np.partition(best, best.shape[1] - k, axis=1)[:, best.shape[1] - k]
    reached = scores >= np.maximum(border, np.finfo(np.float32).min)[:, None]
    many = reached.sum(axis=1) > _MANY * k
    reached[many] = False
    row, column = np.nonzero(reached)
    value = scores[row, column]
    order = np.lexsort((tie_rank[column], -value, row))
    row, column, value = row[order], column[order], value[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    listed = place < k
    items, values = np.full((n_rows, k), -1, dtype=np.int64), np.full((n_rows, k), EXCLUDED)
    items[row[listed], place[listed]], values[row[listed], place[listed]] = column[listed], value[listed]
    if many.any():
        items[many], values[many] = _by_selection(scores[many], k, tie_rank)
    return items, values


def _of_one_row(
    scores: NDArray[np.float32], k: int, tie_rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    pool = np.flatnonzero(scores >= reached_by(scores, k))
    border_score = scores[pool]
    order = np.lexsort((tie_rank[pool], -border_score))[:k]
    items, values = np.full((1, k), -1, dtype=np.int64), np.full((1, k), EXCLUDED)
    items[0, : len(order)], values[0, : len(order)] = pool[order], border_score[order]
    return items, values
