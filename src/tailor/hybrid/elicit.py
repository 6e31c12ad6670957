"""Which items to ask a new visitor about: those whose answers tell most (greedy D-optimal design).

    argmax_S log det(I + Σ_(i ∈ S) p_i v_i v_iᵀ)

with v_i the factors of an item and p_i the share of users who know it, so the chance that there is an answer. The
objective is submodular, so choosing greedily comes within 1 - 1/e of the best set (Nemhauser et al. 1978). Designs for
cold-start interviews: Anava et al. 2015, "Budget-constrained item cold-start handling in collaborative filtering
recommenders via optimal design".
"""

import numpy as np
from numpy.typing import NDArray

from tailor.models.base import Indices
from tailor.types import AnyArray

Floats = NDArray[np.float64]


def choose_items(vectors: AnyArray, known: AnyArray, k: int) -> Indices:
    """Choose items to ask about.

    Args:
        vectors: factors of the items (n, d), in units in which an answer has noise of variance 1.
        known: share of users who know each item (n,), 0 to 1; an item that nobody knows is never asked about.
        k: items to choose.

    Returns:
        Rows of ``vectors`` (at most k,), the most telling first. Of equals the first row.

    Example:
        >>> choose_items(np.array([[2.0, 0], [1.9, 0], [0, 1]]), np.array([0.5, 0.5, 0.5]), 2)
        array([0, 2])
    """
    V, p = np.asarray(vectors, dtype=np.float64), np.asarray(known, dtype=np.float64)
    covariance, chosen, open_ = np.eye(V.shape[1]), list[int](), p > 0
    leverage = np.einsum("id,id->i", V, V)
    for _ in range(min(k, int(open_.sum()))):
        best = int(np.argmax(np.where(open_, p * leverage, -1.0)))
        chosen.append(best)
        open_[best] = False
        # (A + p v vᵀ)⁻¹ = A⁻¹ - p (A⁻¹v)(A⁻¹v)ᵀ / (1 + p vᵀA⁻¹v): every item's vᵀA⁻¹v loses its share.
        direction, shrink = covariance @ V[best], p[best] / (1 + p[best] * leverage[best])
        leverage = leverage - shrink * (V @ direction) ** 2
        covariance -= shrink * np.outer(direction, direction)
    return np.array(chosen, dtype=np.int64)


def unit_scale(vectors: AnyArray) -> Floats:
    """Return vectors (n, d) scaled by one factor, so that their mean square per dimension is 1; zeros stay."""
    V = np.asarray(vectors, dtype=np.float64)
    size = np.sqrt((V**2).mean()) if V.size else 0.0
    return V / (size or 1.0)
