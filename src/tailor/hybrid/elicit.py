"""Which items to ask a new visitor about: those whose answers leave the least to guess (greedy A-optimal design).

Let x be what a user takes, 0/1 by item, with covariance C over the users of the catalogue, and let an answer about an
item be its entry of x with noise of variance λ. Once the items S are answered, the best linear guess of x leaves the
variance

    tr(C - C_S (C_SS + λI)⁻¹ C_Sᵀ)

and items are chosen one by one for the smallest. The chance that somebody knows an item needs no weight of its own: an
item that nobody knows, or everybody, has no variance, and popular items are most of what can be guessed. Asking about
the items that tell most of all others: Golbandi, Koren & Lempel 2010, "On bootstrapping recommender systems"; designs
for such interviews: Anava et al. 2015, "Budget-constrained item cold-start handling in collaborative filtering
recommenders via optimal design".
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.models.base import Indices, Mask

Floats = NDArray[np.float64]

#: Variance of the noise of an answer, in units of a 0/1 entry, whose own is at most .25.
NOISE = 0.1
#: Items that are asked about are among so many that most users know; users that the covariance is of.
_POOL, _USERS = 500, 20_000
#: Gains that differ behind these decimals are equal: last bits choose nothing.
_DIGITS, _LEAST = 12, 1e-12


def choose_items(history: sparse.csr_matrix, askable: Mask, k: int, noise: float = NOISE) -> Indices:
    """Choose items to ask about.

    Args:
        history: what the users of the catalogue take, 0/1 (U, n_items).
        askable: items that may be asked about (n_items,); of these the 500 that most users know.
        k: items to choose.
        noise: variance of the noise of an answer.

    Returns:
        Internal ids (at most k,), the most telling first; none that nobody knows.

    Example:
        >>> history = sparse.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]])
        >>> choose_items(history, np.ones(4, dtype=bool), 2)
        array([0, 2])
    """
    known = np.bincount(history.indices, minlength=len(askable))
    by_known = np.argsort(-known, kind="stable")
    pool = np.asarray(by_known[askable[by_known] & (known[by_known] > 0)][:_POOL], dtype=np.int64)
    return np.asarray(pool[least_remaining(covariance(history, pool), k, noise)], dtype=np.int64)


def covariance(history: sparse.csr_matrix, items: Indices) -> Floats:
    """Return the covariance of some items' columns (p, p) over users with a history: evenly spaced ones, if many."""
    with_history = np.flatnonzero(np.diff(history.indptr))
    step = max(1, -(-len(with_history) // _USERS))
    taken = history[with_history[::step]][:, items].astype(np.float64)
    mean = np.asarray(taken.mean(axis=0)).ravel() if taken.shape[0] else np.zeros(len(items))
    return np.asarray((taken.T @ taken).toarray() / max(taken.shape[0], 1) - np.outer(mean, mean))


def least_remaining(covariances: Floats, k: int, noise: float) -> Indices:
    """Return the rows of a covariance (p, p) to observe (at most k,), each the one that leaves the least variance.

    Observing i takes ||C_i||² / (C_ii + noise) off the trace, and leaves C - C_i C_iᵀ / (C_ii + noise). Of equals the
    first row.
    """
    remaining, chosen, open_ = covariances.copy(), list[int](), np.ones(len(covariances), dtype=bool)
    for _ in range(min(k, len(remaining))):
        gains = (remaining**2).sum(axis=1) / np.maximum(np.diag(remaining) + noise, _LEAST)
        best = int(np.argmax(np.where(open_, gains.round(_DIGITS), -1.0)))
        chosen.append(best)
        open_[best] = False
        remaining -= np.outer(remaining[best], remaining[best] / max(remaining[best, best] + noise, _LEAST))
    return np.array(chosen, dtype=np.int64)
