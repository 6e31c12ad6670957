"""The Pareto front: the settings that no other setting beats in every respect."""

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


def pareto_front(gains: NDArray[np.float64]) -> Bools:
    """Mark the settings of which no other one is at least as good in every respect and better in one (n,).

    Two settings with the same figures are both on the front or both off it. A setting with a figure that is not known
    (NaN) is not on the front, and beats none. Time grows with n².

    Args:
        gains: a row for each setting, a column for each respect, higher is better (n, d).

    Raises:
        ValueError: this is no table of settings.

    >>> pareto_front(np.array([[0.30, 0.2], [0.29, 0.6], [0.28, 0.5]])).tolist()
    [True, True, False]
    """
    if gains.ndim != 2:
        raise ValueError(f"a row for each setting and a column for each respect are needed, not shape {gains.shape}")
    others, setting = gains[None, :, :], gains[:, None, :]
    as_good: Bools = np.all(others >= setting, axis=2)
    better: Bools = np.any(others > setting, axis=2)
    beaten: Bools = np.any(as_good & better, axis=1)
    known: Bools = ~np.any(np.isnan(gains), axis=1)
    return ~beaten & known
