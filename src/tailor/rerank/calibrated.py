"""Lists with the mix of categories that the history has."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.rerank.base import Floats, Reranker, reranker

_SMOOTHING, _SMALL = 0.01, 1e-10


@reranker("calibrated", summary="Follow the mix of categories of the user's history.")
class Calibrated(Reranker):
    """Gain (1 - s) · relevance - s · KL(p || q̃), p the history's categories, q̃ the list's (Steck 2018, eq. 6 and 7).

    An item's weight is spread evenly over its categories.
    """

    def start(self) -> None:
        """Take the categories of the pool, and their shares in the history."""
        pool, categories = self.pool, self.pool.metadata.category_matrix
        even = sparse.csr_matrix(sparse.diags(1 / np.maximum(np.diff(categories.indptr), 1)) @ categories)
        counts = np.asarray(((pool.history > 0).astype(np.float64) @ even).todense())
        self.target = counts / np.maximum(counts.sum(axis=1, keepdims=True), _SMALL)
        self.member = members(even, pool.items)
        self.listed = np.zeros((len(self.rows), categories.shape[1]))

    def gain(self, step: int) -> Floats:
        """Return relevance less the divergence in nats if each place came next (B, P)."""
        shares = (self.listed[:, None] + self.member) / (step + 1)
        q = (1 - _SMOOTHING) * shares + _SMOOTHING * self.target[:, None]
        p = self.target[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            divergence = np.asarray(np.where(p > 0, p * np.log(p / q), 0.0).sum(axis=2))
        return (1 - self.pool.strength) * self.pool.relevance - self.pool.strength * divergence

    def update(self, positions: NDArray[np.int64], step: int) -> None:  # noqa: ARG002
        """Count the categories of what was taken."""
        self.listed += self.member[self.rows, positions]


def members(categories: sparse.csr_matrix, items: NDArray[np.int64]) -> Floats:
    """Return the categories (n_items, C) of a pool's items (B, P): (B, P, C)."""
    shape = (*items.shape, categories.shape[1])
    return np.asarray(categories[items.ravel()].toarray(), np.float64).reshape(shape)
