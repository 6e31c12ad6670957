"""Frontiers of re-ranking: what each method and strength does to relevance, diversity, coverage and the tail."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor.metrics import diversity
from tailor.metrics.accuracy import hits, ndcg
from tailor.options import FrontierOptions, RerankOptions
from tailor.progress import progress
from tailor.rerank.base import ItemFacts, Lists, Scores, rerank

GAINS = ("intra_list_diversity", "catalog_coverage", "tail_ndcg")


@dataclass(frozen=True)
class Pool:
    """One model's candidates under one split; row u is user u of all matrices."""

    items: Lists
    """(U, P), best first, -1 for an empty place."""
    scores: Scores
    """(U, P)."""
    history: sparse.csr_matrix
    """(U, n_items)."""
    positives: sparse.csr_matrix
    """(U, n_items)."""
    n_candidates: int
    """Items that a list could hold."""


def trace(pool: Pool, facts: ItemFacts, options: FrontierOptions, k: int) -> pd.DataFrame:
    """Measure every method at every strength, with lists of k, or of the whole pool where that is smaller.

    Returns:
        Columns method, strength, ndcg, tail_ndcg, intra_list_diversity, category_diversity, catalog_coverage, aplt.
    """
    settings = [RerankOptions(pool=options.pool)] + [
        RerankOptions(method=method, strength=strength, pool=options.pool)
        for method in options.methods
        for strength in options.strengths
    ]
    k, rows = min(k, pool.items.shape[1]), []
    for setting in progress(settings, "re-ranking", "setting"):
        lists, _ = rerank(pool.items, pool.scores, pool.history, facts, setting, k)
        rows.append({"method": setting.method, "strength": setting.strength} | measure(lists, pool, facts, k))
    return pd.DataFrame(rows)


def measure(lists: Lists, pool: Pool, facts: ItemFacts, k: int) -> dict[str, float]:
    """Return means over users of lists (U, k), and their coverage: the columns of :func:`trace` after strength."""
    hit, filled = hits(lists, pool.positives), lists >= 0
    tail_hit = hit & facts.tail[lists]
    n_tail = np.asarray(pool.positives @ facts.tail.astype(np.float32), dtype=np.int64)
    share = (filled & facts.tail[lists]).sum(axis=1) / np.maximum(filled.sum(axis=1), 1)
    found = {
        "ndcg": ndcg(hit, np.diff(pool.positives.indptr), k),
        "tail_ndcg": ndcg(tail_hit, n_tail, k),
        "intra_list_diversity": diversity.intra_list_diversity(lists, facts.vectors),
        "category_diversity": diversity.category_diversity(lists, facts.categories),
        "aplt": share,
    }
    means = {name: _mean(values) for name, values in found.items()}
    return means | {"catalog_coverage": len(np.unique(lists[filled])) / pool.n_candidates}


def balance(frontier: pd.DataFrame, max_price: float, pool: int) -> RerankOptions:
    """Choose the ``balance`` preset from the frontier on validation; the rule is that of :class:`FrontierOptions`."""
    base = frontier[frontier["method"] == "none"].iloc[0]
    affordable = frontier[frontier["ndcg"] >= (1 - max_price) * base["ndcg"]]
    gain = np.zeros(len(affordable))
    for name in GAINS:
        own = affordable[name].to_numpy() - base[name]
        gain += own / own.max() if own.max() > 0 else 0.0
    best = affordable.iloc[int(gain.argmax())]
    return RerankOptions(method=best["method"], strength=float(best["strength"]), pool=pool)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
