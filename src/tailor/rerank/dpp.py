"""Determinantal point process."""

import numpy as np
from numpy.typing import NDArray

from tailor.rerank.base import Floats, Reranker, reranker
from tailor.rerank.mmr import cosine_with

_SMALL = 1e-10


@reranker("dpp", summary="Choose the list whose items span the largest volume.")
class DPP(Reranker):
    """Greedy maximum of the log determinant of relevance-scaled similarities (Chen et al. 2018, eq. 9 with θ = 1 - s).

    The Cholesky factor of the chosen items' similarities grows by one row a step.
    """

    def start(self) -> None:
        """Take the embeddings of the pool; the factor is empty."""
        pool = self.pool
        self.vectors = pool.metadata.vectors[pool.items]
        self.unexplained = np.ones(pool.items.shape)
        self.cholesky = np.zeros((len(self.rows), pool.k, pool.items.shape[1]))

    def gain(self, step: int) -> Floats:  # noqa: ARG002
        """Return relevance plus the log of the volume that a place would add (B, P)."""
        volume = np.log(np.maximum(self.unexplained, _SMALL))
        return (1 - self.pool.strength) * self.pool.relevance + self.pool.strength * volume

    def update(self, positions: NDArray[np.int64], step: int) -> None:
        """Add the taken item's row to the factor."""
        rows_so_far = self.cholesky[:, :step]
        explained = np.einsum("bsp,bs->bp", rows_so_far, rows_so_far[self.rows, :, positions])
        scale = np.sqrt(np.maximum(self.unexplained[self.rows, positions], _SMALL))[:, None]
        row = (cosine_with(self.vectors, positions, self.rows) - explained) / scale
        self.cholesky[:, step] = row
        self.unexplained = self.unexplained - row**2
