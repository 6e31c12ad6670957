"""Why an item is on a list: exact shares of its score, by source and, for the factors, by history item."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.cf.ials import IALS
from tailor.hybrid.gate import SOURCES, Fusion
from tailor.hybrid.scorer import Hybrid

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """Of one user's scores for some items; rows are items."""

    items: NDArray[np.int64]
    """Internal ids (k,)."""
    sources: Floats
    """Weighted standardised scores by source (k, S), in the order of ``SOURCES``."""
    other: Floats
    """What is not a source's: cold shift, dials, popularity bias, interaction terms (k,). Row sums are the scores."""
    history: NDArray[np.int64]
    """Internal ids of the user's items (h,)."""
    by_history: Floats
    """Shares of the factor score u·v_i by history item (k, h); row sums are u·v_i."""

    @property
    def score(self) -> Floats:
        """(k,)."""
        return np.asarray(self.sources.sum(axis=1) + self.other)


def explain(scorer: Hybrid, history: sparse.csr_matrix, items: NDArray[np.int64]) -> Explanation:
    """Take the scores of one user apart.

    The factor part is exact: u = A⁻¹ Σ_h v_h with A = Σ_h v_h v_hᵀ + αG + λ f I, so u·v_i = Σ_h v_hᵀ A⁻¹ v_i.

    Args:
        scorer: a fitted hybrid.
        history: one user's items (1, n_items).
        items: internal ids of what to explain (k,).
    """
    scores = scorer.score(history)[0, items].astype(np.float64)
    z = np.stack([source[0, items] for source in scorer.standardised(history)], axis=1).astype(np.float64)
    own = weights(scorer, history, items) * z
    known = np.sort(history.indices).astype(np.int64)
    return Explanation(items, own, scores - own.sum(axis=1), known, factor_shares(scorer, known, items))


def weights(scorer: Hybrid, history: sparse.csr_matrix, items: NDArray[np.int64]) -> Floats:
    """Return the weight of each source for one user and each of some items (k, S)."""
    gate, sides = scorer.gate, scorer.sides(history, whole=False)
    if not history.nnz:
        return np.tile([float(name == SOURCES[-1]) for name in SOURCES], (len(items), 1))
    fusion: Fusion = next(found for found, _ in gate.by_history(np.array([history.nnz])))
    x_u = (float(sides.activity[0]) - fusion.activity_centre) / fusion.activity_scale
    x_i = sides.popularity[items, None]
    warm = fusion.base + fusion.by_popularity * x_i + fusion.by_activity * x_u
    return np.asarray(np.where(scorer.warm[items, None], warm, gate.cold), dtype=np.float64)


def factor_shares(scorer: Hybrid, history: NDArray[np.int64], items: NDArray[np.int64]) -> Floats:
    """Return v_hᵀ A⁻¹ v_i for every item and history item (k, h)."""
    mf = cast(IALS, scorer.sources["mf"])
    o, V, n = mf.options, mf.item_factors, len(history)
    ridge = o.regularization * (n + o.alpha * mf.n_warm) ** o.nu
    normal = V[history].T @ V[history] + mf.gram + ridge * np.eye(V.shape[1])
    return np.asarray(V[items] @ np.linalg.solve(normal, V[history].T))
