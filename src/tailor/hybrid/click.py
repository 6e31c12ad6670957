"""The second task head: the chance that a user takes up an item within the validation window, calibrated.

    logit p(u, i) = θ · (1, s, s², x_u, x_i, cold_i)

s is the ranking score, x_u the user's activity, x_i the item's popularity
(:class:`tailor.hybrid.blend.MetaFeatures`), cold_i marks items without train interactions. θ is fitted on validation
rows against *all* unobserved cells; options for the imbalance (fewer negatives, popular ones more often, heavier
positives) change its variance and its cost, not what it estimates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from tailor.errors import BadInputError
from tailor.hybrid.blend import MetaFeatures
from tailor.hybrid.config import ClickOptions
from tailor.models.base import Floats, Mask
from tailor.threads import blocks

Design = NDArray[np.float64]


@dataclass(frozen=True)
class ClickHead:
    """θ (6,)."""

    theta: NDArray[np.float64]

    def probability(self, scores: Floats, meta: MetaFeatures, warm: Mask, horizon: float = 1.0) -> NDArray[np.float64]:
        """Return probabilities (B, n) of scores (B, n).

        Args:
            scores: of the ranking head, boosts at 0.
            meta: of the same users and items.
            warm: items with train interactions (n,).
            horizon: length of the window, in validation windows: 1 - (1 - p)^horizon.
        """
        of_one, of_score, of_square, of_user, of_item, of_cold = self.theta
        s = scores.astype(np.float64)
        row = of_one + of_user * meta.activity.astype(np.float64)
        column = np.where(warm, of_item * meta.popularity.astype(np.float64), of_cold)
        p = expit((of_square * s + of_score) * s + row[:, None] + column)
        return np.asarray(p if horizon == 1.0 else 1 - (1 - p) ** horizon)


def design(scores: Floats, meta: MetaFeatures, warm: Mask) -> Design:
    """Return what the head looks at, (B, n, 6)."""
    s = scores.astype(np.float64)
    shape = s.shape
    x_u = np.broadcast_to(meta.activity.astype(np.float64)[:, None], shape)
    x_i, cold = (np.broadcast_to(v.astype(np.float64), shape) for v in (meta.popularity, ~warm))
    return np.stack([np.ones(shape), s, s**2, x_u, x_i * ~cold.astype(bool), cold], axis=-1)


def rates(candidate_mask: Mask, meta: MetaFeatures, options: ClickOptions) -> NDArray[np.float64]:
    """Return each candidate's chance to be drawn if it is a negative (B, n): about ``negatives`` a user."""
    lean = np.exp(options.popularity_power * meta.popularity.astype(np.float64))
    weights = candidate_mask * lean
    total = weights.sum(axis=1, keepdims=True)
    drawn = options.negatives * weights / np.where(total > 0, total, 1)
    return np.asarray(np.minimum(drawn, 1.0))


def fit_click(
    scores: Floats,
    candidate_mask: Mask,
    positives: sparse.csr_matrix,
    meta: MetaFeatures,
    warm: Mask,
    options: ClickOptions,
    seed: int,
) -> ClickHead:
    """Fit θ (convex; trust-region Newton) on all positives and drawn negatives.

    A negative that was drawn with chance r, and a positive that weighs w, shift the log odds by -log r + log w; both
    enter as offsets, so θ is that of the whole table (King & Zeng 2001, §4.1: prior correction; Yi et al. 2019: logQ).

    Args:
        scores: of the ranking head, boosts at 0 (U, n).
        candidate_mask: unobserved cells, those that count (U, n).
        positives: validation rows (U, n).
        meta: of these users and items.
        warm: items with train interactions (n,).
        options: negatives per user, popularity_power, positive_weight, l2.
        seed: of the draw.

    Raises:
        BadInputError: there are no positives among the cells.
    """
    X, y, offset, weight = _cells(scores, candidate_mask, positives, meta, warm, options, seed)
    if not y.any():
        raise BadInputError("click head: validation holds no positive among the cells that lists may show")

    def loss(theta: Design) -> tuple[float, Design]:
        odds = X @ theta + offset
        value = weight @ (np.logaddexp(0, odds) - y * odds) + options.l2 / 2 * theta @ theta
        return float(value) / len(y), (X.T @ (weight * (expit(odds) - y)) + options.l2 * theta) / len(y)

    def hessian(theta: Design) -> Design:
        p = expit(X @ theta + offset)
        return ((X * (weight * p * (1 - p))[:, None]).T @ X + options.l2 * np.eye(len(theta))) / len(y)

    solution = minimize(
        loss, np.zeros(X.shape[1]), jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-9}
    )
    return ClickHead(np.asarray(solution.x))


def _cells(
    scores: Floats,
    candidate_mask: Mask,
    positives: sparse.csr_matrix,
    meta: MetaFeatures,
    warm: Mask,
    options: ClickOptions,
    seed: int,
) -> tuple[Design, Design, Design, Design]:
    """Return design, labels, offsets and weights of all positives and of the drawn negatives."""
    parts: list[tuple[Design, ...]] = []
    for block in blocks(len(scores)):
        rows = meta.rows(block)
        truth = np.zeros(candidate_mask[block].shape, dtype=bool)
        truth[positives[block].nonzero()] = True
        truth &= candidate_mask[block]
        chance = rates(candidate_mask[block], rows, options)
        picked = truth | (np.random.default_rng([seed, block.start]).random(chance.shape) < chance)
        y = truth[picked].astype(np.float64)
        offset = np.log(options.positive_weight) - np.log(chance[picked])
        parts.append(
            (design(scores[block], rows, warm)[picked], y, offset, np.where(y > 0, options.positive_weight, 1.0))
        )
    X, y, offset, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return X, y, offset, weight
