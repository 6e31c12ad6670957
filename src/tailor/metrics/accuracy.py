"""Accuracy of lists, one number per user, from hits and the number of positives.

Shapes: ``U`` users, ``K`` list length. The ideal list counts all of a user's positives in the bucket at hand, also
those no list could hold; so values are comparable between models, and equal those of ranx.
"""

from collections.abc import Callable
from functools import wraps

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.metrics.base import EVERYWHERE, MIXED_TEST, Bools, Floats, Headline, Lists, hits, metric
from tailor.types import AnyArray

__all__ = [
    "average_precision",
    "hit_rate",
    "hits",
    "ndcg",
    "precision",
    "propensities",
    "propensity_recall",
    "recall",
    "reciprocal_rank",
]


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
    precision_at_rank = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return _divide((first * precision_at_rank).sum(axis=1), n_positives)


def reciprocal_rank(hit: Bools, n_positives: NDArray[np.int64], k: int) -> Floats:
    """1 / rank of the first hit, 0 if there is none in the first k. NaN where a user has no positives."""
    first = hit[:, :k]
    rank = first.argmax(axis=1) + 1
    return np.where(n_positives > 0, first.any(axis=1) / rank, np.nan)


def propensities(n_train: NDArray[np.int64], power: float = 0.5) -> Floats:
    """Return p_i = ((n_i + 1) / (max n + 1))^power, (n_items,): the chance that liking item i was observed.

    The power-law model of Yang et al. 2018, "Unbiased offline recommender evaluation for missing-not-at-random implicit
    feedback", eq. 11; it is an assumption, not an estimate.
    """
    return np.asarray(((n_train + 1) / (n_train.max(initial=0) + 1)) ** power)


def propensity_recall(lists: NDArray[np.int64], positives: sparse.csr_matrix, propensity: Floats, k: int) -> Floats:
    """Σ_(hits in the first k) 1/p_i / Σ_(all positives) 1/p_i (self-normalised; Yang et al. 2018, eq. 9).

    NaN where a user has no positives.
    """
    first = lists[:, :k]
    gained = np.where(hits(first, positives), 1 / propensity[first], 0).sum(axis=1)
    return _divide(gained, (positives > 0) @ (1 / propensity))


def _divide(numerator: AnyArray, denominator: AnyArray) -> Floats:
    ratios = np.full(len(denominator), np.nan)
    np.divide(numerator, denominator, out=ratios, where=np.asarray(denominator) > 0, dtype=np.float64)
    return ratios


def _of_hits(function: Callable[[Bools, NDArray[np.int64], int], Floats]) -> Callable[[Lists], Floats]:
    """Make a function of hits, number of positives and k one of lists."""

    @wraps(function)
    def of_lists(lists: Lists) -> Floats:
        return function(lists.hits, lists.n_positives, lists.k)

    return of_lists


metric(
    "ndcg",
    per="user",
    scope=EVERYWHERE,
    headline=[
        Headline("warm NDCG", c.WARM, compared_as="warm"),
        Headline("tail NDCG", c.WARM, c.TAIL, compared_as="tail"),
        Headline("cold NDCG", c.COLD, compared_as="cold"),
        Headline("mixed NDCG", c.MIXED, compared_as="mixed"),
        Headline("mixed-cold NDCG", c.MIXED, c.COLD, compared_as="mixed_cold"),
        Headline("new user, 3 items", c.WARM, user_bucket="new_3"),
        Headline("validation warm NDCG", c.WARM, split=c.VALIDATION),
    ],
)(_of_hits(ndcg))
metric("recall", per="user", scope=EVERYWHERE, headline=[Headline("warm recall", c.WARM)])(_of_hits(recall))
metric("precision", per="user", scope=EVERYWHERE)(_of_hits(precision))
metric("map", per="user", scope=EVERYWHERE)(_of_hits(average_precision))
metric("mrr", per="user", scope=EVERYWHERE)(_of_hits(reciprocal_rank))
metric("hit_rate", per="user", scope=EVERYWHERE)(_of_hits(hit_rate))


@metric("propensity_recall", per="user", scope=MIXED_TEST)
def _propensity_recall(lists: Lists) -> Floats:
    """Recall whose hits and positives count the more the rarer an item is, by estimated propensities, (U,)."""
    return propensity_recall(lists.items, lists.positives, propensities(lists.metadata.n_train), lists.k)
