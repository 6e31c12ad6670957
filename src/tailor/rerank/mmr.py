"""Maximal marginal relevance."""

import numpy as np
from numpy.typing import NDArray

from tailor.rerank.base import Floats, Reranker, reranker


@reranker("mmr", summary="Prefer items that are unlike those listed already.")
class MMR(Reranker):
    """Gain (1 - s) · relevance - s · cosine with the closest listed item (Carbonell & Goldstein 1998)."""

    def start(self) -> None:
        """Take the embeddings of the pool; nothing is listed, so nothing is close."""
        self.vectors = self.pool.metadata.vectors[self.pool.items]
        self.closest = np.zeros(self.pool.items.shape)

    def gain(self, step: int) -> Floats:  # noqa: ARG002
        """Return relevance less similarity (B, P)."""
        return (1 - self.pool.strength) * self.pool.relevance - self.pool.strength * self.closest

    def update(self, positions: NDArray[np.int64], step: int) -> None:
        """Compare the pool with the item that was taken."""
        cosine = cosine_with(self.vectors, positions, self.rows)
        self.closest = cosine if step == 0 else np.maximum(self.closest, cosine)


def cosine_with(vectors: NDArray[np.float32], positions: NDArray[np.int64], rows: NDArray[np.int64]) -> Floats:
    """Return cosines of every place's vector (B, P, m) with that of one place per user (B,): (B, P)."""
    return np.asarray((vectors @ vectors[rows, positions][..., None])[..., 0], dtype=np.float64)
