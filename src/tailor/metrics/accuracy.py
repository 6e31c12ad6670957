"""Accuracy of lists, one number per user, from hits and the number of positives.

Shapes: ``B`` users, ``K`` list length. The ideal list counts all of a user's positives in the bucket at hand, also
those no list could hold; so values are comparable between models, and equal those of ranx.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def hits(lists: NDArray[np.int64], positives: sparse.csr_matrix) -> Bools:
    """Mark which listed items are positives.

    Args:
        lists: internal item ids (B, K), -1 for an empty place.
        positives: (B, n_items), non-zero where positive; row b belongs to ``lists[b]``.

    Returns:
        (B, K).
    """
    n_users, n_items = positives.shape
    rows = np.repeat(np.arange(n_users), np.diff(positives.indptr))
    keys = np.sort(rows * n_items + positives.indices)
    wanted = np.arange(n_users)[:, None] * n_items + lists
    at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    found = keys[at] == wanted if len(keys) else np.zeros(lists.shape, dtype=bool)
    return np.asarray(found & (lists >= 0))


def ndcg(hit: Bools, n_positives: NDArray[np.int64], k: int) -> Floats:
    """DCG@k / ideal DCG@k, DCG = Σ_r hit_r / log2(r + 1), ideal = min(n_positives, k) hits first.

    Järvelin & Kekäläinen 2002, with binary gains. NaN where a user has no positives.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    dcg = hit[:, :k] @ discounts[: hit.shape[1]]
    ideal = np.r_[0.0, np.cumsum(discounts)][np.minimum(n_positives, k)]
    return _divide(dcg, ideal)


def recall(hit: Bools, n_positives: NDArray[np.int64], k: int) -> Floats:
    """Hits in the first k / all positives of the user. NaN where a user has no positives."""
    return _divide(hit[:, :k].sum(axis=1), n_positives)


def hit_rate(hit: Bools, n_positives: NDArray[np.int64], k: int) -> Floats:
    """1 if any of the first k is a hit, else 0. NaN where a user has no positives."""
    return np.where(n_positives > 0, hit[:, :k].any(axis=1), np.nan)


def precision(hit: Bools, n_positives: NDArray[np.int64], k: int) -> Floats:
    """Hits in the first k / k, also where the list is shorter. NaN where a user has no positives."""
    return np.where(n_positives > 0, hit[:, :k].sum(axis=1) / k, np.nan)


def average_precision(hit: Bools, n_positives: NDArray[np.int64], k: int) -> Floats:
    """Σ_(r≤k) hit_r · (hits in the first r) / r, divided by *all* positives of the user (trec_eval's map_cut).

    NaN where a user has no positives.
    """
    first = hit[:, :k]
    at = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return _divide((first * at).sum(axis=1), n_positives)


def reciprocal_rank(hit: Bools, n_positives: NDArray[np.int64], k: int) -> Floats:
    """1 / rank of the first hit, 0 if there is none in the first k. NaN where a user has no positives."""
    first = hit[:, :k]
    rank = first.argmax(axis=1) + 1
    return np.where(n_positives > 0, first.any(axis=1) / rank, np.nan)


def propensities(n_train: NDArray[np.int64], power: float = 0.5) -> Floats:
    """Return p_i = ((n_i + 1) / (max n + 1))^power, (n_items,): the chance that a wish for item i was observed.

    The power-law model of Yang et al. 2018, "Unbiased offline recommender evaluation for missing-not-at-random implicit
    feedback", eq. 11; it is an assumption, not an estimate.
    """
    return np.asarray(((n_train + 1) / (n_train.max(initial=0) + 1)) ** power)


def propensity_recall(lists: NDArray[np.int64], positives: sparse.csr_matrix, propensity: Floats, k: int) -> Floats:
    """Σ_(hits in the first k) 1/p_i / Σ_(all positives) 1/p_i (self-normalised; Yang et al. 2018, eq. 9).

    NaN where a user has no positives.
    """
    first = lists[:, :k]
    found = np.where(hits(first, positives), 1 / propensity[first], 0).sum(axis=1)
    return _divide(found, (positives > 0) @ (1 / propensity))


def _divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    return np.divide(
        numerator,
        denominator,
        out=np.full(len(denominator), np.nan),
        where=np.asarray(denominator) > 0,
        dtype=np.float64,
    )


#: Per-user metrics by the name they have in the metrics table.
RANKING_METRICS = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}
