"""Seeded samples that have every stratum in its share.

Of N rows, a sample of m has n_h = m N_h / N of stratum h, the seats that rounding leaves over going to the largest
remainders (Cochran 1977, *Sampling Techniques*, §5.5: proportional allocation). So means over the sample need no
weights.
"""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified_sample(rows: Indices, strata: NDArray[np.str_], order: NDArray[np.uint64], size: int | None) -> Indices:
    """Return ``size`` of the rows, of each stratum those that come first in ``order``.

    Args:
        rows: what is drawn from (n,).
        strata: stratum of each of them (n,).
        order: a seeded hash of each (n,), so that the sample does not depend on the order of a table.
        size: of the sample; None, or not fewer than there are: all rows.

    Returns:
        Some of ``rows``, ascending.
    """
    if size is None or len(rows) <= size:
        return rows
    names, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    seats = allocate(sizes, size)
    chosen = [rows[stratum == h][np.argsort(order[stratum == h], kind="stable")[: seats[h]]] for h in range(len(names))]
    return np.sort(np.concatenate(chosen))


def allocate(sizes: NDArray[np.int64], total: int) -> Indices:
    """Return how many of each stratum are drawn: its share of ``total``, by largest remainders; they sum to ``total``.

    Args:
        sizes: of the strata (H,); their sum is at least ``total``.
        total: rows that are drawn.

    Example:
        >>> allocate(np.array([50, 30, 20]), 7).tolist()
        [4, 2, 1]
    """
    exact = sizes * total / sizes.sum()
    seats = np.floor(exact).astype(np.int64)
    left = np.argsort(-(exact - seats), kind="stable")[: total - int(seats.sum())]
    seats[left] += 1
    return np.asarray(seats, dtype=np.int64)
