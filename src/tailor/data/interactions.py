"""Masks over items and matrices restricted to them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.hashing import seeded_hash

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


def category_matrix(items: pd.DataFrame, categories: pd.DataFrame) -> sparse.csr_matrix:
    """Return the 0/1 matrix (n_items, n_categories) of a long table item_id, category; categories in sorted order."""
    names = pd.Index(np.sort(categories[c.CATEGORY].unique()))
    rows = pd.Index(items[c.ITEM]).get_indexer(pd.Index(categories[c.ITEM]))
    columns = names.get_indexer(pd.Index(categories[c.CATEGORY]))
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(items), len(names)))


def keep_items(matrix: sparse.csr_matrix, keep: Mask) -> sparse.csr_matrix:
    """Return the matrix with the columns outside ``keep`` emptied; the shape stays."""
    kept = sparse.csr_matrix(matrix @ sparse.diags(keep.astype(np.float32)))
    kept.eliminate_zeros()
    kept.sort_indices()
    return kept


def first_of_each_row(places: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Return the n entries with the smallest values of each row, with their values: a history revealed in order.

    Args:
        places: (U, n_items), values order a row's items.
    """
    row = np.repeat(np.arange(places.shape[0]), np.diff(places.indptr))
    order = np.lexsort((places.data, row))
    rank = np.arange(len(row)) - places.indptr[row[order]]
    chosen = order[rank < n]
    values = places.data[chosen].astype(np.float32)
    return sparse.csr_matrix((values, (row[chosen], places.indices[chosen])), shape=places.shape)


def split_matrix(
    interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, split: str, positions: bool = False
) -> sparse.csr_matrix:
    """Return the 0/1 matrix of one split, shape (n_users, n_items), float32, sorted indices.

    Args:
        interactions: with user_id, item_id, split, and timestamp where there is one.
        positions: store 1 + the place in the user's order instead of 1, so that "the first n items" can be revealed.
    """
    rows = interactions[interactions[c.SPLIT] == split]
    user = pd.Index(users[c.USER]).get_indexer(pd.Index(rows[c.USER]))
    item = pd.Index(items[c.ITEM]).get_indexer(pd.Index(rows[c.ITEM]))
    values = np.ones(len(rows), dtype=np.float32)
    if positions:
        time = rows[c.TIMESTAMP].to_numpy() if c.TIMESTAMP in rows else np.zeros(len(rows))
        order = np.lexsort((seeded_hash(0, rows[c.USER], rows[c.ITEM]), time, user))
        starts = np.r_[True, np.diff(user[order]) != 0]
        place = np.arange(len(rows)) - np.maximum.accumulate(np.where(starts, np.arange(len(rows)), 0))
        values[order] = place + 1
    matrix = sparse.csr_matrix((values, (user, item)), shape=(len(users), len(items)), dtype=np.float32)
    matrix.sort_indices()
    return matrix
