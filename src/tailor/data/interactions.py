"""Masks over items and matrices restricted to them."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.domains import domain_numbers
from tailor.data.hashing import seeded_hash
from tailor.data.ids import IdMap
from tailor.data.sampling import stratified_sample

Mask = NDArray[np.bool_]


def warm_items(items: pd.DataFrame) -> Mask:
    """Mark items with train interactions, (n_items,)."""
    return np.asarray(items[c.N_TRAIN] > 0)


def pseudo_cold_items(items: pd.DataFrame, sample: str) -> Mask:
    """Mark one pseudo-cold sample, A or B, (n_items,)."""
    return np.asarray(items[c.PSEUDO_COLD] == sample)


def trainable_items(items: pd.DataFrame) -> Mask:
    """Mark warm items outside both pseudo-cold samples: what teacher and language model may learn from, (n_items,)."""
    return warm_items(items) & ~pseudo_cold_items(items, "A") & ~pseudo_cold_items(items, "B")


def tuned_items(items: pd.DataFrame, max_items: int | None, seed: int) -> Mask:
    """Mark what a language model is tuned on: the trainable items, or a sample of them by head and tail, (n_items,)."""
    rows = np.flatnonzero(trainable_items(items))
    bucket, order = items[c.BUCKET].to_numpy(dtype=str)[rows], seeded_hash(seed, items[c.ITEM].iloc[rows])
    mask = np.zeros(len(items), dtype=bool)
    mask[stratified_sample(rows, bucket, order, max_items)] = True
    return mask


def bucket_items(items: pd.DataFrame, bucket: str) -> Mask:
    """Mark one popularity bucket, (n_items,)."""
    return np.asarray(items[c.BUCKET] == bucket)


def binary(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the matrix with a one in every stored cell: itself where that is so already."""
    if matrix.dtype == np.float32 and (matrix.data == 1).all():
        return matrix
    return _with_values(matrix, np.ones(matrix.nnz, np.float32))


def _with_values(matrix: sparse.csr_matrix, values: NDArray[np.float32]) -> sparse.csr_matrix:
    # Copied: scipy sorts indices in place, and would sort those of ``matrix`` from under its values.
    return sparse.csr_matrix((values, matrix.indices.copy(), matrix.indptr.copy()), shape=matrix.shape)


def cells(matrix: sparse.csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the stored cells: ``nonzero`` without a detour over another format."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return rows, matrix.indices.astype(np.int64, copy=False)


def recency(history: sparse.csr_matrix, half_life: float) -> sparse.csr_matrix:
    """Return what each item of a history weighs: 1 for the latest, halved every ``half_life`` items before it.

    Args:
        history: (B, n_items); values order a row's items, later ones are larger. Equal values stand side by side in
            the order of the columns.
        half_life: in items.
    """
    row = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))
    order = np.lexsort((-history.data, row))
    weights = np.empty(history.nnz, np.float32)
    weights[order] = 0.5 ** ((np.arange(history.nnz) - history.indptr[row[order]]) / half_life)
    return _with_values(history, weights)


