"""What a language model is tuned on."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingData:
    """Texts, a teacher's factors and train interactions; no test row is among them."""

    pieces: list[list[str]]
    """The pieces of each item's text, (n_items,)."""
    user_factors: NDArray[np.float32]
    """The teacher's users (U, d)."""
    item_factors: NDArray[np.float32]
    """The teacher's items (n_items, d), where the head starts."""
    train: sparse.csr_matrix
    """Train interactions (U, n_items); only those of ``trainable`` are used, but to measure epochs on ``stop_on``."""
    trainable: Mask
    """Items whose interactions are used for training (n_items,)."""
    stop_on: Mask
    """Items that choose the epoch, pseudo-cold A (n_items,); none: the last epoch is kept."""
    categories: sparse.csr_matrix | None = None
    """Items × categories, 0/1."""

    def __post_init__(self) -> None:
        """Refuse a leak.

        Raises:
            ValueError: ``trainable`` and ``stop_on`` overlap.
        """
        if (self.trainable & self.stop_on).any():
            raise ValueError(f"{int((self.trainable & self.stop_on).sum())} items are both trainable and stopped on")

    def of_items(self, items: Mask) -> "TrainingData":
        """Return the same of some items (n_items,); all users stay."""
        rows = np.flatnonzero(items)
        return TrainingData(
            pieces=[self.pieces[row] for row in rows],
            user_factors=self.user_factors,
            item_factors=self.item_factors[rows],
            train=sparse.csr_matrix(self.train[:, rows]),
            trainable=self.trainable[rows],
            stop_on=self.stop_on[rows],
            categories=None if self.categories is None else sparse.csr_matrix(self.categories[rows]),
        )

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything training reads, 16 hex digits."""
        digest = hashlib.sha256(repr(self.pieces).encode())
        for array in (self.user_factors, self.item_factors, self.train.indptr, self.train.indices, self.trainable):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self.stop_on.tobytes())
        if self.categories is not None:
            digest.update(self.categories.indices.tobytes() + self.categories.indptr.tobytes())
        return digest.hexdigest()[:16]
