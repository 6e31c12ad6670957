"""Are two models different? Paired bootstrap over users, Holm's correction for the number of comparisons."""

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
    p: float
    """Two-sided bootstrap p-value of no difference: twice the smaller share of resamples on one side of 0."""
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
    if not n:
        nothing = float("nan")
        return Comparison(nothing, nothing, nothing, nothing, nothing, nothing, nothing, 0)
    means = np.empty((resamples, 2))
    block = max(1, _BUDGET // n)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        means[start : start + size] = pairs[rng.integers(0, n, (size, n))].mean(axis=1)
    ours, theirs = pairs.mean(axis=0)
    differences = means[:, 0] - means[:, 1]
    low, high = np.quantile(differences, [0.025, 0.975])
    # One resample is granted to either side, so p is never 0 (Davison & Hinkley 1997, eq. 4.11).
    on_either_side = (differences <= 0).sum(), (differences >= 0).sum()
    with np.errstate(divide="ignore", invalid="ignore"):  # a baseline without a single hit
        ratio_low, ratio_high = np.quantile(means[:, 0] / means[:, 1], [0.025, 0.975])
        ratio = ours / theirs
    return Comparison(
        difference=float(ours - theirs),
        low=float(low),
        high=float(high),
        ratio=float(ratio),
        ratio_low=float(ratio_low),
        ratio_high=float(ratio_high),
        p=min(1.0, 2 * (int(min(on_either_side)) + 1) / (resamples + 1)),
        n_users=n,
    )


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for their number (n,): Holm 1979, max over smaller ones of (n - rank) p, at most 1."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def verdict(difference: float, adjusted_p: float, level: float = 0.05) -> str:
    """Say in words what a comparison showed."""
    if not adjusted_p <= level:
        return "no difference shown"
    return "better" if difference > 0 else "worse"
