"""Fitting the mixture on validation: weights for warm and cold items and for newcomers, then the cold shift."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.cf.base import Floats, Mask
from tailor.cf.topk import EXCLUDED, top_k
from tailor.data.matrices import first_of_each_row, keep_items
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import SOURCES, GateOptions, Hybrid, mix, weighted
from tailor.metrics.ranking import hits, ndcg
from tailor.options import MixtureOptions
from tailor.progress import progress


def simplex(step: float, n: int) -> list[tuple[float, ...]]:
    """List all weight vectors of length n on the simplex whose entries are multiples of ``step``."""
    parts = round(1 / step)
    return [
        tuple(w / parts for w in weights)
        for weights in itertools.product(range(parts + 1), repeat=n)
        if sum(weights) == parts
    ]


class Trace:
    """Mean NDCG@k per setting over some of the items, accumulated block by block."""

    def __init__(self, items: Mask, k: int, tie_rank: NDArray[np.int64]) -> None:
        self.columns, self.k = np.flatnonzero(items), k
        self.tie_rank = tie_rank[self.columns]
        self.sums: dict[Any, float] = {}
        self.users: dict[Any, int] = {}

    def list_best(self, scores: Floats) -> NDArray[np.int64]:
        """Return the k best of this trace's items for scores (B, n) of them."""
        return top_k(scores, self.k, self.tie_rank)[0]

    def add(self, setting: Any, lists: NDArray[np.int64], positives: sparse.csr_matrix) -> None:
        """Measure one block's lists (B, k) under one setting; positives are of this trace's items (B, n)."""
        values = ndcg(hits(lists, positives), np.diff(positives.indptr), self.k)
        self.sums[setting] = self.sums.get(setting, 0.0) + float(np.nansum(values))
        self.users[setting] = self.users.get(setting, 0) + int(np.isfinite(values).sum())

    def mean(self, setting: Any) -> float:
        """Return the mean over users with positives."""
        return self.sums.get(setting, 0.0) / max(self.users.get(setting, 0), 1)

    def best(self) -> Any:
        """Return the setting with the highest mean; the last in order among (nearly) equal ones."""
        return max(self.sums, key=lambda setting: (round(self.mean(setting), 9), setting))


def fit_weights(
    scorer: Hybrid, holdout: Holdout, options: MixtureOptions, k: int, block_users: int = 256
) -> GateOptions:
    """Choose the weights of the sources on a grid.

    Warm weights: best NDCG@k of validation rows over everything but pseudo-cold B. Cold weights: best NDCG@k of
    validation rows on B over B.

    Args:
        scorer: fitted without the interactions of B.
        holdout: the validation side of the split.
        options: grid step.
        k: cut-off.
        block_users: users scored at a time.
    """
    grid = simplex(options.step, len(SOURCES))
    warm = Trace(holdout.candidates & ~holdout.cold, k, holdout.tie_rank)
    cold = Trace(holdout.cold, k, holdout.tie_rank)
    # Items without interactions have no popularity.
    searches = ((warm, grid), (cold, [weights for weights in grid if weights[3] == 0]))
    for block, z, _ in _blocks(scorer, holdout, block_users, "gate: weights"):
        for trace, tried in searches:
            sources, truth = [s[:, trace.columns] for s in z], holdout.validation[block][:, trace.columns]
            for weights in tried:
                trace.add(weights, trace.list_best(weighted(sources, weights)), truth)
    return GateOptions(warm=warm.best(), cold=cold.best())


def fit_newcomers(
    scorer: Hybrid, gate: GateOptions, holdout: Holdout, options: MixtureOptions, k: int, block_users: int = 256
) -> GateOptions:
    """Choose the weights for short histories: those that rank the rest of a newcomer's items best.

    Of each user that ``holdout`` keeps out of the fits, the first n items of a seeded order are revealed; the rest of
    the train and validation rows is to be found, over everything but pseudo-cold B, as in the test of new users.

    Returns:
        The gate with one entry per length of ``options.newcomer_history``.
    """
    every = sparse.csr_matrix(holdout.history + keep_items(holdout.validation, holdout.warm))[holdout.newcomers]
    every.data = np.random.default_rng(0).permutation(every.nnz).astype(np.float32) + 1
    columns = holdout.candidates & ~holdout.cold
    grid, entries = simplex(options.step, len(SOURCES)), []
    for n in sorted(options.newcomer_history):
        trace = Trace(columns, k, holdout.tie_rank)
        revealed = first_of_each_row(every, n)
        hidden = sparse.csr_matrix((every > 0).astype(np.float32) - revealed)
        hidden.eliminate_zeros()
        for start in range(0, len(holdout.newcomers), block_users):
            block = slice(start, start + block_users)
            z = list(scorer.standardised(revealed[block]))
            seen = revealed[block].nonzero()
            for scores in z:
                scores[seen] = EXCLUDED
            sources, truth = [s[:, trace.columns] for s in z], hidden[block][:, trace.columns]
            for weights in grid:
                trace.add(weights, trace.list_best(weighted(sources, weights)), truth)
        if trace.sums:
            entries.append((n, trace.best()))
    return gate.model_copy(update={"newcomer": tuple(entries)})


def fit_shift(
    scorer: Hybrid, gate: GateOptions, holdout: Holdout, options: MixtureOptions, k: int, block_users: int = 256
) -> tuple[GateOptions, list[dict[str, float]]]:
    """Choose the largest cold shift whose mixed NDCG@k stays within ``options.max_price`` of the best shift's.

    Returns:
        The gate with its shift, and the price list: per shift the NDCG@k of mixed lists, of all and of cold positives.
    """
    mixed = Trace(holdout.candidates, k, holdout.tie_rank)
    exposed = Trace(holdout.candidates, k, holdout.tie_rank)
    cold_rows = keep_items(holdout.validation, holdout.cold)
    for block, z, lengths in _blocks(scorer, holdout, block_users, "gate: shift"):
        truth, cold_truth = (m[block][:, mixed.columns] for m in (holdout.validation, cold_rows))
        for shift in options.shifts:
            scores = mix(z, gate.model_copy(update={"shift": shift}), scorer.warm, lengths)
            lists = mixed.list_best(scores[:, mixed.columns])
            mixed.add(shift, lists, truth)
            exposed.add(shift, lists, cold_truth)
    prices = [{"shift": s, "mixed_ndcg": mixed.mean(s), "mixed_cold_ndcg": exposed.mean(s)} for s in options.shifts]
    limit = (1 - options.max_price) * max(row["mixed_ndcg"] for row in prices)
    shift = max(row["shift"] for row in prices if row["mixed_ndcg"] >= limit)
    return gate.model_copy(update={"shift": shift}), prices


def _blocks(
    scorer: Hybrid, holdout: Holdout, block_users: int, label: str
) -> Iterator[tuple[NDArray[np.int64], list[Floats], NDArray[np.int64]]]:
    """Yield users, standardised sources (B, n_items) with -inf on what lists leave out, and lengths of histories."""
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    blocks = [users[start : start + block_users] for start in range(0, len(users), block_users)]
    for block in progress(blocks, label, "block"):
        known, seen = holdout.history[block], holdout.seen[block].nonzero()
        z = list(scorer.standardised(known))
        for scores in z:
            scores[seen] = EXCLUDED
        yield block, z, np.diff(known.indptr).astype(np.int64)
