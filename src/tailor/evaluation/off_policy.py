"""What would another policy have earned? Estimators of its value from a log of the old one's actions and propensities.

They take arrays; :mod:`tailor.evaluation.policy` makes these of a log and a scorer.

Notation: log rows i = 1…n with action a_i, reward r_i, logging propensity p_i = π₀(a_i | x_i) and the new policy's
π_i = π(a_i | x_i); w_i = π_i / p_i.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tailor.errors import BadInputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PolicyValue:
    """An estimate of the mean reward per action."""

    value: float
    low: float
    high: float
    """95 % normal interval from the estimator's influence values."""
    effective_n: float
    """(Σ w)² / Σ w²: how many rows of the new policy's own the log is worth (Kong 1992)."""
    clipped: int
    """Rows whose weight was cut at ``max_weight``."""


def ips(reward: Floats, propensity: Floats, target: Floats, max_weight: float = np.inf) -> PolicyValue:
    """Inverse propensity scoring, Σ w r / n (Horvitz & Thompson 1952); unbiased without clipping.

    Args:
        reward: r (n,).
        propensity: p (n,), in (0, 1].
        target: π (n,), in [0, 1].
        max_weight: weights are cut there (Bottou et al. 2013): less variance for some bias.
    """
    w, clipped = _weights(propensity, target, max_weight)
    return _estimate(w * reward, w, clipped)


def snips(reward: Floats, propensity: Floats, target: Floats, max_weight: float = np.inf) -> PolicyValue:
    """Self-normalised, Σ w r / Σ w (Swaminathan & Joachims 2015); consistent, and indifferent to a shift of rewards."""
    w, clipped = _weights(propensity, target, max_weight)
    mean = w.mean()
    if mean == 0:
        raise BadInputError("the new policy takes none of the logged actions: the log says nothing about it")
    value = float((w * reward).mean() / mean)
    # Delta method: the ratio's influence is w (r - value) / mean(w).
    return _estimate(value + w * (reward - value) / mean, w, clipped)


def doubly_robust(
    reward: Floats,
    propensity: Floats,
    target: Floats,
    predicted: Floats,
    expected: Floats,
    max_weight: float = np.inf,
) -> PolicyValue:
    """Mean of v̂ + w (r - q̂) (Dudík et al. 2011, eq. 3): right if either the propensities or the reward model are.

    Args:
        reward: r (n,).
        propensity: p (n,), in (0, 1].
        target: π (n,), in [0, 1].
        predicted: q̂(x_i, a_i) (n,), a reward model fitted on other rows.
        expected: v̂_i = Σ_a π(a | x_i) q̂(x_i, a) (n,).
        max_weight: weights are cut there.
    """
    w, clipped = _weights(propensity, target, max_weight)
    return _estimate(expected + w * (reward - predicted), w, clipped)


def _weights(propensity: Floats, target: Floats, max_weight: float) -> tuple[Floats, int]:
    if not len(propensity):
        raise BadInputError("the log is empty")
    w = target / propensity
    return np.minimum(w, max_weight), int((w > max_weight).sum())


def _estimate(influence: Floats, w: Floats, clipped: int) -> PolicyValue:
    value = float(influence.mean())
    margin = float(norm.ppf(0.975) * influence.std(ddof=1) / np.sqrt(len(influence))) if len(influence) > 1 else np.inf
    total = float((w**2).sum())
    return PolicyValue(value, value - margin, value + margin, float(w.sum() ** 2 / total) if total else 0.0, clipped)
