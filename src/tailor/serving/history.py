"""From requests to a query: what is known of each user, in order, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.ids import IdMap
from tailor.data.interactions import binary, empty_rows, recency
from tailor.models.base import Csr, Floats, Indices, Query
from tailor.serving.schema import Request, Settings

#: A decayed weight is never smaller: an item that is known stays known.
_LEAST_WEIGHT = 1e-30


@dataclass(frozen=True)
class HistoryBatch:
    """A block of requests, read."""

    query: Query
    """Histories, their order and confidence; profiles and contexts."""
    n_given: Indices
    """Items of each request's own history that the catalogue has (B,)."""
    n_unknown: Indices
    """Items of it that the catalogue does not have (B,)."""
    n_events: Indices | None = None
    """Items that what a user did since the fit brought to his history (B,)."""

    def with_events(self, n_events: Indices) -> "HistoryBatch":
        """Return the block, of whose given items so many came from events (B,)."""
        return replace(self, n_given=self.n_given - n_events, n_events=n_events)

    def path(self, row: int) -> str:
        """Say what the list of a request stands on, words aside."""
        if self.query.lengths[row]:
            known = self.query.user_index[row] >= 0 or (self.n_events is not None and self.n_events[row] > 0)
            return "known_user" if known and not self.n_given[row] else "fold_in"
        if self.query.user_text[row].any():
            return "user_text"
        return "profile" if self.query.profile[row].any() else "popular"


def rows_of_ids(
    lists: Sequence[Sequence[str]], ids: IdMap, values: Sequence[Sequence[float]] | None = None
) -> tuple[Csr, Indices]:
    """Return lists of external ids as rows (B, n_items), and how many are unknown (B,).

    Args:
        lists: external ids per row.
        ids: of the catalogue.
        values: of each id; of one that is named twice, the later counts. None: 1 each.
    """
    lengths, n_items = np.array([len(row) for row in lists], dtype=np.int64), len(ids)
    if not lengths.any():
        return empty_rows(len(lists), n_items), lengths
    rows = np.repeat(np.arange(len(lists)), lengths)
    items = ids.indices(external for row in lists for external in row)
    data = np.ones(len(rows)) if values is None else np.concatenate([np.asarray(row, np.float64) for row in values])
    known = items >= 0
    cells, latest = np.unique((rows * n_items + items)[known][::-1], return_index=True)
    data = data[known][::-1][latest].astype(np.float32)
    indptr = np.searchsorted(cells, np.arange(len(lists) + 1) * n_items)
    matrix = sparse.csr_matrix((data, cells % n_items, indptr), shape=(len(lists), n_items))
    return matrix, np.bincount(rows[~known], minlength=len(lists))


def join_histories(
    histories: Query,
    users: Indices,
    requests: Sequence[Request],
    settings: Settings,
    ids: IdMap,
    profile: Floats,
    context: Floats,
    user_text: Floats | None = None,
) -> HistoryBatch:
    """Join what is known of users with what requests say, which comes later.

    Args:
        histories: of all users.
        users: rows of it (B,), -1 where nobody is known.
        requests: (B,).
        settings: half_life.
        ids: of the items.
        profile: of these users (B, q).
        context: of these requests (B, r).
        user_text: sums of the embeddings of what these users wrote (B, t); None: nothing.
    """
    lists = [request.history for request in requests]
    known = _known_order(histories, users)
    latest = np.zeros(len(users)) if known is None or not known.nnz else known.max(axis=1).toarray().ravel()
    positions = [start + 1 + np.arange(len(row)) for start, row in zip(latest, lists, strict=True)]
    given, n_unknown = rows_of_ids(lists, ids, positions)
    order = given if known is None else sparse.csr_matrix(known.maximum(given), dtype=np.float32)
    stored = None if known is None or settings.half_life is None or histories.order is None else known
    sure = None if known is None or histories.confidence is None else _of_users(histories.confidence, users)
    confidence = _confidence(order, stored, sure, requests, settings, ids)
    query = Query.of(order, order, confidence, profile, context, users, user_text)
    return HistoryBatch(query, np.asarray(np.diff(given.indptr), dtype=np.int64), n_unknown)


def _known_order(histories: Query, users: Indices) -> Csr | None:
    """Return the places of what is known of users (B, n_items), 1 each where no order is; None if nobody is known."""
    known = users >= 0
    if not known.any():
        return None
    return _of_users(histories.history if histories.order is None else histories.order, users)


def _of_users(stored: Csr, users: Indices) -> Csr:
    """Return the rows of users (B, n_items), empty ones where nobody is known."""
    rows = sparse.csr_matrix(stored[np.maximum(users, 0)].multiply((users >= 0)[:, None]), dtype=np.float32)
    rows.eliminate_zeros()
    return rows


def _confidence(
    order: Csr, stored: Csr | None, sure: Csr | None, requests: Sequence[Request], settings: Settings, ids: IdMap
) -> Csr | None:
    """Return how sure each cell is: what requests say; a stored item fades as one before the request's.

    Args:
        order: of histories and requests together (B, n_items).
        stored: places of the stored histories (B, n_items) where they fade; None: they do not.
        sure: confidences of the stored histories (B, n_items); None: 1 each.
        requests: (B,).
        settings: half_life.
        ids: of the items.

    Returns:
        None where no request, no setting and no stored history says anything.
    """
    if sure is None and settings.half_life is None and not any(request.weights for request in requests):
        return None
    weighted, _ = rows_of_ids([request.history for request in requests], ids, [_weights(r, settings) for r in requests])
    rest = sparse.csr_matrix(binary(order) - binary(weighted))
    if sure is not None:
        rest = sparse.csr_matrix(rest.multiply(sure))
    if stored is not None and settings.half_life is not None:
        faded = recency(stored, settings.half_life)
        behind = np.repeat([len(request.history) for request in requests], np.diff(faded.indptr))
        faded.data = np.maximum(faded.data * np.float32(0.5) ** (behind / settings.half_life), _LEAST_WEIGHT)
        rest = sparse.csr_matrix(rest.multiply(faded))
    return sparse.csr_matrix(rest + weighted, dtype=np.float32)


def _weights(request: Request, settings: Settings) -> Sequence[float]:
    """Return what each item of a history weighs: what the request says, halved every ``half_life`` items back."""
    n = len(request.history)
    weights: NDArray[np.float64] = np.array(request.weights or [1.0] * n, dtype=np.float64)
    if settings.half_life is not None:
        weights *= 0.5 ** ((n - 1 - np.arange(n)) / settings.half_life)
    listed: list[float] = np.maximum(weights, _LEAST_WEIGHT).tolist()
    return listed


def widened(histories: Query, n_items: int) -> Query:
    """Return the same histories over a larger catalogue."""
    history, order, confidence = (
        wide(matrix, n_items) for matrix in (histories.history, histories.order, histories.confidence)
    )
    return histories if history is None else replace(histories, history=history, order=order, confidence=confidence)


def wide(matrix: Csr | None, n_items: int) -> Csr | None:
    """Return a matrix (U, n) with more columns (U, n_items); None stays None."""
    if matrix is None:
        return None
    return sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], n_items))
