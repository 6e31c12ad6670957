"""At most so many items per category."""

import numpy as np
from numpy.typing import NDArray

from tailor.rerank.base import Floats, Reranker, reranker
from tailor.rerank.calibrated import members


@reranker("caps", summary="List at most so many items of a category.")
class Caps(Reranker):
    """A category may hold ⌈k (1 - s)⌉ places, at least one; what breaks a cap comes after everything that does not."""

    def start(self) -> None:
        """Take the categories of the pool."""
        categories = self.pool.metadata.category_matrix
        self.member = members(categories, self.pool.items)
        self.listed = np.zeros((len(self.rows), categories.shape[1]))
        self.cap = max(1, int(np.ceil(self.pool.k * (1 - self.pool.strength))))

    def gain(self, step: int) -> Floats:  # noqa: ARG002
        """Return relevance, 2 less where a category of the item is full (B, P)."""
        full = (self.member * (self.listed >= self.cap)[:, None]).any(axis=2)
        return self.pool.relevance - 2.0 * full

    def update(self, positions: NDArray[np.int64], step: int) -> None:  # noqa: ARG002
        """Count the categories of what was taken."""
        self.listed += self.member[self.rows, positions]
