"""What a set of lists shows: how much of the catalogue, how much of its tail, how evenly, how new.

Every function takes :class:`tailor.metrics.base.Lists` and returns one number; NaN where a denominator is 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.metrics.base import MIXED_TEST, Headline, Lists, metric
from tailor.types import AnyArray

Counts = NDArray[np.int64]
_NAN = float("nan")


@metric("catalog_coverage", per="lists", headline=[Headline("coverage")])
def catalog_coverage(lists: Lists) -> float:
    """Distinct listed items / candidate items."""
    return _ratio((lists.n_listed > 0).sum(), lists.candidates.sum())


@metric("tail_coverage", per="lists", headline=[Headline("tail coverage")])
def tail_coverage(lists: Lists) -> float:
    """Distinct listed tail items / candidate tail items."""
    tail = lists.metadata.tail
    return _ratio(((lists.n_listed > 0) & tail).sum(), (tail & lists.candidates).sum())


@metric("gini", per="lists")
def listing_gini(lists: Lists) -> float:
    """Gini index of the listing counts over candidate items: 0 all alike, 1 one item gets all."""
    return gini(lists.n_listed[lists.candidates])


@metric("entropy", per="lists")
def listing_entropy(lists: Lists) -> float:
    """Shannon entropy of the listing counts in bits; log2(items) when all are listed alike."""
    return entropy(lists.n_listed)


@metric("arp", per="lists")
def average_popularity(lists: Lists) -> float:
    """Mean train popularity of listed items (Yin et al. 2012, "Challenging the long tail recommendation")."""
    return _mean(lists.metadata.n_train[lists.items[lists.filled]])


@metric("aplt", per="lists", headline=[Headline("APLT")])
def average_tail_share(lists: Lists) -> float:
    """Mean share of tail items per list (Abdollahpouri et al. 2017); lists without an item do not count."""
    n_filled = lists.filled.sum(axis=1)
    return _mean(_n_tail(lists)[n_filled > 0] / n_filled[n_filled > 0])


@metric("aclt", per="lists")
def average_tail_count(lists: Lists) -> float:
    """Mean number of tail items per list (Abdollahpouri et al. 2019, "Managing popularity bias", eq. 8)."""
    return _mean(_n_tail(lists)[lists.filled.any(axis=1)])


@metric("novelty", per="lists", headline=[Headline("novelty (bits)")])
def novelty(lists: Lists) -> float:
    """Mean self-information -log2((n_i + 1) / (n_users + 1)) in bits (Zhou et al. 2010; +1 for cold items)."""
    information = -np.log2((lists.metadata.n_train + 1) / (lists.n_train_users + 1))
    return _mean(information[lists.items[lists.filled]])


@metric("poprsp", per="lists", scope=MIXED_TEST)
def statistical_parity(lists: Lists) -> float:
    """How unevenly popularity groups are listed: std_g / mean_g of the chance that an item of group g is listed.

    The chance is Σ listed in g / Σ (user, item) cells of g that a list could hold. 0 is even.
    Zhu, Wang & Caverlee 2020, "Measuring and mitigating item under-recommendation bias", eq. 4.
    """
    n_seen = np.diff(sparse.csc_matrix(lists.seen).indptr)
    cells = (len(lists.items) - n_seen) * lists.candidates
    return _spread(_by_group(lists, lists.n_listed), _by_group(lists, cells))


@metric("popreo", per="lists", scope=MIXED_TEST)
def opportunity_parity(lists: Lists) -> float:
    """How unevenly popularity groups are listed to users who want them: Σ hits in g / Σ positives in g as the chance.

    Zhu, Wang & Caverlee 2020, eq. 6; groups without positives are left out.
    """
    n_hits = np.bincount(lists.items[lists.hits], minlength=len(lists.metadata.table))
    n_positives = np.diff(sparse.csc_matrix(lists.positives).indptr)
    return _spread(_by_group(lists, n_hits), _by_group(lists, n_positives))


def gini(counts: Counts) -> float:
    """Gini index of non-negative counts: Σ_j (2j - n - 1) x_(j) / (n Σ x), x sorted ascending; NaN if all are 0."""
    x = np.sort(counts).astype(np.float64)
    n = len(x)
    if n == 0 or x.sum() == 0:
        return _NAN
    return float(((2 * np.arange(1, n + 1) - n - 1) @ x) / (n * x.sum()))


def entropy(counts: Counts) -> float:
    """Shannon entropy -Σ p log2 p of non-negative counts, p = x / Σ x; NaN if all are 0."""
    x = counts[counts > 0].astype(np.float64)
    return float(-(x / x.sum()) @ np.log2(x / x.sum())) if len(x) else _NAN


def _n_tail(lists: Lists) -> Counts:
    """Count the tail items of each list (U,)."""
    return np.asarray((lists.filled & lists.metadata.tail[lists.items]).sum(axis=1))


def _by_group(lists: Lists, counts: Counts) -> Counts:
    """Sum counts of items (n_items,) over popularity groups (3,)."""
    return np.bincount(lists.popularity_group, weights=counts, minlength=3).astype(np.int64)


def _spread(counts: Counts, cells: Counts) -> float:
    """Return the relative standard deviation of counts / cells over the groups that have cells."""
    chance = counts[cells > 0] / cells[cells > 0]
    return float(chance.std() / chance.mean()) if len(chance) and chance.mean() > 0 else _NAN


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else _NAN


def _mean(values: AnyArray) -> float:
    return float(values.mean()) if len(values) else _NAN
