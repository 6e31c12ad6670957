"""What is taken in such a moment more than at other times: ridge regression on the context of interactions.

    score(c) = x_c B,   B = (XᵀX + λI)⁻¹ Xᵀ(E - 1pᵀ),   p = mean row of E

with one row per train interaction: X its centred context (device, hour, shop, …), E the indicator of its item. With one
column of context this is the lift of an item's share in that context, shrunk toward none. A query that tells no context
has x = 0.
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


class ContextualConfig(Options):
    """Configuration of :class:`Contextual`."""

    regularization: Positive = 100.0
    """λ, in interactions."""


@dataclass(frozen=True, eq=False)
class FittedContextual(FittedModel):
    """Weights from contexts to items."""

    recipe: Model[ContextualConfig]
    weights: Floats
    """B (r, n_items); without rows where the catalogue has no contexts, then all scores are 0."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.weights.shape[1])

    def _score(self, query: Query) -> Floats:
        if not len(self.weights) or not query.context.shape[1]:
            return np.zeros((len(query), self.n_items), np.float32)
        return np.asarray(query.context @ self.weights, dtype=np.float32)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: nobody has taken them, they score 0."""
        none = np.zeros((len(self.weights), len(features)), np.float32)
        return replace(self, weights=append_columns(self.weights, none))

    def partial_fit(self, data: TrainSet, sweeps: int) -> FittedModel:  # noqa: ARG002
        """See :class:`PartialFit`: contexts of single interactions are not kept, without new ones the weights stay."""
        return self.recipe.fit(data) if len(data.contexts.users) else self

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {"weights": self.weights}


@register_model("contextual")
class Contextual(Model[ContextualConfig]):
    """Ridge regression from contexts to items."""

    config_class = ContextualConfig

    def fit(self, data: TrainSet) -> FittedContextual:
        """See :meth:`Model.fit`."""
        contexts, n = data.contexts, data.n_items
        width = contexts.values.shape[1]
        if not width:
            return FittedContextual(self, np.zeros((0, n), np.float32))
        in_train = np.asarray(data.interactions[contexts.users, contexts.items] > 0).ravel()
        X, items = contexts.values[in_train].astype(np.float64), contexts.items[in_train]
        taken = sparse.csr_matrix((np.ones(len(items)), (np.arange(len(items)), items)), shape=(len(items), n))
        share = np.bincount(items, minlength=n) / max(len(items), 1)
        target = (taken.T @ X).T - np.outer(X.sum(axis=0), share)
        return FittedContextual(
            self, solve_spd(plus_diagonal(X.T @ X, self.config.regularization), target).astype(np.float32)
        )

    def load(self, state: State) -> FittedContextual:
        """See :meth:`Model.load`."""
        return FittedContextual(self, state["weights"])
