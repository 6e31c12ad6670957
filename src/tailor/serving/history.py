"""From the ids of requests to rows of the catalogue: what is known of each user, in order, and how sure it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.interactions import binary
from tailor.serving.schema import Request, Settings

Matrix = sparse.csr_matrix


@dataclass(frozen=True)
class HistoryBatch:
    """Histories of a block of requests."""

    items: Matrix
    """(B, n_items); values order each row's items."""
    weights: Matrix | None
    """Confidence of the same cells; None: 1 each."""
    given: NDArray[np.int64]
    """Items of each request's own history that the catalogue has (B,)."""
    unknown: NDArray[np.int64]
    """Items of it that the catalogue does not have (B,)."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Items per row (B,)."""
        return np.asarray(np.diff(self.items.indptr), dtype=np.int64)


def named(
    lists: Sequence[Sequence[str]],
    place_of: Mapping[str, int],
    n_items: int,
    values: Sequence[Sequence[float]] | None = None,
) -> tuple[Matrix, NDArray[np.int64]]:
    """Return lists of external ids as rows (B, n_items), 1 or the latest value each, and how many are unknown."""
    lengths = np.array([len(ids) for ids in lists], dtype=np.int64)
    if not lengths.any():
        nothing = (np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(len(lists) + 1, np.int64))
        return sparse.csr_matrix(nothing, shape=(len(lists), n_items)), lengths
    rows = np.repeat(np.arange(len(lists)), lengths)
    items = np.array([place_of.get(item, -1) for ids in lists for item in ids], dtype=np.int64)
    data = np.ones(len(rows)) if values is None else np.concatenate([np.asarray(row, np.float64) for row in values])
    found = items >= 0
    keys = (rows * n_items + items)[found][::-1]
    keys, latest = np.unique(keys, return_index=True)
    data = data[found][::-1][latest].astype(np.float32)
    indptr = np.searchsorted(keys, np.arange(len(lists) + 1) * n_items)
    matrix = sparse.csr_matrix((data, keys % n_items, indptr), shape=(len(lists), n_items))
    return matrix, np.bincount(rows[~found], minlength=len(lists))


def join(
    history: Matrix,
    users: NDArray[np.int64],
    requests: Sequence[Request],
    settings: Settings,
    place_of: Mapping[str, int],
    ordered: bool = True,
) -> HistoryBatch:
    """Join what is known of users with what requests tell, which comes later.

    Args:
        history: of all users (U, n_items), values in order.
        users: rows of it (B,), -1 where nobody is known.
        requests: (B,).
        settings: half_life.
        place_of: internal ids of items.
        ordered: whether anybody reads the order; else the items of requests have the value 1.
    """
    n_items, lists = history.shape[1], [r.history for r in requests]
    if (users >= 0).any():
        known = sparse.csr_matrix(history[np.maximum(users, 0)].multiply((users >= 0)[:, None]), dtype=np.float32)
        known.eliminate_zeros()
        latest = known.max(axis=1).toarray().ravel() if known.nnz else np.zeros(len(users))
    else:
        known, latest = None, np.zeros(len(users))
    places = [latest[at] + 1 + np.arange(len(ids)) for at, ids in enumerate(lists)] if ordered else None
    given, unknown = named(lists, place_of, n_items, places)
    past = given if known is None else sparse.csr_matrix(known.maximum(given), dtype=np.float32)
    n_given = np.asarray(np.diff(given.indptr), dtype=np.int64)
    if settings.half_life is None and not any(len(r.weights) for r in requests):
        return HistoryBatch(past, None, n_given, unknown)
    told, _ = named(lists, place_of, n_items, [weights(r, settings) for r in requests])
    untold = sparse.csr_matrix(binary(past) - binary(told))
    return HistoryBatch(past, sparse.csr_matrix(untold + told, dtype=np.float32), n_given, unknown)


def weights(request: Request, settings: Settings) -> Sequence[float]:
    """Return what each item of a history weighs: what the request says, halved every ``half_life`` items back."""
    n = len(request.history)
    given = np.array(request.weights or [1.0] * n, dtype=np.float64)
    if settings.half_life is None:
        return given.tolist()
    return (given * 0.5 ** ((n - 1 - np.arange(n)) / settings.half_life)).tolist()
