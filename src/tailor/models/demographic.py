"""What people with such a profile take more than others: ridge regression on what users tell of themselves.

    score(u) = x_u B,   B = (XᵀX + λI)⁻¹ Xᵀ(R - 1pᵀ),   p = mean row of R

with R the 0/1 interactions of the users with any, X their centred profiles (:mod:`tailor.data.side_features`). What is
popular with everybody, p, is another source's; a user who tells nothing has x = 0. The linear map from user attributes
of Gantner et al. 2010, "Learning attribute-to-feature mappings for cold-start recommendations", §4.3, straight to the
items.
"""

import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.errors import BadInputError
from tailor.models.base import Engine, Floats, Mask, State
from tailor.options import ProfileRidgeOptions


class Profile(Engine[ProfileRidgeOptions]):
    """Ridge regression on profiles; without any, all scores are 0.

    Users are looked up by their internal id; -1 is nobody, -2 - s the s-th of :meth:`meeting`.
    """

    options_class = ProfileRidgeOptions

    def __init__(self, options: ProfileRidgeOptions, seed: int = 0, profiles: Floats | None = None) -> None:
        """Remember the profiles of the users (U, q) who will be fitted on."""
        super().__init__(options, seed)
        self.profiles: Floats = np.zeros((0, 0), np.float32) if profiles is None else profiles
        self.strangers: Floats = np.zeros((0, self.profiles.shape[1]), np.float32)

    def meeting(self, strangers: Floats) -> Self:
        """Return an engine that also knows the profiles (s, q) of users who were not there before."""
        twin = copy.copy(self)
        twin.strangers = strangers
        return twin

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        width, n = self.profiles.shape[1], train.shape[1]
        self.weights = np.zeros((width, n), np.float32)
        if not width:
            return
        if len(self.profiles) > train.shape[0]:
            raise BadInputError(f"there are {len(self.profiles)} profiles of {train.shape[0]} users")
        users = np.flatnonzero(np.diff(train.indptr)[: len(self.profiles)] > 0)
        X, R = self.profiles[users].astype(np.float64), sparse.csr_matrix(train[users])
        mean = np.asarray(R.mean(axis=0), dtype=np.float64).ravel()
        target = (R.T @ X).T - np.outer(X.sum(axis=0), mean)
        self.weights = np.linalg.solve(X.T @ X + self.options.regularization * np.eye(width), target).astype(np.float32)

    def of(self, users: NDArray[np.int64]) -> Floats:
        """Return the profiles (B, q) of users, 0 where nothing is told."""
        out = np.zeros((len(users), self.profiles.shape[1]), np.float32)
        known, strange = (users >= 0) & (users < len(self.profiles)), (users < -1) & (-2 - users < len(self.strangers))
        out[known], out[strange] = self.profiles[users[known]], self.strangers[-2 - users[strange]]
        return out

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return np.asarray(self.of(users) @ self.weights, dtype=np.float32)

    def tells(self, users: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the users (B,) of whom a profile is known."""
        return np.asarray(self.of(users).any(axis=1))

    def _append(self, features: Floats) -> None:
        none = np.zeros((len(self.weights), len(features)), np.float32)
        self.weights = np.hstack([self.weights, none])

    def _state(self) -> State:
        return {"profiles": self.profiles, "weights": self.weights}

    def _load(self, state: State) -> None:
        self.profiles, self.weights = state["profiles"], state["weights"]
        self.strangers = np.zeros((0, self.profiles.shape[1]), np.float32)
