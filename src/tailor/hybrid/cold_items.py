"""What items with interactions say of items with a text like theirs: kernel ridge regression on embeddings.

    a(e) = (K + ρI)⁻¹ k(e),   k(e, e') = exp(-γ|e - e'|²) + 1

Saunders, Gammerman & Vovk 1998, "Ridge regression learning algorithm in dual variables", eq. 9. What is predicted is
linear in what the known items have of it, so one row of shares a(e) serves factors (v = Σ_j a_j v_j) and item-item
weights (b = Σ_j a_j b_j) alike. A linear map of the text (W e) sees directions that all items share; this one also sees
that an item is the next season of another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tailor.hybrid.config import ColdItemOptions
from tailor.linear_algebra import add_to_diagonal, inverse_spd
from tailor.models.base import Floats, Indices
from tailor.threads import blocks as row_blocks
from tailor.types import AnyArray

#: Cells of k(e) that are laid out at a time; 8 bytes each.
_CELLS = 20_000_000


@dataclass(frozen=True, eq=False)
class KernelImputer:
    """Shares of the items with interactions, the landmarks, in items of which only the text is known."""

    options: ColdItemOptions
    features: Floats
    """Embeddings of the items of the fit (n_items, m)."""
    landmarks: Indices
    """Items with interactions (l,)."""

    @classmethod
    def fit(cls, options: ColdItemOptions, features: Floats, counts: Indices) -> Self:
        """Choose the landmarks: the items with interactions, of more than ``max_items`` those that have most.

        The inverse (l³ operations) waits until it is needed.

        Args:
            options: width, ridge, max_items.
            features: embeddings (n_items, m).
            counts: interactions (n_items,).
        """
        known = np.flatnonzero(counts)
        most = known[np.argsort(-counts[known], kind="stable")[: options.max_items]]
        return cls(options, features, np.sort(most))

    def _kernel(self, features: AnyArray) -> NDArray[np.float64]:
        e, known = features.astype(np.float64), self.features[self.landmarks].astype(np.float64)
        kernel = e @ known.T
        of_e, of_known = (e**2).sum(axis=1)[:, None], (known**2).sum(axis=1)
        for rows in row_blocks(len(kernel)):  # in place: it is the largest matrix of a fit
            distance = of_e[rows] + of_known - 2 * kernel[rows]
            kernel[rows] = np.exp(-self.options.width * np.maximum(distance, 0)) + 1
        return np.asarray(kernel)

    @cached_property
    def _inverse(self) -> Floats:
        kernel = self._kernel(self.features[self.landmarks])
        add_to_diagonal(kernel, self.options.ridge)
        return inverse_spd(kernel).astype(np.float32)

    def blocks(self, features: Floats) -> Iterator[tuple[slice, Floats]]:
        """Yield the shares (b, l) of the landmarks in some of the items at a time, and which they are.

        Args:
            features: embeddings (a, m); narrower ones than those of the fit lack its last dimensions, which are 0.
        """
        wide = np.zeros((len(features), self.features.shape[1]), np.float32)
        wide[:, : features.shape[1]] = features
        for rows in row_blocks(len(wide), max(1, _CELLS // max(len(self.landmarks), 1))):
            kernel = self._kernel(wide[rows]).astype(np.float32)
            yield rows, kernel @ self._inverse if len(self.landmarks) else kernel

    def prepared(self, features: Floats) -> "PreparedImputer":
        """Return the same with the shares of some items (a, m) computed once, for all that asks for them."""
        shares = np.zeros((len(features), len(self.landmarks)), np.float32)
        for rows, some in self.blocks(features):
            shares[rows] = some
        return PreparedImputer(self, features, shares)

    def predict(self, features: Floats, targets: AnyArray) -> AnyArray:
        """Return what items with texts ``features`` (a, m) have (a, x) where the landmarks have ``targets`` (l, x)."""
        out = np.zeros((len(features), targets.shape[1]), targets.dtype)
        for rows, shares in self.blocks(features):
            out[rows] = shares @ targets
        return out

    def left_out(self, targets: AnyArray) -> AnyArray:
        """Return what each landmark would have by its text if it were not a landmark itself (l, x).

        With H = (K + ρI)⁻¹ that is y_j - (H y)_j / H_jj: Rifkin & Lippert 2007, "Notes on regularized least squares",
        eq. 10.
        """
        if not len(targets):
            return targets
        return np.asarray(targets - (self._inverse @ targets) / np.diag(self._inverse)[:, None], dtype=targets.dtype)

    def left_out_targets(self, targets: Floats) -> Floats:
        """Return what the text of every item of the fit predicts (n_items, x), a landmark's without itself.

        Args:
            targets: what items have (n_items, x).
        """
        others = np.ones(len(self.features), dtype=bool)
        others[self.landmarks] = False
        known, predicted = targets[self.landmarks], targets.copy()
        predicted[others] = self.predict(self.features[others], known)
        predicted[self.landmarks] = self.left_out(known)
        return predicted


@dataclass(frozen=True, eq=False)
class PreparedImputer:
    """An imputer that knows the shares of some items already."""

    imputer: KernelImputer
    features: Floats
    """The texts of these items (a, m), as they will be asked for: this very array."""
    shares: Floats
    """Of the landmarks in them (a, l)."""

    @property
    def landmarks(self) -> Indices:
        """Items with interactions (l,)."""
        return self.imputer.landmarks

    def blocks(self, features: Floats) -> Iterator[tuple[slice, Floats]]:
        """Yield shares (b, l) of the landmarks in some of the items at a time, and which they are."""
        if features is self.features:
            yield slice(0, len(features)), self.shares
        else:
            yield from self.imputer.blocks(features)

    def predict(self, features: Floats, targets: AnyArray) -> AnyArray:
        """Return what items with texts ``features`` (a, m) have (a, x) where the landmarks have ``targets`` (l, x)."""
        if features is not self.features:
            return self.imputer.predict(features, targets)
        return np.asarray(self.shares @ targets, dtype=targets.dtype)
