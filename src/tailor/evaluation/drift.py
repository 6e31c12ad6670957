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


def psi(expected: NDArray[np.floating], actual: NDArray[np.floating], n_bins: int = 10) -> float:
    """Return the index of two samples; 0 where either is empty.

    Values of the expected sample that many share make one bin: fewer than ``n_bins`` are left then.
    """
    if not len(expected) or not len(actual):
        return 0.0
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, n_bins + 1)[1:-1]))
    e, a = (np.bincount(np.searchsorted(edges, x, "left"), minlength=len(edges) + 1) for x in (expected, actual))
    e, a = (np.maximum(counts / counts.sum(), _LEAST) for counts in (e, a))
    return float(((a - e) * np.log(a / e)).sum())


def interpret_psi(value: float) -> str:
    """Say what an index means: stable (below .1), moved, or shifted (from .25 on).

    >>> interpret_psi(0.3)
    'shifted'
    """
    return "stable" if value < STABLE else "moved" if value < SHIFTED else "shifted"
