"""What is taken in such a moment more than at other times: ridge regression on the context of interactions.

    score(c) = x_c B,   B = (XᵀX + λI)⁻¹ Xᵀ(E - 1pᵀ),   p = mean row of E

with one row per train interaction: X its centred context (device, hour, shop, …), E the indicator of its item. With one
column of context this is the lift of an item's share in that context, shrunk toward none. A request that tells no
context has x = 0.
"""

import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.side_features import SideFeatures
from tailor.models.base import Engine, Floats, Mask, State
from tailor.options import ContextRidgeOptions


class Context(Engine[ContextRidgeOptions]):
    """Ridge regression on contexts; where the catalogue has none, all scores are 0.

    Context belongs to requests, not to users: the s-th of :meth:`meeting` is user -2 - s, all others are in none.
    """

    options_class = ContextRidgeOptions

    def __init__(self, options: ContextRidgeOptions, seed: int = 0, told: SideFeatures | None = None) -> None:
        """Remember the contexts of interactions; those of the matrix that is fitted on will count."""
        super().__init__(options, seed)
        self.told = told or SideFeatures.nothing()
        self.moments: Floats = np.zeros((0, self.told.moments.shape[1]), np.float32)

    def meeting(self, moments: Floats) -> Self:
        """Return an engine for requests in some contexts (s, r)."""
        twin = copy.copy(self)
        twin.moments = moments
        return twin

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        t, n = self.told, train.shape[1]
        width = t.moments.shape[1]
        self.weights: Floats = np.zeros((width, n), np.float32)
        if not width:
            return
        trainable = np.asarray(train[t.users, t.items] > 0).ravel()
        X, items = t.moments[trainable].astype(np.float64), t.items[trainable]
        taken = sparse.csr_matrix((np.ones(len(items)), (np.arange(len(items)), items)), shape=(len(items), n))
        share = np.bincount(items, minlength=n) / max(len(items), 1)
        target = (taken.T @ X).T - np.outer(X.sum(axis=0), share)
        normal = X.T @ X + self.options.regularization * np.eye(width)
        self.weights = np.linalg.solve(normal, target).astype(np.float32)

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        asked, at = np.zeros((len(users), len(self.weights)), np.float32), -2 - users
        known = (at >= 0) & (at < len(self.moments))
        asked[known] = self.moments[at[known]]
        return np.asarray(asked @ self.weights, dtype=np.float32)

    def _append(self, features: Floats) -> None:
        none = np.zeros((len(self.weights), len(features)), np.float32)
        self.weights = np.hstack([self.weights, none])

    def _state(self) -> State:
        return {"weights": self.weights}

    def _load(self, state: State) -> None:
        self.weights = state["weights"]
        self.moments = np.zeros((0, len(self.weights)), np.float32)
