"""How sources become one score: weights that depend on user and item, and the boosts.

Shapes: ``B`` users, ``n`` items, ``S`` sources; ``p`` and ``q`` are the widths of what is known of users and items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tailor.models.base import Floats, Mask, State
from tailor.options import Boosts

SOURCES = ("mf", "text_mf", "ease", "sequence", "text", "context", "profile", "popular")
_NONE = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class MetaFeatures:
    """What weights may depend on."""

    activity: Floats
    """log(1 + length of the history), (B,)."""
    popularity: Floats
    """log(1 + train interactions), standardised over warm items, (n,)."""
    users: Floats = field(default_factory=lambda: _NONE)
    """Factors and text profiles (B, p); empty where no member of the family reads them."""
    items: Floats = field(default_factory=lambda: _NONE)
    """Factors and text embeddings (n, q)."""

    def rows(self, rows: Any) -> "MetaFeatures":
        """Return the same for some of the users."""
        users = self.users[rows] if self.users.size else self.users
        return replace(self, activity=self.activity[rows], users=users)


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
    by_popularity: Floats = field(default_factory=lambda: np.zeros(len(SOURCES), np.float32))
    by_activity: Floats = field(default_factory=lambda: np.zeros(len(SOURCES), np.float32))
    bias: float = 0.0
    activity_centre: float = 0.0
    activity_scale: float = 1.0
    user_map: Floats = field(default_factory=lambda: _NONE)
    """A (p, h)."""
    item_map: Floats = field(default_factory=lambda: _NONE)
    """C (q, h)."""
    out: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    """(h,), empty for ``bilinear``."""

    @property
    def reads_meta_features(self) -> bool:
        """Whether ``Sides.users`` and ``Sides.items`` are needed."""
        return self.user_map.size > 0

    def score(self, z: Sequence[Floats], meta_features: MetaFeatures) -> Floats:
        """Return scores (B, n) of standardised sources, each (B, n)."""
        x_u = ((meta_features.activity - self.activity_centre) / self.activity_scale).astype(np.float32)
        total = np.zeros_like(z[0])
        for scores, base, by_item, by_user in zip(z, self.base, self.by_popularity, self.by_activity, strict=True):
            if base or by_item or by_user:
                total += scores * (base + by_item * meta_features.popularity + (by_user * x_u)[:, None])
        if self.bias:
            total += np.float32(self.bias) * meta_features.popularity
        if self.reads_meta_features:
            users, items = meta_features.users @ self.user_map, meta_features.items @ self.item_map
            if not len(self.out):
                return np.asarray(total + users @ items.T, dtype=np.float32)
            for h, weight in enumerate(self.out):
                total += weight / (1 + np.exp(-(users[:, h, None] + items[:, h])))
        return total


def only(name: str) -> Floats:
    """Return weights (S,) that take one source alone."""
    return np.array([float(source == name) for source in SOURCES], np.float32)


@dataclass(frozen=True)
class BlendWeights:
    """What validation chose."""

    warm: BlendModel = field(default_factory=lambda: BlendModel(only("mf")))
    """For items with train interactions."""
    newcomer: tuple[tuple[int, Floats], ...] = ()
    """(longest history, weights (S,) for items with train interactions), rising; longer histories take ``warm``."""
    cold: Floats = field(default_factory=lambda: only("mf"))
    """Weights (S,) for items without train interactions."""
    shift: float = 0.0
    """Added to items without train interactions: where mixed lists are most accurate."""

    def by_history(self, lengths: NDArray[Any]) -> Iterator[tuple[BlendModel, NDArray[np.int64]]]:
        """Yield each set of weights with the rows it is for, from history lengths (B,)."""
        bounds = np.array([longest for longest, _ in self.newcomer], dtype=np.int64)
        which = np.searchsorted(bounds, lengths)
        for at, fusion in enumerate([*(BlendModel(weights) for _, weights in self.newcomer), self.warm]):
            rows = np.flatnonzero(which == at)
            if len(rows):
                yield fusion, rows

    def of_nobody(self) -> Floats:
        """Return the weights (S,) for users without history: of all their items, cold ones too."""
        return self.newcomer[0][1] if self.newcomer and self.newcomer[0][0] == 0 else only("popular")

    def state(self) -> State:
        """Return plain arrays."""
        w = self.warm
        return {
            "base": w.base,
            "by_popularity": w.by_popularity,
            "by_activity": w.by_activity,
            "scalars": np.array([w.bias, w.activity_centre, w.activity_scale, self.shift]),
            "user_map": w.user_map,
            "item_map": w.item_map,
            "out": w.out,
            "newcomer_lengths": np.array([longest for longest, _ in self.newcomer], dtype=np.int64),
            "newcomer": np.array([weights for _, weights in self.newcomer], np.float32).reshape(-1, len(SOURCES)),
            "cold": self.cold,
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Undo :meth:`state`."""
        bias, centre, scale, shift = (float(value) for value in state["scalars"])
        maps = (state["user_map"], state["item_map"], state["out"])
        warm = BlendModel(state["base"], state["by_popularity"], state["by_activity"], bias, centre, scale, *maps)
        short = tuple(zip(state["newcomer_lengths"].tolist(), state["newcomer"], strict=True))
        return cls(warm, short, state["cold"], shift)


