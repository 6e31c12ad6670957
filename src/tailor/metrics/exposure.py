"""What a set of lists shows: how much of the catalogue, how much of its tail, how evenly, how new."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def exposure(
    lists: NDArray[np.int64],
    n_train: Counts,
    tail: NDArray[np.bool_],
    candidates: NDArray[np.bool_],
    n_train_users: int,
) -> dict[str, float]:
    """Compute the exposure metrics of one model's lists.

    * catalog_coverage: distinct listed items / candidate items.
    * tail_coverage: distinct listed tail items / candidate tail items.
    * gini: of the listing counts over candidate items; 0 all alike, 1 one item gets all.
    * arp: mean train popularity of listed items (Yin et al. 2012, "Challenging the long tail recommendation").
    * aplt: mean share of tail items per list (Abdollahpouri et al. 2017).
    * aclt: mean number of tail items per list (Abdollahpouri et al. 2019, "Managing popularity bias", eq. 8).
    * entropy: Shannon entropy of the listing counts in bits; log2(items) when all are listed alike.
    * novelty: mean self-information -log2((n_i + 1) / (n_users + 1)) in bits (Zhou et al. 2010; +1 for cold items).

    Args:
        lists: internal item ids (U, k), -1 for an empty place.
        n_train: train interactions per item (n_items,).
        tail: marks tail items (n_items,).
        candidates: marks the items that could be listed (n_items,).
        n_train_users: users with train interactions.

    Returns:
        Metric name to value; NaN where a denominator is 0.
    """
    filled = lists >= 0
    listed = lists[filled]
    counts = np.bincount(listed, minlength=len(n_train))
    information = -np.log2((n_train + 1) / (n_train_users + 1))
    tail_share = np.where(filled, tail[lists], False).sum(axis=1) / np.maximum(filled.sum(axis=1), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "catalog_coverage": float(np.float64((counts > 0).sum()) / candidates.sum()),
            "tail_coverage": float(np.float64(((counts > 0) & tail).sum()) / (tail & candidates).sum()),
            "gini": gini(counts[candidates]),
            "entropy": entropy(counts),
            "arp": float(n_train[listed].mean()) if len(listed) else float("nan"),
            "aplt": float(tail_share[filled.any(axis=1)].mean()) if len(listed) else float("nan"),
            "aclt": float(np.where(filled, tail[lists], False).sum(axis=1)[filled.any(axis=1)].mean())
            if len(listed)
            else float("nan"),
            "novelty": float(information[listed].mean()) if len(listed) else float("nan"),
        }


def gini(counts: Counts) -> float:
    """Gini index of non-negative counts: Σ_j (2j - n - 1) x_(j) / (n Σ x), x sorted ascending; NaN if all are 0."""
    x = np.sort(counts).astype(np.float64)
    n = len(x)
    if n == 0 or x.sum() == 0:
        return float("nan")
    return float(((2 * np.arange(1, n + 1) - n - 1) @ x) / (n * x.sum()))


def entropy(counts: Counts) -> float:
    """Shannon entropy -Σ p log2 p of non-negative counts, p = x / Σ x; NaN if all are 0."""
    x = counts[counts > 0].astype(np.float64)
    return float(-(x / x.sum()) @ np.log2(x / x.sum())) if len(x) else float("nan")


def parity(
    lists: NDArray[np.int64],
    hit: NDArray[np.bool_],
    shown: Counts,
    wanted: Counts,
    group: NDArray[np.int64],
    n_groups: int,
) -> dict[str, float]:
    """How unevenly groups of items are listed: relative standard deviation std_g / mean_g of a group's chance.

    * poprsp: chance of an item that could be listed to be listed, Σ listed in g / Σ (user, item) cells of g.
    * popreo: the same for items that the user wants, Σ hits in g / Σ positives in g.

    Zhu, Wang & Caverlee 2020, "Measuring and mitigating item under-recommendation bias", eq. 4 and 6. 0 is even.

    Args:
        lists: (U, k), -1 for an empty place.
        hit: which listed items are positives (U, k).
        shown: per item the number of users whose list could hold it (n_items,).
        wanted: per item the number of users who want it (n_items,).
        group: group per item (n_items,), 0 … n_groups - 1; groups without cells (positives) are left out.
    """
    listed = np.bincount(group[lists[lists >= 0]], minlength=n_groups)
    found = np.bincount(group[lists[hit]], minlength=n_groups)
    cells, positives = (np.bincount(group, weights=v, minlength=n_groups).astype(np.int64) for v in (shown, wanted))
    return {"poprsp": _spread(listed, cells), "popreo": _spread(found, positives)}


def _spread(counts: Counts, of: Counts) -> float:
    chance = counts[of > 0] / of[of > 0]
    return float(chance.std() / chance.mean()) if len(chance) and chance.mean() > 0 else float("nan")
