"""The hybrid scorer (DESIGN §6): sources standardised per user, mixed by a gate that validation fitted, under dials.

Items with train interactions, items without, and short histories have weights of their own; a user without any history
gets the popular items.
"""

import copy
from collections.abc import Iterator
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.cf.base import Engine, Floats, Mask, State
from tailor.cf.baselines import Constant, Popular, TextKNN
from tailor.cf.ease import EASE
from tailor.cf.ials import IALS
from tailor.cf.registry import register
from tailor.cf.sequence import Sequence
from tailor.data.matrices import binary
from tailor.errors import BadInputError
from tailor.hybrid.click import ClickHead
from tailor.hybrid.gate import SOURCES, Gate, Sides, mix
from tailor.options import Dials, EASEOptions, IALSOptions, Options, Quadratic, SequenceOptions


class HybridEngineOptions(Options):
    """Options of the arms, and where the dials stand."""

    ials: IALSOptions = IALSOptions()
    ease: EASEOptions = EASEOptions()
    sequence: SequenceOptions = SequenceOptions()
    dials: Dials = Dials()
    without: tuple[Quadratic, ...] = ()
    """Arms that stay silent."""


@register
class Hybrid(Engine[HybridEngineOptions]):
    """Text-prior iALS, text EASE, what follows on the latest items, text similarity and popularity in one score."""

    options_class = HybridEngineOptions
    reads_order = True
    scores_cold_items = True

    def __init__(
        self, options: HybridEngineOptions, seed: int = 0, gate: Gate | None = None, click: ClickHead | None = None
    ) -> None:
        super().__init__(options, seed)
        self.gate, self.click = gate or Gate(), click
        self._fitted: tuple[str, ...] = ()
        arms = (
            IALS(options.ials, seed),
            EASE(options.ease, seed),
            Sequence(options.sequence, seed),
            TextKNN(TextKNN.options_class(), seed),
            Popular(Popular.options_class(), seed),
        )
        self.sources: dict[str, Engine[Any]] = dict(zip(SOURCES, arms, strict=True))
        for name in options.without:
            self.sources[name] = Constant(Constant.options_class(), seed)

    def _twin(self, options: HybridEngineOptions, gate: Gate) -> Self:
        """Return a scorer on the same fitted sources."""
        other = type(self)(options, self.seed, gate, self.click)
        other.sources, other.n_items, other.warm = self.sources, self.n_items, self.warm
        other.tail, other.popularity = self.tail, self.popularity
        return other

    def with_gate(self, gate: Gate) -> Self:
        """Return a scorer that shares the fitted sources and mixes them by ``gate``."""
        return self._twin(self.options, gate)

    def with_dials(self, dials: Dials) -> Self:
        """Return a scorer that shares everything but stands at other dials."""
        return self._twin(self.options.model_copy(update={"dials": dials}), self.gate)

    def with_click(self, click: ClickHead) -> Self:
        """Return a scorer that shares everything and has a head for click probabilities."""
        other = self._twin(self.options, self.gate)
        other.click = click
        return other

    def fit_around(self, factors: IALS | None, train: sparse.csr_matrix, warm: Mask, features: Floats) -> Self:
        """Fit as :meth:`fit` does, but take a factorization that was fitted on the same data already."""
        if factors is not None:
            self.sources["mf"] = factors
            self._fitted = ("mf",)
        return self.fit(train, warm, features)

    def updated(self, train: sparse.csr_matrix, features: Floats, sweeps: int) -> Self:
        """Return a scorer that knows more interactions, under the same gate and dials.

        Closed forms are computed anew, factors go on from where they stand (:meth:`IALS.updated`).

        Args:
            train: all interactions (U, n_items), values in order.
            features: text embeddings (n_items, m).
            sweeps: of the factorization.
        """
        warm = self.warm | (np.bincount(train.indices, minlength=train.shape[1]) > 0)
        factors = cast(IALS, self.sources["mf"]).updated(train, warm, features, sweeps)
        return type(self)(self.options, self.seed, self.gate, self.click).fit_around(factors, train, warm, features)

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:
        self.warm = warm
        for name, source in self.sources.items():
            if name not in self._fitted:
                source.fit(train, warm, features)
        self._fitted = ()
        counts = np.asarray((train > 0).sum(axis=0), dtype=np.int64).ravel()
        self.tail = warm & ~head(counts, self.options.dials.head_share)
        logs = np.log1p(counts.astype(np.float64))
        deviation = logs[warm].std() if warm.any() else 0.0
        centred = logs - (logs[warm].mean() if warm.any() else 0.0)
        self.popularity: Floats = (centred / (deviation or 1.0)).astype(np.float32)

    def standardised(self, history: sparse.csr_matrix, weights: sparse.csr_matrix | None = None) -> Iterator[Floats]:
        """Yield each source's scores (B, n_items), mean 0 and deviation 1 over a user's warm items."""
        for source in self.sources.values():
            scores = source.score(history, weights=weights)
            warm = scores[:, self.warm]
            deviation = warm.std(axis=1, keepdims=True)
            yield (scores - warm.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)

    def sides(self, history: sparse.csr_matrix, whole: bool) -> Sides:
        """Return what weights may depend on; ``whole``: factors and text profiles too, each of length 1."""
        activity = np.log1p(np.diff(history.indptr)).astype(np.float32)
        if not whole:
            return Sides(activity, self.popularity)
        mf, text = cast(IALS, self.sources["mf"]), cast(TextKNN, self.sources["text"])
        items = (mf.item_factors, text.features)
        plain = binary(history)
        users = (mf.fold_in(plain), plain @ text.features / np.maximum(np.diff(history.indptr), 1)[:, None])
        return Sides(activity, self.popularity, _unit(users), _unit(items))

    def score(
        self,
        history: sparse.csr_matrix,
        users: NDArray[np.int64] | None = None,
        weights: sparse.csr_matrix | None = None,
    ) -> Floats:
        """See :meth:`Engine.score`; each source takes of the history what it reads."""
        return super().score(history, users) if weights is None else self.scored(history, weights)[0]

    def _weighed(self, history: sparse.csr_matrix, weights: sparse.csr_matrix | None) -> sparse.csr_matrix:  # noqa: ARG002
        return history

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return self.scored(history)[0]

    def scored(
        self, history: sparse.csr_matrix, weights: sparse.csr_matrix | None = None
    ) -> tuple[Floats, list[Floats]]:
        """Return scores (B, n_items) and the standardised scores of the sources behind them."""
        z, sides = list(self.standardised(history, weights)), self.sides(history, self.gate.warm.reads_sides)
        return mix(z, self.gate, self.options.dials, self.warm, self.tail, sides), z

    def _append(self, features: Floats) -> None:
        popular = cast(Popular, self.sources["popular"]).counts
        logs = np.log1p(popular.astype(np.float64))[self.warm] if self.warm.any() else np.zeros(1)
        none = np.full(len(features), -logs.mean() / (logs.std() or 1.0), np.float32)
        self.sources = {name: source.extended(features) for name, source in self.sources.items()}
        self.popularity = np.append(self.popularity, none)
        no = np.zeros(len(features), dtype=bool)
        self.warm, self.tail = np.append(self.warm, no), np.append(self.tail, no)

    def with_texts(self, rows: NDArray[np.int64], features: Floats) -> Self:
        """Return a scorer that knows other texts (r, m) of items with interactions; their factors stay."""
        other = self._twin(self.options, self.gate)
        text = copy.copy(cast(TextKNN, self.sources["text"]))
        text.features = text.features.copy()
        text.features[rows] = features
        other.sources = self.sources | {"text": text}
        return other

    def click_probability(self, history: sparse.csr_matrix, horizon: float = 1.0) -> NDArray[np.float64]:
        """Return the chance (B, n_items) that each item is taken up within ``horizon`` validation windows.

        Raises:
            BadInputError: the scorer has no click head.
        """
        if self.click is None:
            raise BadInputError("this scorer was fitted without a click head")
        history = sparse.csr_matrix(history, dtype=np.float32)
        scores = self.with_dials(Dials()).score(history)
        return self.click.probability(scores, self.sides(history, whole=False), self.warm, horizon)

    def _state(self) -> State:
        head = {} if self.click is None else {"click/theta": self.click.theta}
        arrays = {f"{name}/{key}": value for name, s in self.sources.items() for key, value in s.state().items()}
        gate = {f"gate/{key}": value for key, value in self.gate.state().items()}
        return {"warm": self.warm, "tail": self.tail, "popularity": self.popularity, **arrays, **gate, **head}

    def _load(self, state: State) -> None:
        self.warm, self.tail = state["warm"].astype(bool), state["tail"].astype(bool)
        self.popularity = state["popularity"]
        self.gate = Gate.from_state(_part(state, "gate"))
        self.click = ClickHead(state["click/theta"]) if "click/theta" in state else None
        for name, source in self.sources.items():
            self.sources[name] = type(source).from_state(_part(state, name), source.options, self.seed)


def head(counts: NDArray[np.int64], share: float) -> Mask:
    """Mark the most popular items that together hold ``share`` of all interactions, ties at the border included."""
    order = np.argsort(-counts, kind="stable")
    held = np.cumsum(counts[order])
    border = counts[order[np.searchsorted(held, share * held[-1])]] if len(counts) and held[-1] else 0
    return np.asarray((counts >= border) & (counts > 0))


def _unit(blocks: tuple[NDArray[Any], ...]) -> Floats:
    """Put blocks (R, ·) side by side, the rows of each scaled to length 1 (zeros stay)."""
    lengths = [np.sqrt((block**2).sum(axis=1, keepdims=True)) for block in blocks]
    scaled = [block / np.where(length > 0, length, 1) for block, length in zip(blocks, lengths, strict=True)]
    return np.hstack(scaled).astype(np.float32)


def _part(state: State, name: str) -> State:
    return {key.split("/", 1)[1]: value for key, value in state.items() if key.startswith(f"{name}/")}