def blend(
    z: Sequence[Floats],
    gate: BlendWeights,
    boosts: Boosts,
    warm: Mask,
    tail: Mask,
    meta_features: MetaFeatures,
    common: Floats | None = None,
) -> Floats:
    """Return scores (B, n) of standardised sources, each (B, n).

    Users without history get :meth:`Gate.of_nobody`. A boost at 0 touches nothing.

    Args:
        z: see :data:`SOURCES`.
        gate: weights.
        boosts: how far tail and cold items are lifted, in standard deviations of a user's warm scores.
        warm: items with train interactions (n,).
        tail: warm items outside the head (n,).
        sides: activity 0 marks an empty history.
        common: what everybody gets (n,); ``popularity_debias`` needs it.
    """
    lengths = np.rint(np.expm1(meta_features.activity.astype(np.float64))).astype(np.int64)
    scores = np.empty_like(z[0])
    for fusion, rows in gate.by_history(lengths):
        every = len(rows) == len(scores)
        scores[rows] = fusion.score(
            z if every else [s[rows] for s in z], meta_features if every else meta_features.rows(rows)
        )
    if not warm.all():
        cold = np.flatnonzero(~warm)
        scores[:, cold] = weighted([s[:, cold] for s in z], gate.cold) + np.float32(gate.shift)
    nobody = np.flatnonzero(lengths == 0)
    if len(nobody):
        scores[nobody] = weighted([s[nobody] for s in z], gate.of_nobody())
    return apply_boosts(scores, boosts, warm, tail, common, lengths > 0)


def apply_boosts(
    scores: Floats,
    boosts: Boosts,
    warm: Mask,
    tail: Mask,
    common: Floats | None = None,
    known: Mask | None = None,
) -> Floats:
    """Lift cold and tail items by the boosts, take off what everybody gets, in place; nothing is touched at 0.

    What everybody gets is the score of nobody in particular; a share of it is taken off as in the inference of Wei et
    al. 2021, "Model-agnostic counterfactual reasoning for eliminating popularity bias in recommender system".

    Args:
        scores: (B, n).
        boosts: see :func:`mix`.
        warm: see :func:`mix`.
        tail: see :func:`mix`.
        common: see :func:`mix`.
        known: users with a history (B,), the only ones it is taken off; None: all.

    Raises:
        ValueError: ``popularity_debias`` is set and ``common`` is not.
    """
    if boosts.cold_boost:
        scores[:, ~warm] += np.float32(boosts.cold_boost * boosts.cold_boost_scale)
    if boosts.tail_boost:
        scores[:, tail] += np.float32(boosts.tail_boost * boosts.tail_boost_scale)
    if boosts.popularity_debias:
        if common is None:
            raise ValueError("popularity_debias is set, but not what everybody gets (common)")
        taken = np.float32(boosts.popularity_debias) * common
        scores[... if known is None or known.all() else known] -= taken
    return scores


def weighted(z: Sequence[Floats], weights: Sequence[float] | Floats) -> Floats:
    """Return Σ_s w_s z_s; sources of weight 0 are not touched."""
    total = np.zeros_like(z[0])
    for scores, weight in zip(z, weights, strict=True):
        if weight:
            total += np.float32(weight) * scores
    return total