def in_order(history: sparse.csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the stored cells, and their columns, each row's from its first item to its latest.

    Args:
        history: (B, n_items); values order a row's items, later ones are larger. Equal ones stand in the order of the
            columns.
    """
    row = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))
    return row, history.indices[np.lexsort((history.indices, history.data, row))].astype(np.int64)


def values_in_order(order: sparse.csr_matrix, values: sparse.csr_matrix) -> NDArray[np.float32]:
    """Return the cells of ``values`` in the order of :func:`in_order`; it has the cells of ``order``."""
    order, values = order.sorted_indices(), values.sorted_indices()
    row = np.repeat(np.arange(order.shape[0]), np.diff(order.indptr))
    return np.asarray(values.data[np.lexsort((order.indices, order.data, row))], dtype=np.float32)


def category_matrix(items: pd.DataFrame, categories: pd.DataFrame) -> sparse.csr_matrix:
    """Return the 0/1 matrix (n_items, n_categories) of a long table item_id, category; categories in sorted order."""
    names = pd.Index(np.sort(categories[c.CATEGORY].unique()))
    rows = IdMap(items[c.ITEM]).indices(categories[c.ITEM])
    columns = names.get_indexer(pd.Index(categories[c.CATEGORY]))
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(items), len(names)))


def keep_items(matrix: sparse.csr_matrix, keep: Mask) -> sparse.csr_matrix:
    """Return the matrix with the columns outside ``keep`` emptied; the shape stays."""
    restricted = sparse.csr_matrix(matrix @ sparse.diags(keep.astype(np.float32)))
    restricted.eliminate_zeros()
    restricted.sort_indices()
    return restricted


def keep_users(matrix: sparse.csr_matrix, users: NDArray[np.int64]) -> sparse.csr_matrix:
    """Return the matrix with all other rows emptied; the shape stays."""
    stays = np.zeros(matrix.shape[0], dtype=np.float32)
    stays[users] = 1.0
    restricted = sparse.csr_matrix(sparse.diags(stays) @ matrix)
    restricted.eliminate_zeros()
    restricted.sort_indices()
    return restricted


def restrict_order(order: sparse.csr_matrix | None, cells: sparse.csr_matrix) -> sparse.csr_matrix | None:
    """Return the places of the stored ``cells`` (U, n_items); None where no order is known.

    Args:
        order: places of at least these cells in each user's order, from 1; None or empty: the order is not known.
        cells: 0/1.
    """
    return None if order is None or not order.nnz else restrict_to(order, cells)


def restrict_to(matrix: sparse.csr_matrix, cells: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the stored values of ``matrix`` that ``cells`` has too (U, n_items), sorted indices."""
    restricted = sparse.csr_matrix(matrix.multiply(binary(cells)), dtype=np.float32)
    restricted.sort_indices()
    return restricted


def empty_rows(n_rows: int, n_columns: int) -> sparse.csr_matrix:
    """Return a matrix without a cell."""
    nothing = (np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(n_rows + 1, np.int64))
    return sparse.csr_matrix(nothing, shape=(n_rows, n_columns))


def taller(matrix: sparse.csr_matrix, n_rows: int) -> sparse.csr_matrix:
    """Return a matrix with more rows (n_rows, ·), those that join without a cell."""
    indptr = np.append(matrix.indptr, np.full(n_rows - matrix.shape[0], matrix.indptr[-1]))
    return sparse.csr_matrix((matrix.data, matrix.indices, indptr), shape=(n_rows, matrix.shape[1]))


def first_of_each_row(order: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Return the n entries with the smallest values of each row, with their values: a history revealed in order.

    Args:
        order: (U, n_items), values order a row's items.
        n: entries of each row.
    """
    row = np.repeat(np.arange(order.shape[0]), np.diff(order.indptr))
    sorted_cells = np.lexsort((order.data, row))
    rank = np.arange(len(row)) - order.indptr[row[sorted_cells]]
    chosen = sorted_cells[rank < n]
    values = order.data[chosen].astype(np.float32)
    return sparse.csr_matrix((values, (row[chosen], order.indices[chosen])), shape=order.shape)


def last_of_each_row(order: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the entry with the largest value of each row, as 1; of equal values that of the last column.

    Args:
        order: (U, n_items), values order a row's items.
    """
    row, items = in_order(order)
    filled = np.flatnonzero(np.diff(order.indptr))
    columns = items[order.indptr[filled + 1] - 1]
    return sparse.csr_matrix((np.ones(len(filled), np.float32), (row[order.indptr[filled]], columns)), order.shape)


def final_rows(
    train: sparse.csr_matrix, validation: sparse.csr_matrix, items: pd.DataFrame, fit_on: str
) -> sparse.csr_matrix:
    """Return the rows that the models of test lists are fitted on, 0/1 (U, n_items).

    Args:
        train: (U, n_items).
        validation: (U, n_items); of these, rows of items without train rows stay out, as from test histories.
        items: the item table.
        fit_on: ``train`` or ``train_and_validation``.
    """
    if fit_on == c.TRAIN:
        return train
    return binary(keep_items(sparse.csr_matrix(train + validation), warm_items(items)))


def split_matrix(
    interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, splits: Collection[str]
) -> sparse.csr_matrix:
    """Return the 0/1 matrix of some splits (n_users, n_items), float32, sorted indices.

    Args:
        interactions: with user_id, item_id and split.
        users: the user table.
        items: the item table.
        splits: labels.
    """
    rows = interactions[interactions[c.SPLIT].isin(splits)]
    return _matrix(rows, users, items, np.ones(len(rows), dtype=np.float32))


def knows_order(interactions: pd.DataFrame, strategy: str) -> bool:
    """Tell whether models may read an order: there are times that differ, and the split keeps to them.

    Args:
        interactions: with timestamp where there is one.
        strategy: of the split.
    """
    if c.TIMESTAMP not in interactions or strategy == "random":
        return False  # a domain without times beside one with times is in a seeded order
    return bool(interactions[c.TIMESTAMP].min() < interactions[c.TIMESTAMP].max())


def order_matrix(
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    splits: Collection[str],
) -> sparse.csr_matrix:
    """Return the place of each row of some splits in its user's order, from 1 (n_users, n_items).

    By time, ties and rows without time by a hash. Of several domains one follows the other, in alphabetical order:
    their times need not be of one clock.

    Args:
        interactions: with user_id, item_id, split, and timestamp where there is one.
        users: the user table.
        items: the item table.
        splits: labels.
    """
    rows = interactions[interactions[c.SPLIT].isin(splits)]
    user = IdMap(users[c.USER]).indices(rows[c.USER])
    time = rows[c.TIMESTAMP].to_numpy() if c.TIMESTAMP in rows else np.zeros(len(rows))
    domain = domain_numbers(rows)
    domain = np.zeros(len(rows), dtype=np.int64) if domain is None else domain
    order = np.lexsort((seeded_hash(0, rows[c.USER], rows[c.ITEM]), time, domain, user))
    starts = np.r_[True, np.diff(user[order]) != 0]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(rows)), 0))
    positions = np.ones(len(rows), dtype=np.float32)
    positions[order] = np.arange(len(rows)) - first + 1
    return _matrix(rows, users, items, positions)


