"""The hybrid scorer (DESIGN §6): sources standardised per user, mixed by a gate that validation fitted, under boosts.

Items with train interactions, items without, and short histories have weights of their own; a user without any history
gets the popular items.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.config import Options
from tailor.data.interactions import binary
from tailor.data.side_features import SideFeatures
from tailor.errors import BadInputError
from tailor.hybrid.blend import SOURCES, BlendWeights, MetaFeatures, blend
from tailor.hybrid.click import ClickHead
from tailor.hybrid.cold_items import TextKernel
from tailor.models.base import Engine, Floats, Mask, State
from tailor.models.baselines import Constant, Popular, TextKNN
from tailor.models.contextual import Context
from tailor.models.demographic import Profile
from tailor.models.ease import EASE
from tailor.models.ials import IALS, products
from tailor.models.registry import register
from tailor.models.slit import Sequence
from tailor.options import (
    Boosts,
    ContextRidgeOptions,
    EASEOptions,
    IALSOptions,
    KernelOptions,
    ProfileRidgeOptions,
    Quadratic,
    SequenceOptions,
)
from tailor.threads import blocks

#: Users over whom the average user is taken.
_AVERAGED = 512


class HybridEngineOptions(Options):
    """Options of the arms, and where the boosts stand."""

    ials: IALSOptions = IALSOptions()
    ease: EASEOptions = EASEOptions()
    sequence: SequenceOptions = SequenceOptions()
    context: ContextRidgeOptions = ContextRidgeOptions()
    profile: ProfileRidgeOptions = ProfileRidgeOptions()
    kernel: KernelOptions = KernelOptions()
    boosts: Boosts = Boosts()
    without: tuple[Quadratic, ...] = ()
    """Arms that stay silent."""


@register
class Hybrid(Engine[HybridEngineOptions]):
    """Text-prior iALS, the factors that texts predict, text EASE, what follows on the latest items, text similarity,
    contexts, profiles and popularity in one score.

    Items without interactions take after those with similar texts, in every source: :mod:`tailor.hybrid.cold_items`.
    """

    options_class = HybridEngineOptions
    reads_order = True
    scores_cold_items = True
    kernel: TextKernel
    text_factors: Floats
    """Item factors that the texts predict (n_items, d), each item's without itself."""
    common: Floats
    """Mean standardised scores by source (S, n_items), over users with a history."""
    activity: float
    """Their mean log(1 + length of the history)."""

    def __init__(
        self,
        options: HybridEngineOptions,
        seed: int = 0,
        gate: BlendWeights | None = None,
        click: ClickHead | None = None,
        told: SideFeatures | None = None,
    ) -> None:
        """Put the arms together; ``told``: of the users who will be fitted on, and of their interactions."""
        super().__init__(options, seed)
        self.gate, self.click = gate or BlendWeights(), click
        self._everybody: Floats | None = None
        self._fitted: tuple[str, ...] = ()
        self.sources: dict[str, Engine[Any]] = {
            "mf": IALS(options.ials, seed),
            "ease": EASE(options.ease, seed),
            "sequence": Sequence(options.sequence, seed),
            "text": TextKNN(TextKNN.options_class(), seed),
            "context": Context(options.context, seed, told),
            "profile": Profile(options.profile, seed, None if told is None else told.profiles),
            "popular": Popular(Popular.options_class(), seed),
        }
        for name in options.without:
            self.sources[name] = Constant(Constant.options_class(), seed)

    def _twin(self, options: HybridEngineOptions, gate: BlendWeights) -> Self:
        """Return a scorer on the same fitted sources."""
        other = type(self)(options, self.seed, gate, self.click)
        other.sources, other.n_items, other.warm = self.sources, self.n_items, self.warm
        other.tail, other.popularity = self.tail, self.popularity
        other.kernel, other.text_factors = self.kernel, self.text_factors
        other.common, other.activity = self.common, self.activity
        other._everybody = self._everybody if gate is self.gate else None
        return other

    def with_gate(self, gate: BlendWeights) -> Self:
        """Return a scorer that shares the fitted sources and mixes them by ``gate``."""
        return self._twin(self.options, gate)

    def with_boosts(self, boosts: Boosts) -> Self:
        """Return a scorer that shares everything but stands at other boosts."""
        if boosts.popularity_debias:
            self.population_score()  # once, not for each request at its own boosts
        return self._twin(self.options.model_copy(update={"boosts": boosts}), self.gate)

    def with_click(self, click: ClickHead) -> Self:
        """Return a scorer that shares everything and has a head for click probabilities."""
        other = self._twin(self.options, self.gate)
        other.click = click
        return other

    @property
    def told(self) -> SideFeatures:
        """What was told of the fitted users and of their interactions; of a loaded scorer, of the users alone."""
        of_moments = cast(Context, self.sources["context"]).told
        return replace(of_moments, profiles=cast(Profile, self.sources["profile"]).profiles)

    def meeting(self, profiles: Floats, moments: Floats) -> Self:
        """Return a scorer for users -2, -3, … of whom profiles (s, q) and contexts (s, r) are told."""
        other, sources = self._twin(self.options, self.gate), self.sources
        met: dict[str, Engine[Any]] = {
            "context": cast(Context, sources["context"]).meeting(moments),
            "profile": cast(Profile, sources["profile"]).meeting(profiles),
        }
        other.sources = sources | met
        return other

    def profiles_of(self, users: NDArray[np.int64]) -> Floats:
        """Return what is known of users (B,) by their internal ids: (B, q), 0 of those nobody knows."""
        return cast(Profile, self.sources["profile"]).of(users)

    def fit_around(self, factors: IALS | None, train: sparse.csr_matrix, warm: Mask, features: Floats) -> Self:
        """Fit as :meth:`fit` does, but take a factorization that was fitted on the same data already."""
        if factors is not None:
            self.sources["mf"] = factors
            self._fitted = (*self._fitted, "mf")
        return self.fit(train, warm, features)

    def partial_fit(self, train: sparse.csr_matrix, features: Floats, sweeps: int) -> Self:
        """Return a scorer that knows more interactions, under the same gate and boosts.

        Closed forms are computed anew, factors go on from where they stand (:meth:`IALS.updated`), contexts stay: the
        moments of single interactions are not kept.

        Args:
            train: all interactions (U, n_items), values in order.
            features: text embeddings (n_items, m).
            sweeps: of the factorization.
        """
        warm = self.warm | (np.bincount(train.indices, minlength=train.shape[1]) > 0)
        factors = cast(IALS, self.sources["mf"]).partial_fit(train, warm, features, sweeps)
        fresh = type(self)(self.options, self.seed, self.gate, self.click, self.told)
        fresh.sources["context"], fresh._fitted = self.sources["context"], ("context",)
        return fresh.fit_around(factors, train, warm, features)

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:
        self.warm = warm
        for name, source in self.sources.items():
            if name not in self._fitted:
                source.fit(train, warm, features)
        self._fitted = ()
        counts = np.asarray((train > 0).sum(axis=0), dtype=np.int64).ravel()
        texts = cast(TextKNN, self.sources["text"]).features
        self.kernel = TextKernel.on(self.options.kernel, texts, np.where(warm, counts, 0))
        self._impute(np.flatnonzero(~warm))
        self.text_factors = self.kernel.text_factors(cast(IALS, self.sources["mf"]).item_factors)
        self.tail = warm & ~head(counts, self.options.boosts.head_share)
        logs = np.log1p(counts.astype(np.float64))
        deviation = logs[warm].std() if warm.any() else 0.0
        centred = logs - (logs[warm].mean() if warm.any() else 0.0)
        self.popularity: Floats = (centred / (deviation or 1.0)).astype(np.float32)
        self._average(train)

    def _average(self, train: sparse.csr_matrix) -> None:
        lengths = np.diff(train.indptr)
        users = np.flatnonzero(lengths > 0)
        if len(users) > _AVERAGED:
            users = users[np.linspace(0, len(users) - 1, _AVERAGED).astype(np.int64)]
        total = np.zeros((len(SOURCES), self.n_items))
        for block in blocks(len(users)):
            rows = users[block]
            for s, scores in enumerate(self.standardised(sparse.csr_matrix(train[rows]), rows)):
                total[s] += scores.sum(axis=0)
        self.common = (total / max(len(users), 1)).astype(np.float32)
        self.activity = float(np.log1p(lengths[users]).mean()) if len(users) else 0.0
        self._everybody = None

    def population_score(self) -> Floats:
        """Return what the average user with a history gets, boosts at 0 (n_items,)."""
        if self._everybody is not None:
            return self._everybody
        meta_features = MetaFeatures(np.array([self.activity], np.float32), self.popularity)
        if self.gate.warm.reads_meta_features:
            nobody = sparse.csr_matrix(np.zeros((1, self.n_items), np.float32))
            meta_features = replace(self.meta_features(nobody, whole=True), activity=meta_features.activity)
        rows = [row[None] for row in self.common]
        self._everybody = blend(rows, self.gate, Boosts(), self.warm, self.tail, meta_features)[0]
        return self._everybody

    def _impute(self, cold: NDArray[np.int64]) -> None:
        texts = cast(TextKNN, self.sources["text"]).features[cold]
        self.sources = {
            name: source.impute_cold_items(cold, texts, self.kernel) for name, source in self.sources.items()
        }

    def raw(
        self,
        history: sparse.csr_matrix,
        users: NDArray[np.int64] | None = None,
        weights: sparse.csr_matrix | None = None,
    ) -> Iterator[Floats]:
        """Yield each source's scores (B, n_items), in the order of ``SOURCES``."""
        mf = cast(IALS, self.sources["mf"])
        factors = mf.fold_in(binary(history) if weights is None else weights)
        of_factors = {"mf": mf.of_users, "text_mf": lambda u: products(u.astype(np.float32), self.text_factors)}
        for name in SOURCES:
            own = of_factors.get(name)
            yield own(factors) if own else self.sources[name].score(history, users, weights)

    def standardised(
        self,
        history: sparse.csr_matrix,
        users: NDArray[np.int64] | None = None,
        weights: sparse.csr_matrix | None = None,
    ) -> Iterator[Floats]:
        """Yield each source's scores (B, n_items), mean 0 and deviation 1 over a user's warm items."""
        for scores in self.raw(history, users, weights):
            warm = scores[:, self.warm]
            deviation = warm.std(axis=1, keepdims=True)
            yield (scores - warm.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)

    def meta_features(self, history: sparse.csr_matrix, whole: bool) -> MetaFeatures:
        """Return what weights may depend on; ``whole``: factors and text profiles too, each of length 1."""
        activity = np.log1p(np.diff(history.indptr)).astype(np.float32)
        if not whole:
            return MetaFeatures(activity, self.popularity)
        mf, text = cast(IALS, self.sources["mf"]), cast(TextKNN, self.sources["text"])
        items = (mf.item_factors, text.features)
        plain = binary(history)
        users = (mf.fold_in(plain), plain @ text.features / np.maximum(np.diff(history.indptr), 1)[:, None])
        return MetaFeatures(activity, self.popularity, _unit(users), _unit(items))

    def score(
        self,
        history: sparse.csr_matrix,
        users: NDArray[np.int64] | None = None,
        weights: sparse.csr_matrix | None = None,
    ) -> Floats:
        """See :meth:`Engine.score`; each source takes of the history what it reads."""
        return super().score(history, users) if weights is None else self.scored(history, users, weights)[0]

    def _weighed(self, history: sparse.csr_matrix, weights: sparse.csr_matrix | None) -> sparse.csr_matrix:  # noqa: ARG002
        return history

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:
        return self.scored(history, users)[0]

    def scored(
        self,
        history: sparse.csr_matrix,
        users: NDArray[np.int64] | None = None,
        weights: sparse.csr_matrix | None = None,
    ) -> tuple[Floats, list[Floats]]:
        """Return scores (B, n_items) and the standardised scores of the sources behind them."""
        z, meta_features = (
            list(self.standardised(history, users, weights)),
            self.meta_features(history, self.gate.warm.reads_meta_features),
        )
        boosts = self.options.boosts
        common = self.population_score() if boosts.popularity_debias else None
        return blend(z, self.gate, boosts, self.warm, self.tail, meta_features, common), z

    def _append(self, features: Floats) -> None:
        popular = cast(Popular, self.sources["popular"]).counts
        logs = np.log1p(popular.astype(np.float64))[self.warm] if self.warm.any() else np.zeros(1)
        none = np.full(len(features), -logs.mean() / (logs.std() or 1.0), np.float32)
        self.sources = {name: source.with_new_items(features) for name, source in self.sources.items()}
        self.popularity = np.append(self.popularity, none)
        no = np.zeros(len(features), dtype=bool)
        self.warm, self.tail = np.append(self.warm, no), np.append(self.tail, no)
        new = np.arange(len(self.kernel.features), self.n_items)
        self._impute(new)
        joined = cast(IALS, self.sources["mf"]).item_factors[new].astype(np.float32)
        self.text_factors = np.vstack([self.text_factors[: len(self.kernel.features)], joined])
        alike = self.kernel.predict(features, np.ascontiguousarray(self.common[:, self.kernel.landmarks].T))
        self.common, self._everybody = np.hstack([self.common, alike.T]), None

    def with_texts(self, rows: NDArray[np.int64], features: Floats) -> Self:
        """Return a scorer that knows other texts (r, m) of items with interactions; their factors stay."""
        other = self._twin(self.options, self.gate)
        text = copy.copy(cast(TextKNN, self.sources["text"]))
        text.features = text.features.copy()
        text.features[rows] = features
        other.sources = self.sources | {"text": text}
        return other

    def click_probability(
        self, history: sparse.csr_matrix, horizon: float = 1.0, users: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return the chance (B, n_items) that each item is taken up within ``horizon`` validation windows.

        Raises:
            BadInputError: the scorer has no click head.
        """
        if self.click is None:
            raise BadInputError("this scorer was fitted without a click head")
        history = sparse.csr_matrix(history, dtype=np.float32)
        scores = self.with_boosts(Boosts()).score(history, users)
        return self.click.probability(scores, self.meta_features(history, whole=False), self.warm, horizon)

    def _state(self) -> State:
        head = {} if self.click is None else {"click/theta": self.click.theta}
        arrays = {f"{name}/{key}": value for name, s in self.sources.items() for key, value in s.state().items()}
        gate = {f"gate/{key}": value for key, value in self.gate.state().items()}
        kernel: State = {"kernel/landmarks": self.kernel.landmarks, "kernel/text_factors": self.text_factors}
        of_items = {"warm": self.warm, "tail": self.tail, "popularity": self.popularity, "common": self.common}
        return {**of_items, "activity": np.array([self.activity]), **arrays, **kernel, **gate, **head}

    def _load(self, state: State) -> None:
        self.warm, self.tail = state["warm"].astype(bool), state["tail"].astype(bool)
        self.popularity, self.common = state["popularity"], state["common"]
        self.activity = float(state["activity"][0])
        self.gate = BlendWeights.from_state(_part(state, "gate"))
        self.click = ClickHead(state["click/theta"]) if "click/theta" in state else None
        for name, source in self.sources.items():
            self.sources[name] = type(source).from_state(_part(state, name), source.options, self.seed)
        texts = cast(TextKNN, self.sources["text"]).features
        self.kernel = TextKernel(self.options.kernel, texts, state["kernel/landmarks"])
        self.text_factors = state["kernel/text_factors"]


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
