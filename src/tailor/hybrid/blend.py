"""How sources become one score: weights that depend on user and item, and the boosts.

Shapes: ``B`` users, ``n`` items, ``S`` sources; ``p`` and ``x`` are the widths of what is known of users and items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tailor.errors import ConfigurationError
from tailor.hybrid.config import Boosts
from tailor.models.base import Floats, Indices, Mask, State
from tailor.types import AnyArray, JsonObject

_NONE = np.zeros((0, 0), np.float32)
_NOBODY = np.zeros((0, 0), bool)
_EMPTY = np.zeros(0, np.float32)
#: Weights (S,) of a :class:`BlendWeights` that are saved by the name of the source.
_BY_SOURCE = ("base", "by_popularity", "by_activity")


@dataclass(frozen=True)
class MetaFeatures:
    """What weights may depend on (feature-weighted stacking, Sill et al. 2009)."""

    activity: Floats
    """log(1 + length of the history), (B,)."""
    popularity: Floats
    """log(1 + train interactions), standardised over warm items, (n,)."""
    users: Floats = field(default_factory=lambda: _NONE)
    """Factors and text profiles (B, p); empty where no member of the family reads them."""
    items: Floats = field(default_factory=lambda: _NONE)
    """Factors and text embeddings (n, x)."""
    new_to: Mask = field(default_factory=lambda: _NOBODY)
    """Who has nothing of a domain in the history (B, D); empty where there is one domain."""

    def rows(self, rows: slice | Indices) -> "MetaFeatures":
        """Return the same for some of the users."""
        users = self.users[rows] if self.users.size else self.users
        new_to = self.new_to[rows] if self.new_to.size else self.new_to
        return replace(self, activity=self.activity[rows], users=users, new_to=new_to)

    def columns(self, items: Mask) -> "MetaFeatures":
        """Return the same for some of the items."""
        vectors = self.items[items] if self.items.size else self.items
        return replace(self, popularity=self.popularity[items], items=vectors)

    @property
    def lengths(self) -> Indices:
        """Items of each history (B,)."""
        return np.rint(np.expm1(self.activity.astype(np.float64))).astype(np.int64)


@dataclass(frozen=True)
class BlendModel:
    """One member of the family that scores items with train interactions:

        Σ_s (base_s + by_popularity_s x_i + by_activity_s x_u) z_s + bias x_i + f(A users_u, C items_i)

    x_i is the item's popularity, x_u the user's activity (standardised). f is nothing (``linear``, ``gated``), the
    inner product (``bilinear``: uᵀMv with M = ACᵀ of rank h), or outᵀ σ(a + c) (``deep``). What validation makes of
    it: :mod:`tailor.hybrid.blend_fit`.
    """

    base: Floats
    """(S,)."""
    by_popularity: Floats = field(default_factory=lambda: _EMPTY)
    """(S,); empty: 0."""
    by_activity: Floats = field(default_factory=lambda: _EMPTY)
    """(S,); empty: 0."""
    bias: float = 0.0
    activity_centre: float = 0.0
    activity_scale: float = 1.0
    user_map: Floats = field(default_factory=lambda: _NONE)
    """A (p, h)."""
    item_map: Floats = field(default_factory=lambda: _NONE)
    """C (x, h)."""
    out: Floats = field(default_factory=lambda: _EMPTY)
    """(h,), empty for ``bilinear``."""

    def __post_init__(self) -> None:
        """Fill in slopes of 0."""
        for name in ("by_popularity", "by_activity"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(self.base), np.float32))

    @property
    def reads_vectors(self) -> bool:
        """Whether ``MetaFeatures.users`` and ``MetaFeatures.items`` are needed."""
        return self.user_map.size > 0

    @property
    def is_linear(self) -> bool:
        """Whether a score is a sum of the sources' scores by the same weights for all users and items."""
        return not (self.bias or self.by_popularity.any() or self.by_activity.any() or self.reads_vectors)

    def score(self, z: Sequence[Floats], meta: MetaFeatures) -> Floats:
        """Return scores (B, n) of standardised sources, each (B, n)."""
        x_u = self.standardised_activity(meta.activity)
        total = np.zeros_like(z[0])
        for scores, base, by_item, by_user in zip(z, self.base, self.by_popularity, self.by_activity, strict=True):
            if base or by_item or by_user:
                total += scores * (base + by_item * meta.popularity + (by_user * x_u)[:, None])
        if self.bias:
            total += np.float32(self.bias) * meta.popularity
        if self.reads_vectors:
            total = self._add_interaction(total, meta.users @ self.user_map, meta.items @ self.item_map)
        return total

    def _add_interaction(self, total: Floats, users: Floats, items: Floats) -> Floats:
        if not len(self.out):
            return np.asarray(total + users @ items.T, dtype=np.float32)
        for h, weight in enumerate(self.out):
            total += weight / (1 + np.exp(-(users[:, h, None] + items[:, h])))
        return total

    def standardised_activity(self, activity: Floats) -> Floats:
        """Return x_u (B,)."""
        return np.asarray((activity - self.activity_centre) / self.activity_scale, dtype=np.float32)


