"""The hybrid scorer, first version: a validated mixture of sources with a cold shift (DESIGN §6).

Every source is standardised per user over the warm items. Warm items mix the sources with one set of weights, items
without train interactions with another (the gate on n_item in its simplest form), plus a shift that says how readily
they enter a mixed list. Short histories have weights of their own; a user without any gets the popular items.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from tailor.cf.base import Engine, Floats, Mask, State
from tailor.cf.baselines import Popular, TextKNN
from tailor.cf.ease import EASE
from tailor.cf.ials import IALS
from tailor.cf.registry import register
from tailor.options import EASEOptions, IALSOptions, Options

SOURCES = ("mf", "ease", "text", "popular")
Weight = Annotated[float, Field(ge=0.0, le=1.0)]


Weights = tuple[Weight, Weight, Weight, Weight]


class GateOptions(Options):
    """The mixture that validation chose: weights on the simplex over SOURCES, and the cold shift."""

    warm: Weights = (1.0, 0.0, 0.0, 0.0)
    """Weights for items with train interactions."""
    newcomer: tuple[tuple[int, Weights], ...] = ()
    """(longest history, weights for items with train interactions) in rising order; longer ones take ``warm``."""
    cold: Weights = (1.0, 0.0, 0.0, 0.0)
    """Weights for items without."""
    shift: float = 0.0
    """Added to the score of items without train interactions, in standard deviations of the user's warm scores."""

    def by_history(self, lengths: NDArray[Any]) -> Iterator[tuple[Weights, NDArray[np.int64]]]:
        """Yield each set of warm weights with the rows it is for, from history lengths (B,)."""
        bounds = np.array([longest for longest, _ in self.newcomer], dtype=np.int64)
        which = np.searchsorted(bounds, lengths)
        for at, weights in enumerate([*(weights for _, weights in self.newcomer), self.warm]):
            rows = np.flatnonzero(which == at)
            if len(rows):
                yield weights, rows


class HybridEngineOptions(Options):
    """Options of the arms and the gate."""

    ials: IALSOptions = IALSOptions()
    ease: EASEOptions = EASEOptions()
    gate: GateOptions = GateOptions()


@register
class Hybrid(Engine[HybridEngineOptions]):
    """Text-prior iALS, text EASE, text similarity and popularity in one score."""

    options_class = HybridEngineOptions
    scores_cold_items = True

    def __init__(self, options: HybridEngineOptions, seed: int = 0) -> None:
        super().__init__(options, seed)
        self._fitted: tuple[str, ...] = ()
        self.sources: dict[str, Engine[Any]] = {
            "mf": IALS(options.ials, seed),
            "ease": EASE(options.ease, seed),
            "text": TextKNN(TextKNN.options_class(), seed),
            "popular": Popular(Popular.options_class(), seed),
        }

    def with_gate(self, gate: GateOptions) -> Self:
        """Return a scorer that shares the fitted sources and mixes them by ``gate``."""
        other = type(self)(self.options.model_copy(update={"gate": gate}), self.seed)
        other.sources, other.n_items, other.warm = self.sources, self.n_items, self.warm
        return other

    def fit_around(self, factors: IALS | None, train: sparse.csr_matrix, warm: Mask, features: Floats) -> Self:
        """Fit as :meth:`fit` does, but take a factorization that was fitted on the same data already."""
        if factors is not None:
            self.sources["mf"] = factors
            self._fitted = ("mf",)
        return self.fit(train, warm, features)

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:
        self.warm = warm
        for name, source in self.sources.items():
            if name not in self._fitted:
                source.fit(train, warm, features)
        self._fitted = ()

    def standardised(self, history: sparse.csr_matrix) -> Iterator[Floats]:
        """Yield each source's scores (B, n_items), mean 0 and deviation 1 over a user's warm items."""
        for source in self.sources.values():
            scores = source.score(history)
            warm = scores[:, self.warm]
            deviation = warm.std(axis=1, keepdims=True)
            yield (scores - warm.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return mix(list(self.standardised(history)), self.options.gate, self.warm, np.diff(history.indptr))

    def _state(self) -> State:
        arrays = {f"{name}/{key}": value for name, s in self.sources.items() for key, value in s.state().items()}
        return {"warm": self.warm, **arrays}

    def _load(self, state: State) -> None:
        self.warm = state["warm"].astype(bool)
        for name, source in self.sources.items():
            own = {key.split("/", 1)[1]: value for key, value in state.items() if key.startswith(f"{name}/")}
            self.sources[name] = type(source).from_state(own, source.options, self.seed)


def mix(z: list[Floats], gate: GateOptions, warm: Mask, lengths: NDArray[Any]) -> Floats:
    """Mix standardised sources (each (B, n_items)) of users with histories of ``lengths`` (B,).

    Rows without history get the last source, popularity, alone.
    """
    scores = np.empty_like(z[0])
    for weights, rows in gate.by_history(lengths):
        scores[rows] = weighted(z if len(rows) == len(scores) else [s[rows] for s in z], weights)
    if not warm.all():
        scores[:, ~warm] = weighted([s[:, ~warm] for s in z], gate.cold) + np.float32(gate.shift)
    scores[lengths == 0] = z[-1][lengths == 0]
    return scores


def weighted(z: list[Floats], weights: tuple[float, ...]) -> Floats:
    """Return Σ_s w_s z_s; sources of weight 0 are not touched."""
    total = np.zeros_like(z[0])
    for scores, weight in zip(z, weights, strict=True):
        if weight:
            total += np.float32(weight) * scores
    return total
