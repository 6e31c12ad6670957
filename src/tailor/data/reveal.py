"""Histories that are cut short: what a user has shown by then, what they take later, and what lists leave out."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy import sparse

from tailor.types import AnyArray

Reveal = Literal["first", "random", "latest"]
#: Ways to cut a history: a sign-up flow, an arbitrary part of it, a visit of somebody who has been here before.
REVEALS: tuple[Reveal, ...] = get_args(Reveal)
#: Of the last items of a user so many at most are to be recommended.
_LAST = 5


@dataclass(frozen=True)
class Revealed:
    """Histories of which n items are known. Rows of users with n items or fewer are empty."""

    known: sparse.csr_matrix
    """The n items, each with its number in the user's order (U, n_items)."""
    hidden: sparse.csr_matrix
    """What is to be recommended, 0/1 (U, n_items)."""
    seen: sparse.csr_matrix
    """What lists leave out, 0/1 (U, n_items)."""


def reveal(order: sparse.csr_matrix, n: int, how: Reveal, seed: int) -> Revealed:
    """Cut every history to n items.

    * ``first``: the first n in time; everything after them is to be recommended.
    * ``random``: n that are drawn; all others are to be recommended.
    * ``latest``: the n before the last items, which are to be recommended: five, or as many as there are beside the n.
      Lists leave out everything before these last items, as they do for a user who comes back.

    Args:
        order: number of each item in the user's order, later ones larger (U, n_items).
        n: items that are known.
        how: which ones.
        seed: of the draw.

    Example:
        >>> order = sparse.csr_matrix(np.array([[3.0, 1.0, 2.0, 0.0]]))
        >>> cut = reveal(order, 1, "first", 0)
        >>> cut.known.indices.tolist(), cut.hidden.indices.tolist()
        ([1], [0, 2])
    """
    order = sparse.csr_matrix(order, dtype=np.float32)
    lengths = np.diff(order.indptr)
    row = np.repeat(np.arange(len(lengths)), lengths)
    keys = np.random.default_rng([seed, 5]).permutation(order.nnz) if how == "random" else order.data
    rank = np.empty(order.nnz, np.int64)
    rank[np.lexsort((keys, row))] = np.arange(order.nnz) - order.indptr[row]
    begin = n if how != "latest" else np.maximum(lengths - _LAST, n)[row]
    played = lengths[row] > n
    before = rank < begin
    known = before & (rank >= begin - n)
    return Revealed(
        _cells(order, played & known, order.data),
        _cells(order, played & ~before, np.ones(order.nnz, np.float32)),
        _cells(order, played & before, np.ones(order.nnz, np.float32)),
    )


def _cells(matrix: sparse.csr_matrix, keep: AnyArray, values: AnyArray) -> sparse.csr_matrix:
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return sparse.csr_matrix((values[keep], (row[keep], matrix.indices[keep])), shape=matrix.shape, dtype=np.float32)
