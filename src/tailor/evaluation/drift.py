"""How far a distribution has moved: the population stability index.

    PSI = Σ_b (a_b - e_b) ln(a_b / e_b)

with e_b and a_b the shares of the expected and the actual values in bin b; bins are deciles of the expected ones.
Siddiqi 2006, "Credit Risk Scorecards", ch. 9. By custom below .1 is stable, from .25 on shifted.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STABLE, SHIFTED = 0.1, 0.25
#: Least share of a bin: an empty one would make the index infinite.
_LEAST = 1e-4
#: Draws without a shift, and the quantile of their indices that counts as chance.
_DRAWS, _CHANCE = 1000, 0.99
#: Fewer values tell nothing of a distribution in ten bins.
LEAST_VALUES = 30


def psi(expected: NDArray[np.floating], actual: NDArray[np.floating], n_bins: int = 10) -> float:
    """Return the index of two samples; 0 where either is empty.

    Values of the expected sample that many share make one bin: fewer than ``n_bins`` are left then.
    """
    if not len(expected) or not len(actual):
        return 0.0
    edges = _edges(expected, n_bins)
    e, a = (_shares(_counts(x, edges)) for x in (expected, actual))
    return float(((a - e) * np.log(a / e)).sum())


def psi_by_chance(expected: NDArray[np.floating], n: int, seed: int, n_bins: int = 10) -> float:
    """Return what the index of ``n`` values exceeds once in a hundred draws that follow the expected sample.

    A few rows differ from any distribution: without a shift the index is about (bins - 1) / n (Yurdakul 2018,
    "Statistical properties of population stability index"). 0 where the sample is empty or n is 0; infinite
    where there are fewer than ``LEAST_VALUES``.

    Args:
        expected: the sample.
        n: values that are drawn, bin by bin.
        seed: of the draws.
        n_bins: as of :func:`psi`.
    """
    if not len(expected) or not n:
        return 0.0
    if n < LEAST_VALUES:
        return float("inf")
    counts = _counts(expected, _edges(expected, n_bins))
    e = _shares(counts)
    a = _shares(np.random.default_rng(seed).multinomial(n, counts / counts.sum(), _DRAWS))
    return float(np.quantile(((a - e) * np.log(a / e)).sum(axis=1), _CHANCE))


def _edges(expected: NDArray[np.floating], n_bins: int) -> Floats:
    return np.unique(np.quantile(expected, np.linspace(0, 1, n_bins + 1)[1:-1]))


def _counts(values: NDArray[np.floating], edges: Floats) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, "left"), minlength=len(edges) + 1)


def _shares(counts: NDArray[np.int64]) -> Floats:
    return np.asarray(np.maximum(counts / counts.sum(axis=-1, keepdims=True), _LEAST), dtype=np.float64)


def interpret_psi(value: float) -> str:
    """Say what an index means: stable (below .1), moved, or shifted (from .25 on).

    >>> interpret_psi(0.3)
    'shifted'
    """
    return "stable" if value < STABLE else "moved" if value < SHIFTED else "shifted"
