"""Exploration: a list is drawn from the best candidates by Plackett-Luce, and the chance of each step is told.

    P(i at rank r | those above it) = exp(s_i / T) / Σ_{j in the pool, not above} exp(s_j / T)

(Plackett 1975.) A draw is the order of s_i / T + g_i with independent Gumbel g_i (Kool, van Hoof & Welling 2019, §2.3).
T → 0 is the best list, T → ∞ an even draw from the pool. What is not in the pool is never listed, so its value cannot
be read from such a log.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tailor.rerank.base import Floats, Lists, Scores
from tailor.topk import EXCLUDED

#: Candidates that a list is drawn from, the best by score; a longer list is drawn from as many as it has.
POOL = 200


def draw_lists(
    pool: Lists, scores: Scores, temperature: float, request_ids: Sequence[str], k: int
) -> tuple[Lists, Scores, Floats]:
    """Draw k of each request's pool.

    Args:
        pool: internal item ids (B, P), best first, -1 for an empty place.
        scores: theirs (B, P), ``-inf`` in empty places.
        temperature: T, above 0, in units of scores.
        request_ids: of the requests (B,): a request that is repeated gets the same draw from the same pool.
        k: list length, at most P.

    Returns:
        Items (B, k), -1 for an empty place; their scores, ``-inf`` there; the probability of each item at its rank,
        given those above it, 0 there.
    """
    filled = pool >= 0
    utility = np.where(filled, scores.astype(np.float64) / temperature, -np.inf)
    noise = np.stack([_gumbel(name, pool.shape[1]) for name in request_ids]) if len(pool) else np.zeros(pool.shape)
    order = np.argsort(-(utility + noise), axis=1, kind="stable")
    drawn = np.take_along_axis(utility, order, axis=1)
    # Of each rank: log Σ exp over what is not above it.
    rest = np.logaddexp.accumulate(drawn[:, ::-1], axis=1)[:, ::-1]
    listed = np.isfinite(drawn)
    with np.errstate(invalid="ignore"):
        propensities = np.where(listed, np.exp(drawn - rest), 0.0)
    items, values = np.take_along_axis(pool, order, axis=1), np.take_along_axis(scores, order, axis=1)
    return np.where(listed, items, -1)[:, :k], np.where(listed, values, EXCLUDED)[:, :k], propensities[:, :k]


def _gumbel(request_id: str, size: int) -> NDArray[np.float64]:
    """Return Gumbel noise (size,) that the id determines, on every machine."""
    seed = int.from_bytes(hashlib.sha256(request_id.encode(errors="replace")).digest()[:16], "big")
    return np.random.default_rng(seed).gumbel(size=size)
