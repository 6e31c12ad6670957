"""Small histories for tests."""

import numpy as np
from scipy import sparse

from tailor.models.base import Query, TrainSet


def random_history(n_users=40, n_items=25, seed=0):
    """A quarter of all cells (n_users, n_items)."""
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix((rng.random((n_users, n_items)) < 0.25).astype(np.float32))


def ordered(*rows: tuple[int, ...], n_items: int = 4) -> sparse.csr_matrix:
    """Items of each row in their order, as a matrix of places from 1."""
    user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    places = np.concatenate([np.arange(1, len(row) + 1) for row in rows]).astype(np.float32)
    columns = np.concatenate(rows).astype(int)
    return sparse.csr_matrix((places, (user, columns)), shape=(len(rows), n_items))


def ordered_train_set(order: sparse.csr_matrix, **more: object) -> TrainSet:
    """A train set of all items, whose order is known."""
    return TrainSet.of(order, np.ones(order.shape[1], bool), order=order, **more)


def ordered_query(order: sparse.csr_matrix) -> Query:
    """A query whose order is known."""
    return Query.of(order, order)
