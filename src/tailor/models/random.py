"""What an order without any evidence is worth: a seeded hash, and one score for all."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from tailor.data.hashing import splitmix64
from tailor.models.base import FittedModel, Floats, Model, NoConfig, Query, State, TrainSet
from tailor.models.registry import register_model


@dataclass(frozen=True, eq=False)
class FittedConstant(FittedModel):
    """The same score for everything."""

    recipe: Model[NoConfig]
    size: int
    """n_items."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return self.size

    def _score(self, query: Query) -> Floats:
        return np.zeros((len(query), self.n_items), dtype=np.float32)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {"n_items": np.array([self.size])}

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`."""
        return replace(self, size=self.size + len(features))


class FittedRandom(FittedConstant):
    """A seeded hash of (user, item): uniform, and the same in any block."""

    def _score(self, query: Query) -> Floats:
        rows = splitmix64(query.user_index.astype(np.uint64) + np.uint64(self.recipe.seed))
        hashes = splitmix64(rows[:, None] ^ splitmix64(np.arange(self.n_items, dtype=np.uint64)))
        return (hashes >> np.uint64(40)).astype(np.float32)


@register_model("constant")
class Constant(Model[NoConfig]):
    """What the tie-breaking alone is worth."""

    def fit(self, data: TrainSet) -> FittedConstant:
        """See :meth:`Model.fit`."""
        return FittedConstant(self, data.n_items)

    def load(self, state: State) -> FittedConstant:
        """See :meth:`Model.load`."""
        return FittedConstant(self, int(state["n_items"][0]))


@register_model("random")
class Random(Model[NoConfig]):
    """A list drawn evenly from the catalogue."""

    def fit(self, data: TrainSet) -> FittedRandom:
        """See :meth:`Model.fit`."""
        return FittedRandom(self, data.n_items)

    def load(self, state: State) -> FittedRandom:
        """See :meth:`Model.load`."""
        return FittedRandom(self, int(state["n_items"][0]))
