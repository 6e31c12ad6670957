"""Item-item weights: full, or for large catalogues only those between each item and the items nearest to it.

Column j of sparse weights is the ridge regression of :mod:`tailor.models.ease` or :mod:`tailor.models.slit` restricted
to the c items N that are nearest to j,

    b_N = (G_NN + Λ_NN)⁻¹ r_Nj

with r the right side of the full regression: fsSLIM of Ning & Karypis 2011, "SLIM: Sparse linear methods for top-N
recommender systems", §4.4, with an L2 penalty alone. Near are the items i with the largest r_ij / √G_ii: the cosine,
where r is G.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from tailor.errors import BadInputError
from tailor.models.base import ColdItemImputer, Csr, Floats, Indices, State
from tailor.models.store import sparse_from_state, sparse_state
from tailor.progress import progress
from tailor.threads import BlockMap, blocks, in_threads
from tailor.types import AnyArray

#: (n, n), or any part of it.
ItemWeights = Floats | Csr
#: Cells of an imputed column of sparse weights, per cell of the fullest column of the fit: it is a mixture of many.
_IMPUTED = 4
#: Row indices and values of some columns, and how many cells each has.
_Columns = tuple[NDArray[np.int32], Floats, Indices]


# --- the same of full and of sparse weights --------------------------------------------------------------------------


def weigh(history: Csr, weights: ItemWeights) -> Floats:
    """Return ``history`` (B, n) times ``weights`` (n, a): the scores (B, a)."""
    scores = history @ weights
    return np.asarray(scores.toarray() if sparse.issparse(scores) else scores, dtype=np.float32)


def cells(weights: ItemWeights, rows: AnyArray, columns: AnyArray) -> Floats:
    """Return the weights from some items toward others (r, a)."""
    if sparse.issparse(weights):
        return np.asarray(weights[rows][:, columns].toarray(), dtype=np.float32)
    return np.asarray(weights[np.ix_(rows, columns)])


def with_blocks(weights: ItemWeights, parts: Sequence[Indices], within: Sequence[ItemWeights]) -> ItemWeights:
    """Return ``weights`` (n, n), with others between items of the same part.

    Args:
        weights: between all items, full or sparse.
        parts: the items of each part; no item is in two.
        within: the weights within each part, likewise full or sparse.

    Example:
        >>> with_blocks(np.full((3, 3), 5.0), [np.array([0, 2])], [np.zeros((2, 2))]).tolist()
        [[0.0, 5.0, 0.0], [5.0, 5.0, 5.0], [0.0, 5.0, 0.0]]
    """
    if not sparse.issparse(weights):
        changed = weights.copy()
        for items, block in zip(parts, within, strict=True):
            changed[np.ix_(items, items)] = np.asarray(block)
        return changed
    part_of = np.full(weights.shape[0], -1)
    for number, items in enumerate(parts):
        part_of[items] = number
    every = weights.tocoo()
    across = (part_of[every.row] != part_of[every.col]) | (part_of[every.row] < 0)
    blocks_of = [sparse.coo_matrix(block) for block in within]
    rows = [every.row[across], *(items[block.row] for items, block in zip(parts, blocks_of, strict=True))]
    columns = [every.col[across], *(items[block.col] for items, block in zip(parts, blocks_of, strict=True))]
    values = [every.data[across], *(block.data for block in blocks_of)]
    cells_of = np.concatenate(rows), np.concatenate(columns)
    joined = sparse.csr_matrix((np.concatenate(values), cells_of), weights.shape, dtype=np.float32)
    joined.sort_indices()
    return joined


def impute_columns(
    weights: Floats, of_landmarks: ItemWeights, columns: Indices, features: Floats, imputer: ColdItemImputer
) -> Floats:
    """Return a copy of full ``weights`` (r, n) in which ``columns`` (a,) are mixtures of the landmarks' columns (r, l).

    Args:
        weights: from r items toward n.
        of_landmarks: the columns of the landmarks.
        columns: which ones are imputed.
        features: texts of these items (a, m).
        imputer: says how much of each landmark stands in each of them.
    """
    imputed = weights.copy()
    for rows, shares in imputer.blocks(features):
        imputed[:, columns[rows]] = of_landmarks @ shares.T
    return imputed


def mixed_columns(weights: ItemWeights, features: Floats, imputer: ColdItemImputer) -> Floats:
    """Return the weights (n, a) toward items with texts ``features`` (a, m): mixtures of the landmarks' columns.

    Args:
        weights: among the items of the fit (n, n).
        features: texts of the items.
        imputer: says how much of each landmark stands in each of them.
    """
    mixed = np.zeros((weights.shape[0], len(features)), np.float32)
    for rows, shares in imputer.blocks(features):
        # Of all items, most of them 0: the columns of the landmarks alone would be a copy of the whole matrix.
        of_all = np.zeros((weights.shape[0], len(shares)), np.float32)
        of_all[imputer.landmarks] = shares.T
        mixed[:, rows] = weights @ of_all
    return mixed


def impute_weights(weights: ItemWeights, columns: Indices, features: Floats, imputer: ColdItemImputer) -> ItemWeights:
    """Return a copy of ``weights`` (n, n) in which ``columns`` (a,) are mixtures of the landmarks' columns.

    Of sparse weights an imputed column keeps its largest cells, four times as many as the fullest column has.

    Args:
        weights: among the items of the fit.
        columns: which ones are imputed.
        features: texts of these items (a, m).
        imputer: says how much of each landmark stands in each of them.
    """
    of_landmarks = weights[:, imputer.landmarks]
    if sparse.issparse(weights):
        return _impute_sparse(weights, of_landmarks, columns, features, imputer)
    return impute_columns(weights, of_landmarks, columns, features, imputer)


def _impute_sparse(
    weights: Csr, of_landmarks: ItemWeights, columns: Indices, features: Floats, imputer: ColdItemImputer
) -> Csr:
    # Of the landmarks: columns that were imputed before are fuller.
    n, most = weights.shape[0], _IMPUTED * int(np.diff(sparse.csc_matrix(of_landmarks).indptr).max(initial=0))
    imputed = [
        _joined(_largest(np.asarray(of_landmarks @ shares[part].T).T, most), n)
        for _, shares in imputer.blocks(features)
        for part in blocks(len(shares))
    ]
    stay = np.ones(n, np.float32)
    stay[columns] = 0
    place = sparse.csr_matrix(
        (np.ones(len(columns), np.float32), (np.arange(len(columns)), columns)), (len(columns), n)
    )
    changed = sparse.csr_matrix(weights @ sparse.diags(stay) + sparse.hstack(imputed) @ place, dtype=np.float32)
    changed.eliminate_zeros()
    changed.sort_indices()
    return changed


def _largest(values: AnyArray, count: int) -> _Columns:
    """Return the ``count`` cells of each row (b, n) that are furthest from 0, as columns."""
    count = min(count, values.shape[1])
    if not count:
        return np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(len(values), np.int64)
    items = np.sort(np.argpartition(-np.abs(values), count - 1, axis=1)[:, :count], axis=1)
    largest = np.take_along_axis(values, items, axis=1)
    return items.ravel().astype(np.int32), largest.ravel(), np.full(len(values), count)


def state_of(weights: ItemWeights) -> State:
    """Return weights as arrays; :func:`from_state` undoes it."""
    return sparse_state("weights", weights) if sparse.issparse(weights) else {"weights": weights}


def from_state(state: State) -> ItemWeights:
    """Undo :func:`state_of`."""
    return sparse_from_state(state, "weights") if "weights/indptr" in state else state["weights"]


# --- sparse weights --------------------------------------------------------------------------------------------------


def sparse_weights(
    gram: Csr,
    penalty: AnyArray,
    right: Callable[[slice], Floats],
    neighbours: int,
    scale: AnyArray,
    label: str,
    each: BlockMap = in_threads,
) -> Csr:
    """Fit every column over the items nearest to it.

    Args:
        gram: G (n, n).
        penalty: the diagonal of Λ (n,).
        right: returns r of some items j as rows (b, n); 0 stands in no column.
        neighbours: c.
        scale: what r_ij is divided by to tell how near i is to j (n,).
        label: of the progress bar.
        each: what solves blocks of columns: threads, or tasks of a cluster, to which all of the above is sent.

    Returns:
        The weights (n, n), at most c in a column.

    Raises:
        BadInputError: a part of G + Λ is not positive definite.
    """
    # Only a fit needs it: what is served does without.
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    gram.sort_indices()
    diagonal, n = np.asarray(penalty, dtype=np.float64), gram.shape[0]

    def solve(rows: slice) -> "sparse.csc_matrix[np.float32]":
        return _joined(_solve_block(gram, diagonal, right(rows), scale, neighbours), n)

    parts = blocks(n)
    with threadpool_limits(1, user_api="blas"):
        columns = list(progress(each(solve, parts), label, "block", len(parts)))
    weights = sparse.csr_matrix(sparse.hstack(columns), dtype=np.float32)
    weights.sort_indices()
    return weights


def _solve_block(gram: Csr, penalty: AnyArray, right: Floats, scale: AnyArray, neighbours: int) -> _Columns:
    nearest, values = [], []
    for of_item, r in zip(right / scale, right, strict=True):
        items = _nearest(of_item, neighbours)
        nearest.append(items)
        values.append(_solve(gram[items][:, items].toarray().astype(np.float64), penalty[items], r[items]))
    counts = np.array([len(items) for items in nearest])
    return np.concatenate(nearest).astype(np.int32), np.concatenate(values).astype(np.float32), counts


def _nearest(near: Floats, count: int) -> Indices:
    """Return the ``count`` largest positive cells of a row (n,), in ascending order."""
    positive = np.flatnonzero(near > 0)
    if len(positive) > count:
        positive = np.sort(positive[np.argpartition(-near[positive], count - 1)[:count]])
    return positive


def _solve(gram: AnyArray, penalty: AnyArray, right: AnyArray) -> AnyArray:
    if not len(gram):
        return np.zeros(0)
    np.einsum("ii->i", gram)[:] += penalty
    _, solution, info = linalg.lapack.dposv(gram.T, right.astype(np.float64), lower=True, overwrite_a=True)
    if info:
        raise BadInputError(f"A Gram matrix is not positive definite (LAPACK posv {info}); raise the regularization")
    return np.asarray(solution)


def _joined(columns: _Columns, n_rows: int) -> "sparse.csc_matrix[np.float32]":
    items, values, counts = columns
    return sparse.csc_matrix((values, items, np.r_[0, np.cumsum(counts)]), shape=(n_rows, len(counts)))
