"""What everybody takes: train interactions per item."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tailor.appending import append
from tailor.models.base import FittedModel, Floats, Model, NoConfig, Query, State, TrainSet
from tailor.models.registry import register_model


@dataclass(frozen=True, eq=False)
class FittedPopular(FittedModel):
    """Train interactions per item, each by its confidence."""

    recipe: Model[NoConfig]
    counts: Floats
    """(n_items,)."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.counts)

    def _score(self, query: Query) -> Floats:
        return np.tile(self.counts, (len(query), 1))

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {"counts": self.counts}

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: nobody has taken them."""
        return replace(self, counts=append(self.counts, np.zeros(len(features), np.float32)))


@register_model("popular")
class Popular(Model[NoConfig]):
    """The most popular items for everybody."""

    def fit(self, data: TrainSet) -> FittedPopular:
        """See :meth:`Model.fit`."""
        return FittedPopular(self, np.asarray(data.weights.sum(axis=0), dtype=np.float32).ravel())

    def load(self, state: State) -> FittedPopular:
        """See :meth:`Model.load`."""
        return FittedPopular(self, state["counts"])
