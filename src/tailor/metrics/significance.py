"""Are two models different? Paired bootstrap over users."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Users drawn at a time, times resamples: 8 bytes each.
_BUDGET = 4_000_000


@dataclass(frozen=True)
class Comparison:
    """A model against a baseline, on the users for whom both have a value."""

    difference: float
    """Mean of model - baseline."""
    low: float
    high: float
    """95 % percentile interval of the difference."""
    ratio: float
    """Mean of the model / mean of the baseline."""
    ratio_low: float
    ratio_high: float
    """95 % percentile interval of the ratio."""
    n_users: int


def paired_bootstrap(
    model: NDArray[np.float64], baseline: NDArray[np.float64], resamples: int = 2000, seed: int = 0
) -> Comparison:
    """Resample users with replacement, the same for both models (Efron & Tibshirani 1993, ch. 13: percentile interval).

    Args:
        model: one value per user (U,), NaN where the user has no positives.
        baseline: the same users in the same order (U,).
        resamples: bootstrap samples.
        seed: of the resampling.

    Raises:
        ValueError: the two do not have a value for the same users.
    """
    if model.shape != baseline.shape or (np.isnan(model) != np.isnan(baseline)).any():
        raise ValueError("paired values are needed: both models on the same users")
    known = ~np.isnan(model)
    pairs = np.stack([model[known], baseline[known]], axis=1)
    n, rng = len(pairs), np.random.default_rng(seed)
    means = np.empty((resamples, 2))
    block = max(1, _BUDGET // max(n, 1))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        means[start : start + size] = pairs[rng.integers(0, n, (size, n))].mean(axis=1)
    ours, theirs = pairs.mean(axis=0)
    low, high = np.quantile(means[:, 0] - means[:, 1], [0.025, 0.975])
    ratio_low, ratio_high = np.quantile(means[:, 0] / means[:, 1], [0.025, 0.975])
    return Comparison(
        difference=float(ours - theirs),
        low=float(low),
        high=float(high),
        ratio=float(ours / theirs),
        ratio_low=float(ratio_low),
        ratio_high=float(ratio_high),
        n_users=n,
    )
