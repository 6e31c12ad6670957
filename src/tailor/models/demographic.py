"""What people with such a profile take more than others: ridge regression on what is known of users.

    score(u) = x_u B,   B = (XᵀX + λI)⁻¹ Xᵀ(R - 1pᵀ),   p = mean row of R

with R the 0/1 interactions of the users with any, X their centred profiles (:mod:`tailor.data.side_features`). What is
popular, p, is another source's; a user of whom nothing is known has x = 0. The linear map from user attributes of
Gantner et al. 2010, "Learning attribute-to-feature mappings for cold-start recommendations", §4.3, straight to the
items.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy import sparse

from tailor.appending import append_columns
from tailor.config import Options, Positive
from tailor.linear_algebra import plus_diagonal, solve_spd
from tailor.models.base import FittedModel, Floats, Model, Query, State, TrainSet
from tailor.models.registry import register_model


class DemographicConfig(Options):
    """Configuration of :class:`Demographic`."""

    regularization: Positive = 100.0
    """λ, in users."""


@dataclass(frozen=True, eq=False)
class FittedDemographic(FittedModel):
    """Weights from profiles to items."""

    recipe: Model[DemographicConfig]
    weights: Floats
    """B (q, n_items); without rows where the catalogue has no profiles, then all scores are 0."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.weights.shape[1])

    def _score(self, query: Query) -> Floats:
        if not len(self.weights) or not query.profile.shape[1]:
            return np.zeros((len(query), self.n_items), np.float32)
        return np.asarray(query.profile @ self.weights, dtype=np.float32)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: nobody has taken them, they score 0."""
        none = np.zeros((len(self.weights), len(features)), np.float32)
        return replace(self, weights=append_columns(self.weights, none))

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {"weights": self.weights}


@register_model("demographic")
class Demographic(Model[DemographicConfig]):
    """Ridge regression from profiles to items."""

    config_class = DemographicConfig

    def fit(self, data: TrainSet) -> FittedDemographic:
        """See :meth:`Model.fit`."""
        profiles, width = data.profiles, data.profiles.shape[1]
        if not width:
            return FittedDemographic(self, np.zeros((0, data.n_items), np.float32))
        users = np.flatnonzero(np.diff(data.interactions.indptr)[: len(profiles)] > 0)
        X, R = profiles[users].astype(np.float64), sparse.csr_matrix(data.interactions[users])
        mean = np.asarray(R.mean(axis=0), dtype=np.float64).ravel()
        target = (R.T @ X).T - np.outer(X.sum(axis=0), mean)
        return FittedDemographic(
            self, solve_spd(plus_diagonal(X.T @ X, self.config.regularization), target).astype(np.float32)
        )

    def load(self, state: State) -> FittedDemographic:
        """See :meth:`Model.load`."""
        return FittedDemographic(self, state["weights"])
