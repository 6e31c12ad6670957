"""Why an item is on a list: exact shares of its score, by source and, for the factors, by history item."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.hybrid.blend import SOURCES, BlendModel
from tailor.hybrid.scorer import Hybrid
from tailor.models.ials import IALS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """Of one user's scores for some items; rows are items."""

    items: NDArray[np.int64]
    """Internal ids (k,)."""
    sources: Floats
    """Weighted standardised scores by source (k, S), in the order of ``SOURCES``."""
    other: Floats
    """What is not a source's: cold shift, boosts, popularity bias, interaction terms (k,). Row sums are the scores."""
    history: NDArray[np.int64]
    """Internal ids of the user's items (h,)."""
    by_history: Floats
    """Shares of the factor score u·v_i by history item (k, h); row sums are u·v_i."""

    @property
    def score(self) -> Floats:
        """(k,)."""
        return np.asarray(self.sources.sum(axis=1) + self.other)


def explain(
    scorer: Hybrid,
    history: sparse.csr_matrix,
    items: NDArray[np.int64],
    confidence: sparse.csr_matrix | None = None,
    user: int = -1,
) -> Explanation:
    """Take the scores of one user apart.

    The factor part is exact: u = A⁻¹ Σ_h c_h v_h, A = Σ_h c_h v_h v_hᵀ + αG + λ f I, so u·v_i = Σ_h c_h v_hᵀ A⁻¹ v_i.

    Args:
        scorer: a fitted hybrid.
        history: one user's items (1, n_items).
        items: internal ids of what to explain (k,).
        confidence: c of each item of the history, the same cells; None: 1 each.
        user: internal id.
    """
    found, sources = scorer.scored(history, np.array([user]), confidence)
    scores = found[0, items].astype(np.float64)
    z = np.stack([source[0, items] for source in sources], axis=1).astype(np.float64)
    own = weights(scorer, history, items) * z
    known = np.sort(history.indices).astype(np.int64)
    c = np.ones(len(known)) if confidence is None else np.asarray(confidence[0, known].todense()).ravel()
    return Explanation(items, own, scores - own.sum(axis=1), known, factor_shares(scorer, known, items, c))


def weights(scorer: Hybrid, history: sparse.csr_matrix, items: NDArray[np.int64]) -> Floats:
    """Return the weight of each source for one user and each of some items (k, S)."""
    return weights_of_lists(scorer, history, items[None])[0]


def weights_of_lists(scorer: Hybrid, history: sparse.csr_matrix, items: NDArray[np.int64]) -> Floats:
    """Return the weight of each source (B, k, S) for the items (B, k) of each user's list."""
    gate, lengths = scorer.gate, np.diff(history.indptr)
    x_u, x_i = np.log1p(lengths), scorer.popularity[items][..., None]
    out = np.zeros((*items.shape, len(SOURCES)))
    for fusion, rows in gate.by_history(lengths):
        f: BlendModel = fusion
        by_user = f.by_activity * ((x_u[rows] - f.activity_centre) / f.activity_scale)[:, None, None]
        out[rows] = f.base + f.by_popularity * x_i[rows] + by_user
    out = np.where(scorer.warm[items][..., None], out, gate.cold)
    out[lengths == 0] = gate.of_nobody()
    return out


def factor_shares(scorer: Hybrid, history: NDArray[np.int64], items: NDArray[np.int64], c: Floats) -> Floats:
    """Return c_h v_hᵀ A⁻¹ v_i for every item and history item (k, h) of confidence c (h,)."""
    mf = cast(IALS, scorer.sources["mf"])
    o, V, n = mf.options, mf.item_factors, len(history)
    ridge = o.regularization * (n + o.alpha * mf.n_warm) ** o.nu
    weighted = V[history].T * c
    normal = weighted @ V[history] + mf.gram + ridge * np.eye(V.shape[1])
    return np.asarray(V[items] @ np.linalg.solve(normal, weighted))
