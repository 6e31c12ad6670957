"""Frontiers of re-ranking: what each method and strength does to relevance, diversity, coverage and the tail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import sparse

from tailor import columns as c
from tailor.config import Count, Options
from tailor.data.hashing import tie_ranks
from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation.protocol import EvalProtocol, positives
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics import base, diversity
from tailor.metrics.accuracy import ndcg
from tailor.models.base import FittedModel, Mask
from tailor.models.listing import recommend
from tailor.progress import progress
from tailor.rerank.base import NONE, Lists, Method, RerankOptions, Scores, rerank
from tailor.rerank.min_exposure import MinExposure, ensure_exposure
from tailor.topk import EXCLUDED
from tailor.types import AnyArray

#: How methods begin that keep places.
_EXPOSED = "min_exposure"
GAINS = ("intra_list_diversity", "catalog_coverage", "tail_ndcg")


class FrontierOptions(Options):
    """Relevance against diversity, coverage and tail: what is tried, and how the ``balance`` preset is chosen."""

    methods: list[Method] = ["mmr", "dpp", "calibrated", "tail", "caps"]
    """Registered re-rankers."""
    strengths: list[Annotated[float, Field(gt=0.0, le=1.0)]] = [0.1, 0.2, 0.3, 0.5, 0.7]
    """Strengths tried of each, beside 0."""
    min_exposure: list[MinExposure] = [MinExposure(new=2, tail=4)]
    """Places kept for new and tail items, of which the cost is told; ``balance`` is none of them."""
    pool: Count = 200
    """Candidates that a list is chosen from."""
    max_users: Count = 2000
    """Users (drawn by seed) that are traced; coverage is of their lists."""
    max_accuracy_loss: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.02
    """Of the settings whose NDCG stays within this fraction of the list as it is (validation), ``balance`` is the one
    with the highest mean gain in intra-list diversity, catalog coverage and tail NDCG, each relative to the largest."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_old_names(cls, values: object) -> Any:
        if isinstance(values, dict) and "max_price" in values:
            raise ValueError("'max_price' is now called 'max_accuracy_loss'")
        return values


@dataclass(frozen=True)
class CandidatePool:
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
    members: Mapping[str, Mask] = field(default_factory=dict)
    """The model's new and tail items (n_items,), by name; empty: it does not tell them apart."""
    best: Mapping[str, tuple[Lists, Scores]] = field(default_factory=dict)
    """The best of each, items and scores (U, P)."""

    @classmethod
    def join(cls, pools: "Sequence[CandidatePool]") -> "CandidatePool":
        """Put the users of several pools below each other."""
        first = pools[0]
        if len(pools) == 1:
            return first
        return cls(
            *_below_each_other([(pool.items, pool.scores) for pool in pools]),
            history=sparse.csr_matrix(sparse.vstack([pool.history for pool in pools])),
            positives=sparse.csr_matrix(sparse.vstack([pool.positives for pool in pools])),
            n_candidates=sum(pool.n_candidates for pool in pools),
            members=first.members,
            best={name: _below_each_other([pool.best[name] for pool in pools]) for name in first.members},
        )


def _below_each_other(parts: Sequence[tuple[Lists, Scores]]) -> tuple[Lists, Scores]:
    """Put lists and their scores below each other, shorter ones with empty places at the end."""
    width = max(items.shape[1] for items, _ in parts)

    def wide(array: AnyArray, empty: float) -> AnyArray:
        return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=empty)

    items, scores = [wide(items, -1) for items, _ in parts], [wide(values, float(EXCLUDED)) for _, values in parts]
    return np.vstack(items), np.vstack(scores)


