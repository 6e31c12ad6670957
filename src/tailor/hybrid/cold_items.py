"""What items with interactions say of items with a text like theirs: kernel ridge regression on embeddings.

    a(e) = (K + ρI)⁻¹ k(e),   k(e, e') = exp(-γ|e - e'|²) + 1

Where items have vectors of other kinds beside their text, each part has a kernel of its own; validation weighs them:

    k(e, e') = Σ_m w_m exp(-γ|e_m - e'_m|²) / √(s s') + 1,   s = Σ w_m over the parts that e has

with m over the parts that both items have. So an item that lacks a part is compared by the others, and k is still a
kernel: weights shared out pair by pair would not make one (ADR 33).

Saunders, Gammerman & Vovk 1998, "Ridge regression learning algorithm in dual variables", eq. 9. What is predicted is
linear in what the known items have of it, so one row of shares a(e) serves factors (v = Σ_j a_j v_j) and item-item
weights (b = Σ_j a_j b_j) alike. A linear map of the text (W e) sees directions that all items share; this one also sees
that an item is the next season of another.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from tailor.data.item_vectors import slices_of, unit_part
from tailor.errors import BadInputError
from tailor.hybrid.config import ColdItemOptions
from tailor.linear_algebra import add_to_diagonal, inverse_spd
from tailor.models.base import Floats, Indices
from tailor.progress import progress
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

    @staticmethod
    def fit(options: ColdItemOptions, features: Floats, counts: Indices) -> "KernelImputer":
        """Choose the landmarks: the items with interactions, of more than ``max_items`` those that have most.

        The inverse (l³ operations) waits until it is needed, and is computed once for all fits on the same embeddings
        and landmarks: as long as another scorer holds that imputer, it is returned itself.

        Args:
            options: width, ridge, max_items; parts of the embeddings and their weights.
            features: embeddings (n_items, m).
            counts: interactions (n_items,).
        """
        known = np.flatnonzero(counts)
        most = known[np.argsort(-counts[known], kind="stable")[: options.max_items]]
        imputer = KernelImputer(options, features, np.sort(most))
        return _LIVE.setdefault(imputer.fingerprint, imputer)

    @property
    def fingerprint(self) -> str:
        """A hash of all that the shares hang on."""
        digest = hashlib.blake2b(self.options.model_dump_json().encode(), digest_size=16)
        for array in (self.features, self.landmarks):
            digest.update(repr((array.shape, array.dtype)).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def after(self, before: object) -> Self:
        """Return the same imputer, with the inverse of an earlier one where that has the same landmarks and options.

        An update keeps them unless an item is taken for the first time; its inverse is the largest part that is the
        same before and after.
        """
        if not isinstance(before, KernelImputer) or "_inverse" not in before.__dict__:
            return self
        alike = before.options == self.options and np.array_equal(before.landmarks, self.landmarks)
        if alike and np.array_equal(before.features[before.landmarks], self.features[self.landmarks]):
            self.__dict__["_inverse"] = before._inverse
        return self

    def _kernel(self, features: AnyArray) -> NDArray[np.float64]:
        known = self.features[self.landmarks]
        if len(self.options.dimensions) < 2:
            kernel = self._gaussian(features.astype(np.float64), known.astype(np.float64))
            kernel += 1
            return kernel
        return self._kernel_of_parts(features.astype(np.float64), known.astype(np.float64))

    def _gaussian(self, e: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
        kernel = e @ known.T
        of_e, of_known = (e**2).sum(axis=1)[:, None], (known**2).sum(axis=1)
        for rows in row_blocks(len(kernel)):  # in place: it is the largest matrix of a fit
            distance = of_e[rows] + of_known - 2 * kernel[rows]
            kernel[rows] = np.exp(-self.options.width * np.maximum(distance, 0))
        return np.asarray(kernel)

    def _kernel_of_parts(self, e: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
        kernel, weights = np.ones((len(e), len(known))), self.options.weight_of
        of_e, of_known = (self._root_shares(rows) for rows in (e, known))
        for name, place in self._slices.items():
            if weights[name]:
                part = self._gaussian(unit_part(e, place), unit_part(known, place))
                kernel += of_e[name][:, None] * part * of_known[name]
        return kernel

    def _root_shares(self, e: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return √(w_m / s) of each part (n,), 0 of a part that an item lacks."""
        weights = {
            name: weight * e[:, self._slices[name]].any(axis=1) for name, weight in self.options.weight_of.items()
        }
        total = np.sum(list(weights.values()), axis=0)
        return {name: np.sqrt(weight / np.where(total > 0, total, 1)) for name, weight in weights.items()}

    @cached_property
    def _slices(self) -> dict[str, slice]:
        slices, width = slices_of(self.options.dimensions), self.features.shape[1]
        if sum(self.options.dimensions.values()) != width:
            parts = ", ".join(f"{name} {size}" for name, size in self.options.dimensions.items())
            raise BadInputError(f"Embeddings have {width} numbers, but the hybrid was chosen for {parts}: run it again")
        return slices

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
        parts = row_blocks(len(wide), max(1, _CELLS // max(len(self.landmarks), 1)))
        for rows in progress(parts, "cold items", "block") if len(parts) > 1 else parts:
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


#: Imputers that somebody holds, by fingerprint: option sets that differ in sources share the inverse of one.
_LIVE: WeakValueDictionary[str, KernelImputer] = WeakValueDictionary()


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
