"""What items with interactions say of items with a text like theirs: kernel ridge regression on embeddings.

    a(e) = (K + ρI)⁻¹ k(e),   k(e, e') = exp(-γ|e - e'|²) + 1

Saunders, Gammerman & Vovk 1998, "Ridge regression learning algorithm in dual variables", eq. 9. What is predicted is
linear in what the known items have of it, so one row of shares a(e) serves factors (v = Σ_j a_j v_j) and item-item
weights (b = Σ_j a_j b_j) alike. A linear map of the text (W e) sees directions that all items share; this one also sees
that an item is the next season of another.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailor.linear_algebra import inverse_spd
from tailor.models.base import Floats
from tailor.options import KernelOptions

#: Cells of k(e) that are laid out at a time; 8 bytes each.
_CELLS = 20_000_000


class TextKernel:
    """Shares of known items, the landmarks, in items of which only the text is known."""

    def __init__(self, options: KernelOptions, features: Floats, landmarks: NDArray[np.int64]) -> None:
        """Remember what is known; the inverse (n³ operations, n landmarks) waits until it is needed.

        Args:
            options: width, ridge.
            features: embeddings of the fitted items (n_items, m).
            landmarks: internal ids of the items with interactions (n,).
        """
        self.options, self.features, self.landmarks = options, features, landmarks

    @classmethod
    def on(cls, options: KernelOptions, features: Floats, counts: NDArray[np.int64]) -> "TextKernel":
        """Take the items with interactions, of more than ``options.max_items`` those that have most.

        Args:
            options: width, ridge, max_items.
            features: embeddings (n_items, m).
            counts: interactions (n_items,).
        """
        known = np.flatnonzero(counts)
        most = known[np.argsort(-counts[known], kind="stable")[: options.max_items]]
        return cls(options, features, np.sort(most))

    def _kernel(self, features: NDArray[Any]) -> NDArray[np.float64]:
        e, known = features.astype(np.float64), self.features[self.landmarks].astype(np.float64)
        distance = (e**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * (e @ known.T)
        return np.asarray(np.exp(-self.options.width * np.maximum(distance, 0)) + 1)

    @cached_property
    def _inverse(self) -> Floats:
        kernel = self._kernel(self.features[self.landmarks])
        np.einsum("ii->i", kernel)[:] += self.options.ridge
        return inverse_spd(kernel).astype(np.float32)

    def blocks(self, features: Floats) -> Iterator[tuple[slice, Floats]]:
        """Yield the shares (b, n) of the landmarks in some of the items at a time, and which they are.

        Args:
            features: embeddings (a, m); narrower ones than those of the fit lack its last dimensions, which are 0.
        """
        wide = np.zeros((len(features), self.features.shape[1]), np.float32)
        wide[:, : features.shape[1]] = features
        size = max(1, _CELLS // max(len(self.landmarks), 1))
        for start in range(0, len(wide), size):
            rows = slice(start, start + size)
            kernel = self._kernel(wide[rows]).astype(np.float32)
            yield rows, kernel @ self._inverse if len(self.landmarks) else kernel

    def predict(self, features: Floats, targets: NDArray[Any]) -> NDArray[Any]:
        """Return what items with texts ``features`` (a, m) have (a, r) where the landmarks have ``targets`` (n, r)."""
        out = np.zeros((len(features), targets.shape[1]), targets.dtype)
        for rows, shares in self.blocks(features):
            out[rows] = shares @ targets
        return out

    def left_out(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Return what each landmark would have by its text if it were not a landmark itself (n, r).

        With H = (K + ρI)⁻¹ that is y_j - (H y)_j / H_jj: Rifkin & Lippert 2007, "Notes on regularized least squares",
        eq. 10.
        """
        if not len(targets):
            return targets
        return np.asarray(targets - (self._inverse @ targets) / np.diag(self._inverse)[:, None], dtype=targets.dtype)

    def text_factors(self, factors: NDArray[Any]) -> Floats:
        """Return the factors that each item's text predicts (n_items, d), a landmark's without itself.

        Args:
            factors: what factorization found (n_items, d), of items that joined after the fit too.
        """
        found = factors.astype(np.float32)
        known, others = factors[self.landmarks].astype(np.float32), np.ones(len(self.features), dtype=bool)
        others[self.landmarks] = False
        found[: len(others)][others] = self.predict(self.features[others], known)
        found[self.landmarks] = self.left_out(known)
        return found