def draw_candidates(
    model: FittedModel,
    rules: EvalProtocol,
    counted: sparse.csr_matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    options: FrontierOptions,
    block_users: int,
    seed: int,
) -> CandidatePool:
    """List the best candidates of the users that are not new and have positives, or of a sample of them.

    Of several domains each is a list of its own: a row of the pool is a user in one.

    Args:
        model: scores the items.
        rules: candidates, histories and what is not listed.
        counted: what counts as positive, under the ``mixed`` candidates of the rules (U, n_items).
        users: the user table.
        items: the item table.
        options: candidates per user, and users at most.
        block_users: users scored at a time.
        seed: of the sample and of ties.
    """
    known, ties = (users[c.BUCKET] != "new").to_numpy(), tie_ranks(seed, items[c.ITEM])
    members = model.exposure_classes if isinstance(model, HybridScorer) else {}
    pools, size = [], min(options.pool, len(items))
    for domain in rules.domain_names:
        relevant, mixed = positives(counted, rules, c.MIXED, domain), rules.candidates_of(c.MIXED, domain)
        asked = np.flatnonzero(known & (np.diff(relevant.indptr) > 0))
        most = max(1, options.max_users // len(rules.domain_names))
        sample = np.sort(np.random.default_rng([seed, 4]).permutation(asked)[:most])
        query = rules.histories.take(sample)
        sets = {c.MIXED: mixed} | {name: mixed & of_class for name, of_class in members.items()}
        lists = recommend(model, query, rules.seen[sample], sets, size, ties, block_users)
        best = {name: lists[name] for name in members}
        pools.append(CandidatePool(*lists[c.MIXED], query.history, relevant[sample], int(mixed.sum()), members, best))
    return CandidatePool.join(pools)


def trace(pool: CandidatePool, metadata: ItemMetadata, options: FrontierOptions, k: int) -> pd.DataFrame:
    """Measure every method at every strength, with lists of k, or of the whole pool where that is smaller.

    Places that are kept for new and tail items are measured after them, as methods ``min_exposure(new=2, tail=4)`` of
    strength 1.

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
        lists, _ = rerank(pool.items, pool.scores, pool.history, metadata, setting, k)
        rows.append({"method": setting.method, "strength": setting.strength} | measure(lists, pool, metadata))
    for minimum in options.min_exposure if pool.members else []:
        lists, scores = pool.items[:, :k], pool.scores[:, :k]
        lists, _ = ensure_exposure(lists, scores, pool.members, pool.best, minimum.of_length(k))
        name = f"{_EXPOSED}(new={minimum.new}, tail={minimum.tail})"
        rows.append({"method": name, "strength": 1.0} | measure(lists, pool, metadata))
    return pd.DataFrame(rows)


def measure(items: Lists, pool: CandidatePool, metadata: ItemMetadata) -> dict[str, float]:
    """Return means over users of lists (U, k), and their coverage: the columns of :func:`trace` after strength."""
    lists = base.Lists.build(items, metadata, positives=pool.positives, history=pool.history)
    of_tail = lists.of_items(metadata.tail)
    tail_share = (lists.filled & metadata.tail[items]).sum(axis=1) / np.maximum(lists.filled.sum(axis=1), 1)
    per_user = {
        "ndcg": ndcg(lists.hits, lists.n_positives, lists.k),
        "tail_ndcg": ndcg(of_tail.hits, of_tail.n_positives, lists.k),
        "intra_list_diversity": diversity.intra_list_diversity(lists),
        "category_diversity": diversity.category_diversity(lists),
        "aplt": tail_share,
    }
    coverage = float((lists.n_listed > 0).sum()) / pool.n_candidates
    return {name: _mean(values) for name, values in per_user.items()} | {"catalog_coverage": coverage}


def select_balance(frontier: pd.DataFrame, max_accuracy_loss: float, pool: int) -> RerankOptions:
    """Choose the ``balance`` preset from the frontier on validation; the rule is that of :class:`FrontierOptions`.

    Args:
        frontier: as of :func:`trace`.
        max_accuracy_loss: fraction of the NDCG of the list as it is that may be lost.
        pool: candidates, for the options that are returned.
    """
    frontier = frontier[~frontier["method"].str.startswith(_EXPOSED)]
    plain = frontier[frontier["method"] == NONE].iloc[0]
    allowed = frontier[frontier["ndcg"] >= (1 - max_accuracy_loss) * plain["ndcg"]]
    total_gain = np.zeros(len(allowed))
    for name in GAINS:
        gain = allowed[name].to_numpy() - plain[name]
        total_gain += gain / gain.max() if gain.max() > 0 else 0.0
    best = allowed.iloc[int(total_gain.argmax())]
    return RerankOptions(method=best["method"], strength=float(best["strength"]), pool=pool)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