def positive_rows(interactions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are not blocked: all where kinds of behaviour are not told apart."""
    return interactions[interactions[c.CONFIDENCE] > 0] if c.CONFIDENCE in interactions else interactions


def strength_matrix(
    interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, labels: Collection[str]
) -> sparse.csr_matrix:
    """Return how sure each pair of some labels is, in (0, 1], and -1 for blocked ones (n_users, n_items).

    Without cells where kinds of behaviour are not told apart: all pairs are alike then.

    Args:
        interactions: with user_id, item_id, split, and confidence where there is one.
        users: the user table.
        items: the item table.
        labels: of the rows.
    """
    if c.CONFIDENCE not in interactions:
        return empty_rows(len(users), len(items))
    rows = interactions[interactions[c.SPLIT].isin(labels)]
    confidence = rows[c.CONFIDENCE].to_numpy(dtype=np.float32)
    return _matrix(rows, users, items, np.where(confidence > 0, confidence, np.float32(-1)))


def restrict_strengths(strengths: sparse.csr_matrix | None, cells: sparse.csr_matrix) -> sparse.csr_matrix | None:
    """Return the strengths of the stored ``cells`` (U, n_items); None where all pairs are alike.

    Args:
        strengths: as of :func:`strength_matrix`, of at least these cells; None or empty: all pairs are alike.
        cells: 0/1.
    """
    return restrict_order(strengths, cells)


def blocked_pairs(strengths: sparse.csr_matrix | None, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return the pairs that are blocked, 0/1 of ``shape`` (U, n_items).

    Args:
        strengths: as of :func:`strength_matrix`; None or empty: nothing is blocked.
        shape: of the result.
    """
    if strengths is None or not strengths.nnz:
        return empty_rows(*shape)
    blocked = sparse.csr_matrix(strengths < 0, dtype=np.float32)
    blocked.sort_indices()
    return blocked


def _matrix(
    rows: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, values: NDArray[np.float32]
) -> sparse.csr_matrix:
    user, item = IdMap(users[c.USER]).indices(rows[c.USER]), IdMap(items[c.ITEM]).indices(rows[c.ITEM])
    matrix = sparse.csr_matrix((values, (user, item)), shape=(len(users), len(items)), dtype=np.float32)
    matrix.sort_indices()
    return matrix