def one_hot(name: str, sources: Sequence[str]) -> Floats:
    """Return weights (S,) that take one source alone."""
    return np.array([float(source == name) for source in sources], np.float32)


@dataclass(frozen=True)
class BlendWeights:
    """What validation chose: weights for items with and without interactions, and for short histories."""

    sources: tuple[str, ...]
    """Names of the S sources, in the order of every array."""
    warm: BlendModel
    """For items with train interactions."""
    few_shot: tuple[tuple[int, Floats], ...]
    """(longest history, weights (S,) for items with train interactions), rising; longer histories take ``warm``."""
    cold: Floats
    """Weights (S,) for items without train interactions."""
    cold_shift: float = 0.0
    """Added to items without train interactions: where mixed lists are most accurate."""
    warm_shares: tuple[float, ...] = ()
    """For each entry of ``few_shot`` the share of ``warm`` in the score, the rest is its own; empty: 0."""
    by_domain: Floats = field(default_factory=lambda: _NONE)
    """Weights (D, S) in place of ``warm.base`` for items of each of D domains; empty: they are the same for all."""
    new_to_domain: Floats = field(default_factory=lambda: _EMPTY)
    """Weights (S,) of the items of a domain for users whose history holds other domains alone; empty: no others."""

    @classmethod
    def of_one(cls, name: str, sources: Sequence[str]) -> Self:
        """Return weights that take one source alone, for warm and cold items."""
        alone = one_hot(name, sources)
        return cls(tuple(sources), BlendModel(alone), (), alone)

    def shifted(self, shift: float) -> "BlendWeights":
        """Return the same weights with another shift of cold items."""
        return replace(self, cold_shift=shift)

    def of_domain(self, domain: int) -> "BlendWeights":
        """Return the weights of the items of one domain."""
        return replace(self, warm=replace(self.warm, base=self.by_domain[domain]), by_domain=_NONE)

    def by_history(self, lengths: AnyArray) -> Iterator[tuple[list[tuple[float, BlendModel]], Indices]]:
        """Yield models, each with its share in the score, and the rows they are for, from history lengths (B,)."""
        bounds = np.array([longest for longest, _ in self.few_shot], dtype=np.int64)
        which = np.searchsorted(bounds, lengths)
        for index in np.unique(which):
            yield self._models(int(index)), np.flatnonzero(which == index)

    def _models(self, index: int) -> list[tuple[float, BlendModel]]:
        """Return the models of an entry of ``few_shot``, of the index behind the last one that of long histories."""
        if index == len(self.few_shot):
            return [(1.0, self.warm)]
        share = self.warm_shares[index] if self.warm_shares else 0.0
        mixed = [(1.0 - share, BlendModel(self.few_shot[index][1])), (share, self.warm)]
        return [(part, model) for part, model in mixed if part]

    @property
    def without_history(self) -> Floats:
        """Weights (S,) for users without history: of all their items, cold ones too."""
        if self.few_shot and self.few_shot[0][0] == 0:
            return self.few_shot[0][1]
        return one_hot("popular", self.sources)

    def aligned(self, sources: Sequence[str]) -> "BlendWeights":
        """Return the weights for ``sources``, in their order: 0 for those that have none here.

        Raises:
            ConfigurationError: a source that has a weight here is not among them.
        """
        if tuple(sources) == self.sources:
            return self
        unknown = [name for name in self.sources if name not in sources and self._uses(name)]
        if unknown:
            raise ConfigurationError(
                f"The blend weighs sources that this model does not have: {', '.join(unknown)}. "
                f"It has: {', '.join(sources)}."
            )
        positions = [self.sources.index(name) if name in self.sources else -1 for name in sources]

        def align(values: Floats) -> Floats:
            return np.append(values, np.float32(0))[positions].astype(np.float32)

        slopes: JsonObject = {name: align(getattr(self.warm, name)) for name in _BY_SOURCE}
        warm = replace(self.warm, **slopes)
        few_shot = tuple((longest, align(weights)) for longest, weights in self.few_shot)
        by_domain = np.array([align(row) for row in self.by_domain], np.float32) if self.by_domain.size else _NONE
        changed = replace(self, sources=tuple(sources), warm=warm, few_shot=few_shot, cold=align(self.cold))
        new_to_domain = align(self.new_to_domain) if self.new_to_domain.size else _EMPTY
        return replace(changed, by_domain=by_domain, new_to_domain=new_to_domain)

    def _uses(self, name: str) -> bool:
        place = self.sources.index(name)
        arrays = [*(getattr(self.warm, key) for key in _BY_SOURCE), self.cold, *(w for _, w in self.few_shot)]
        arrays += [*self.by_domain, *([self.new_to_domain] if self.new_to_domain.size else [])]
        return any(array[place] != 0 for array in arrays)

    def state(self) -> State:
        """Return plain arrays, one per source and kind of weight: ``base/ease``, ``cold/ease``, …"""
        warm = self.warm
        state: State = {
            "bias": np.array(warm.bias),
            "activity_centre": np.array(warm.activity_centre),
            "activity_scale": np.array(warm.activity_scale),
            "cold_shift": np.array(self.cold_shift),
            "user_map": warm.user_map,
            "item_map": warm.item_map,
            "out": warm.out,
            "few_shot_lengths": np.array([longest for longest, _ in self.few_shot], dtype=np.int64),
            "warm_shares": np.array(self.warm_shares),
        }
        few_shot = np.array([weights for _, weights in self.few_shot], np.float32).reshape(-1, len(self.sources))
        for place, source in enumerate(self.sources):
            for name in _BY_SOURCE:
                state[f"{name}/{source}"] = np.array(getattr(warm, name)[place])
            state[f"cold/{source}"] = np.array(self.cold[place])
            state[f"few_shot/{source}"] = few_shot[:, place]
            if self.by_domain.size:
                state[f"by_domain/{source}"] = self.by_domain[:, place]
            if self.new_to_domain.size:
                state[f"new_to_domain/{source}"] = np.array(self.new_to_domain[place])
        return state

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Undo :meth:`state`; the sources come in the order of the saved names."""
        sources = tuple(key.split("/", 1)[1] for key in state if key.startswith("base/"))

        def gather(name: str) -> Floats:
            return np.array([state[f"{name}/{source}"].item() for source in sources], np.float32)

        bias, centre, scale, shift = (
            float(state[name].item()) for name in ("bias", "activity_centre", "activity_scale", "cold_shift")
        )
        arrays: JsonObject = {name: gather(name) for name in _BY_SOURCE}
        arrays |= {name: state[name] for name in ("user_map", "item_map", "out")}
        warm = BlendModel(**arrays, bias=bias, activity_centre=centre, activity_scale=scale)
        lengths = state["few_shot_lengths"].tolist()
        few_shot = np.stack([state[f"few_shot/{source}"] for source in sources], axis=1).astype(np.float32)
        shares = tuple(state["warm_shares"].tolist()) if "warm_shares" in state else ()
        of_domains = [state[f"by_domain/{source}"] for source in sources if f"by_domain/{source}" in state]
        by_domain = np.stack(of_domains, axis=1).astype(np.float32) if of_domains else _NONE
        new_to_domain = gather("new_to_domain") if f"new_to_domain/{sources[0]}" in state else _EMPTY
        table = tuple(zip(lengths, few_shot, strict=True))
        return cls(sources, warm, table, gather("cold"), shift, shares, by_domain, new_to_domain)


def blend(
    z: Sequence[Floats],
    weights: BlendWeights,
    boosts: Boosts,
    warm: Mask,
    tail: Mask,
    meta: MetaFeatures,
    population_score: Floats | None = None,
    domains: Indices | None = None,
) -> Floats:
    """Return scores (B, n) of standardised sources.

    Users without history get :attr:`BlendWeights.without_history`; those whose history holds other domains alone get
    :attr:`BlendWeights.new_to_domain` for the items of a domain, where there are such weights. A boost at 0 touches
    nothing.

    Args:
        z: standardised scores (B, n) of each source, in the order of ``weights.sources``.
        weights: what validation chose.
        boosts: how far tail and cold items are lifted, in standard deviations of a user's warm scores.
        warm: items with train interactions (n,).
        tail: warm items outside the head (n,).
        meta: activity 0 marks an empty history.
        population_score: what the average user gets (n,); ``popularity_debias`` needs it.
        domains: number of each item's domain (n,), -1: none; weights and boosts by domain need it, and those for who is
            new to one.
    """
    if weights.by_domain.size and domains is not None:
        return _blend_domains(z, weights, boosts, warm, tail, meta, population_score, domains)
    lengths = meta.lengths
    scores = np.empty_like(z[0])
    for models, rows in weights.by_history(lengths):
        every = len(rows) == len(scores)
        z_of, meta_of = (z, meta) if every else ([s[rows] for s in z], meta.rows(rows))
        scores[rows] = weighted_sum([model.score(z_of, meta_of) for _, model in models], [part for part, _ in models])
    if not warm.all():
        cold = np.flatnonzero(~warm)
        scores[:, cold] = weighted_sum([s[:, cold] for s in z], weights.cold) + np.float32(weights.cold_shift)
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        scores[empty] = weighted_sum([s[empty] for s in z], weights.without_history)
    for domain in range(meta.new_to.shape[1]) if weights.new_to_domain.size and domains is not None else ():
        cells = np.ix_(np.flatnonzero(meta.new_to[:, domain] & (lengths > 0)), np.flatnonzero(domains == domain))
        if scores[cells].size:
            scores[cells] = weighted_sum([s[cells] for s in z], weights.new_to_domain)
    return apply_boosts(scores, boosts, warm, tail, population_score, lengths > 0, domains)


def _blend_domains(
    z: Sequence[Floats],
    weights: BlendWeights,
    boosts: Boosts,
    warm: Mask,
    tail: Mask,
    meta: MetaFeatures,
    population_score: Floats | None,
    domains: Indices,
) -> Floats:
    """Return what :func:`blend` does, the items of each domain under its weights."""
    scores = np.empty_like(z[0])
    for domain in np.unique(domains):
        items = domains == domain
        of_domain = weights.of_domain(int(domain)) if domain >= 0 else replace(weights, by_domain=_NONE)
        common = None if population_score is None else population_score[items]
        columns = [part[:, items] for part in z]
        meta_of, numbers = meta.columns(items), domains[items]
        scores[:, items] = blend(columns, of_domain, boosts, warm[items], tail[items], meta_of, common, numbers)
    return scores


def apply_boosts(
    scores: Floats,
    boosts: Boosts,
    warm: Mask,
    tail: Mask,
    population_score: Floats | None = None,
    has_history: Mask | None = None,
    domains: Indices | None = None,
) -> Floats:
    """Lift cold and tail items, and take off what the average user gets, in place; nothing is touched at 0.

    What the average user gets is the score of nobody in particular; a share of it is taken off as in the inference of
    Wei et al. 2021, "Model-agnostic counterfactual reasoning for eliminating popularity bias in recommender system".

    Args:
        scores: (B, n).
        boosts: see :func:`blend`.
        warm: see :func:`blend`.
        tail: see :func:`blend`.
        population_score: see :func:`blend`.
        has_history: users with a history (B,), the only ones it is taken off; None: all.
        domains: see :func:`blend`.

    Raises:
        ValueError: ``popularity_debias`` is set and ``population_score`` is not.
    """
    for boost, lifted in (("cold_boost", ~warm), ("tail_boost", tail)):
        lift = lift_of(boosts, boost, len(warm), domains)[lifted].astype(np.float32)
        if lift.any():
            scores[:, lifted] += lift
    if boosts.popularity_debias:
        if population_score is None:
            raise ValueError("popularity_debias is set, but the population score is not known")
        common = np.float32(boosts.popularity_debias) * population_score
        scores[... if has_history is None or has_history.all() else has_history] -= common
    return scores


def lift_of(boosts: Boosts, boost: str, n_items: int, domains: Indices | None = None) -> NDArray[np.float64]:
    """Return what a boost adds to each item (n,), if it lifts the item.

    Args:
        boosts: the operating point.
        boost: ``cold_boost`` or ``tail_boost``.
        n_items: n.
        domains: number of each item's domain (n,), -1: none, which takes what holds for all.

    Example:
        >>> point = Boosts(tail_boost=0.5, tail_boost_scale=2.0, by_domain=[{"tail_boost": 0.25}])
        >>> lift_of(point, "tail_boost", 2, np.array([0, -1])).tolist()
        [0.5, 1.0]
    """
    shared, scale = getattr(boosts, boost), getattr(boosts, f"{boost}_scale")
    if domains is None or not boosts.by_domain:
        return np.full(n_items, shared * scale)
    # The number -1 reads the last one.
    values = np.array([*(getattr(point, boost) for point in boosts.by_domain), shared])
    return np.asarray(values[domains] * scale)


def weighted_sum(z: Sequence[Floats], weights: Sequence[float] | Floats) -> Floats:
    """Return Σ_s w_s z_s; sources of weight 0 are not touched."""
    total = np.zeros_like(z[0])
    for scores, weight in zip(z, weights, strict=True):
        if weight:
            total += np.float32(weight) * scores
    return total
