"""How sources become one score: weights that depend on user and item, and the dials.

Shapes: ``B`` users, ``n`` items, ``S`` sources; ``p`` and ``q`` are the widths of what is known of users and items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tailor.cf.base import Floats, Mask, State
from tailor.options import Dials

SOURCES = ("mf", "text_mf", "ease", "sequence", "text", "context", "profile", "popular")
_NONE = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Sides:
    """What weights may depend on."""

    activity: Floats
    """log(1 + length of the history), (B,)."""
    popularity: Floats
    """log(1 + train interactions), standardised over warm items, (n,)."""
    users: Floats = field(default_factory=lambda: _NONE)
    """Factors and text profiles (B, p); empty where no member of the family reads them."""
    items: Floats = field(default_factory=lambda: _NONE)
    """Factors and text embeddings (n, q)."""

    def rows(self, rows: Any) -> "Sides":
        """Return the same for some of the users."""
        users = self.users[rows] if self.users.size else self.users
        return replace(self, activity=self.activity[rows], users=users)


@dataclass(frozen=True)
class Fusion:
    """One member of the family that scores items with train interactions:

        Σ_s (base_s + by_popularity_s x_i + by_activity_s x_u) z_s + bias x_i + f(A users_u, C items_i)

    x_i is the item's popularity, x_u the user's activity (standardised). f is nothing (``linear``, ``gated``), the
    inner product (``bilinear``: uᵀMv with M = ACᵀ of rank h), or outᵀ σ(a + c) (``deep``). What validation makes of
    it: :mod:`tailor.hybrid.fusion`.
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
    def reads_sides(self) -> bool:
        """Whether ``Sides.users`` and ``Sides.items`` are needed."""
        return self.user_map.size > 0

    def score(self, z: Sequence[Floats], sides: Sides) -> Floats:
        """Return scores (B, n) of standardised sources, each (B, n)."""
        x_u = ((sides.activity - self.activity_centre) / self.activity_scale).astype(np.float32)
        total = np.zeros_like(z[0])
        for scores, base, by_item, by_user in zip(z, self.base, self.by_popularity, self.by_activity, strict=True):
            if base or by_item or by_user:
                total += scores * (base + by_item * sides.popularity + (by_user * x_u)[:, None])
        if self.bias:
            total += np.float32(self.bias) * sides.popularity
        if self.reads_sides:
            users, items = sides.users @ self.user_map, sides.items @ self.item_map
            if not len(self.out):
                return np.asarray(total + users @ items.T, dtype=np.float32)
            for h, weight in enumerate(self.out):
                total += weight / (1 + np.exp(-(users[:, h, None] + items[:, h])))
        return total


def only(name: str) -> Floats:
    """Return weights (S,) that take one source alone."""
    return np.array([float(source == name) for source in SOURCES], np.float32)


@dataclass(frozen=True)
class Gate:
    """What validation chose."""

    warm: Fusion = field(default_factory=lambda: Fusion(only("mf")))
    """For items with train interactions."""
    newcomer: tuple[tuple[int, Floats], ...] = ()
    """(longest history, weights (S,) for items with train interactions), rising; longer histories take ``warm``."""
    cold: Floats = field(default_factory=lambda: only("mf"))
    """Weights (S,) for items without train interactions."""
    shift: float = 0.0
    """Added to items without train interactions: where mixed lists are most accurate."""

    def by_history(self, lengths: NDArray[Any]) -> Iterator[tuple[Fusion, NDArray[np.int64]]]:
        """Yield each set of weights with the rows it is for, from history lengths (B,)."""
        bounds = np.array([longest for longest, _ in self.newcomer], dtype=np.int64)
        which = np.searchsorted(bounds, lengths)
        for at, fusion in enumerate([*(Fusion(weights) for _, weights in self.newcomer), self.warm]):
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
        warm = Fusion(state["base"], state["by_popularity"], state["by_activity"], bias, centre, scale, *maps)
        short = tuple(zip(state["newcomer_lengths"].tolist(), state["newcomer"], strict=True))
        return cls(warm, short, state["cold"], shift)


def mix(
    z: Sequence[Floats],
    gate: Gate,
    dials: Dials,
    warm: Mask,
    tail: Mask,
    sides: Sides,
    common: Floats | None = None,
) -> Floats:
    """Return scores (B, n) of standardised sources, each (B, n).

    Users without history get :meth:`Gate.of_nobody`. A dial at 0 touches nothing.

    Args:
        z: see :data:`SOURCES`.
        gate: weights.
        dials: how far tail and cold items are lifted, in standard deviations of a user's warm scores.
        warm: items with train interactions (n,).
        tail: warm items outside the head (n,).
        sides: activity 0 marks an empty history.
        common: what everybody gets (n,); ``personal_weight`` needs it.
    """
    lengths = np.rint(np.expm1(sides.activity.astype(np.float64))).astype(np.int64)
    scores = np.empty_like(z[0])
    for fusion, rows in gate.by_history(lengths):
        every = len(rows) == len(scores)
        scores[rows] = fusion.score(z if every else [s[rows] for s in z], sides if every else sides.rows(rows))
    if not warm.all():
        cold = np.flatnonzero(~warm)
        scores[:, cold] = weighted([s[:, cold] for s in z], gate.cold) + np.float32(gate.shift)
    nobody = np.flatnonzero(lengths == 0)
    if len(nobody):
        scores[nobody] = weighted([s[nobody] for s in z], gate.of_nobody())
    return turn(scores, dials, warm, tail, common, lengths > 0)


def turn(
    scores: Floats,
    dials: Dials,
    warm: Mask,
    tail: Mask,
    common: Floats | None = None,
    known: Mask | None = None,
) -> Floats:
    """Lift cold and tail items by the dials, take off what everybody gets, in place; nothing is touched at 0.

    What everybody gets is the score of nobody in particular; a share of it is taken off as in the inference of Wei et
    al. 2021, "Model-agnostic counterfactual reasoning for eliminating popularity bias in recommender system".

    Args:
        scores: (B, n).
        dials: see :func:`mix`.
        warm: see :func:`mix`.
        tail: see :func:`mix`.
        common: see :func:`mix`.
        known: users with a history (B,), the only ones it is taken off; None: all.

    Raises:
        ValueError: ``personal_weight`` is set and ``common`` is not.
    """
    if dials.cold_exposure:
        scores[:, ~warm] += np.float32(dials.cold_exposure * dials.cold_span)
    if dials.tail_weight:
        scores[:, tail] += np.float32(dials.tail_weight * dials.tail_span)
    if dials.personal_weight:
        if common is None:
            raise ValueError("personal_weight is set, but not what everybody gets (common)")
        taken = np.float32(dials.personal_weight) * common
        scores[... if known is None or known.all() else known] -= taken
    return scores


def weighted(z: Sequence[Floats], weights: Sequence[float] | Floats) -> Floats:
    """Return Σ_s w_s z_s; sources of weight 0 are not touched."""
    total = np.zeros_like(z[0])
    for scores, weight in zip(z, weights, strict=True):
        if weight:
            total += np.float32(weight) * scores
    return total
