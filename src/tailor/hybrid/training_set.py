"""What a blend is fitted on: standardised scores of some users over some items, and what these users want of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from tailor.data.domains import domain_masks_of
from tailor.data.interactions import keep_items
from tailor.hybrid.blend import MetaFeatures
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.base import Csr, Floats, Indices, Mask, Query
from tailor.progress import progress
from tailor.threads import blocks, in_threads
from tailor.topk import EXCLUDED, ranks_of, top_k

#: Positives of a user on the mean up to which their places are counted; lists are made for more.
_FEW_POSITIVES = 4
#: Standardised scores no further apart than this are equal.
_SAME = 1e-5


@dataclass(frozen=True, eq=False)
class BlendTrainingSet:
    """Scores of U users over n items by S sources."""

    sources: tuple[str, ...]
    """Names (S,)."""
    z: Floats
    """Standardised scores (S, U, n)."""
    candidate_mask: Mask
    """What lists may hold (U, n)."""
    positives: Csr
    """(U, n)."""
    meta: MetaFeatures
    tie_rank: NDArray[np.int64]
    """(n,)."""

    @property
    def n_users(self) -> int:
        """U."""
        return int(self.z.shape[1])

    @classmethod
    def join(cls, parts: "Sequence[BlendTrainingSet]") -> "BlendTrainingSet":
        """Put the users of several sets below each other; sets over fewer items are padded."""
        size = max(len(part.tie_rank) for part in parts)
        parts = [part if len(part.tie_rank) == size else part.padded(size) for part in parts]
        first = parts[0]
        users = np.vstack([part.meta.users for part in parts])
        new_to = np.vstack([part.meta.new_to for part in parts])
        activity = np.concatenate([part.meta.activity for part in parts])
        meta = replace(first.meta, activity=activity, users=users, new_to=new_to)
        return replace(
            first,
            z=np.concatenate([part.z for part in parts], axis=1),
            candidate_mask=np.vstack([part.candidate_mask for part in parts]),
            positives=sparse.csr_matrix(sparse.vstack([part.positives for part in parts])),
            meta=meta,
        )

    def take(self, rows: Indices) -> "BlendTrainingSet":
        """Return some of the users."""
        positives, meta = sparse.csr_matrix(self.positives[rows]), self.meta.rows(rows)
        return replace(
            self, z=self.z[:, rows], candidate_mask=self.candidate_mask[rows], positives=positives, meta=meta
        )

    def columns(self, items: Mask) -> "BlendTrainingSet":
        """Return some of the items, and the users who want one of them."""
        positives = sparse.csr_matrix(self.positives[:, np.flatnonzero(items)])
        users = np.flatnonzero(np.diff(positives.indptr) > 0)
        if items.all():
            return self if len(users) == self.n_users else self.take(users)
        part = replace(
            self,
            z=np.take(self.z, np.flatnonzero(items), axis=2),
            candidate_mask=self.candidate_mask[:, items],
            positives=positives,
            meta=self.meta.columns(items),
            tie_rank=self.tie_rank[items],
        )
        return part if len(users) == self.n_users else part.take(users)

    def by_domain(self, domains: Indices) -> "BlendTrainingSet":
        """Return a row for each user and domain that the user has positives in, its candidates those of the domain.

        Args:
            domains: number of each item's domain (n,).
        """
        parts = []
        for inside in domain_masks_of(domains, len(domains)):
            positives = keep_items(self.positives, inside)
            rows = np.flatnonzero(np.diff(positives.indptr) > 0)
            part = self.take(rows)
            parts.append(replace(part, candidate_mask=part.candidate_mask & inside, positives=positives[rows]))
        return self.join(parts)

    def pooled(self, users: Indices, sources: Sequence[int], best: int) -> "BlendTrainingSet":
        """Return some of the users over the items that may stand on their lists, others for each user.

        These are the best ones of each of some sources. What a user wants beyond them is no candidate: it counts as
        not listed. Popularity and vectors of items are not kept.

        Args:
            users: which (V,).
            sources: places of the sources among all (S,).
            best: how many items of each.
        """
        if len(sources) * best >= len(self.tie_rank):
            return self if len(users) == self.n_users else self.take(users)
        by_rank = np.argsort(self.tie_rank)

        def best_of(rows: slice) -> list[Indices]:
            some = users[rows]
            candidates = self.candidate_mask[some]
            best_items = np.zeros_like(candidates)
            for source in sources:
                listed = top_k(np.where(candidates, self.z[source, some], EXCLUDED), best, self.tie_rank)[0]
                np.put_along_axis(best_items, np.where(listed < 0, listed[:, :1], listed), True, axis=1)
            return [by_rank[row] for row in (best_items & candidates)[:, by_rank]]

        parts = blocks(len(users))
        of_blocks = progress(in_threads(best_of, parts), "blend: best items", "block", len(parts))
        pools = [pool for part in of_blocks for pool in part]
        return self._of_pools(users, pools)

    def _of_pools(self, users: Indices, pools: Sequence[Indices]) -> "BlendTrainingSet":
        """Return users (V,) over items of their own, each in the order of the tie rank; others that they want follow
        and are no candidates.
        """
        relevant = [self.positives[user].indices for user in users]
        others = [np.setdiff1d(positive_items, pool) for positive_items, pool in zip(relevant, pools, strict=True)]
        sizes = np.array([len(pool) for pool in pools])
        size = max((len(a) + len(b) for a, b in zip(pools, others, strict=True)), default=0)
        items, positive = np.zeros((len(users), size), np.int64), np.zeros((len(users), size), np.float32)
        for row, (pool, other, positive_items) in enumerate(zip(pools, others, relevant, strict=True)):
            end = len(pool) + len(other)
            items[row, :end] = np.concatenate([pool, other])
            positive[row, :end] = np.isin(items[row, :end], positive_items)
        meta = replace(self.meta.rows(users), popularity=np.zeros(size, np.float32), items=self.meta.items[:0])
        return replace(
            self,
            z=np.stack([scores[users[:, None], items] for scores in self.z]),
            candidate_mask=np.arange(size) < sizes[:, None],
            positives=sparse.csr_matrix(positive),
            meta=meta,
            tie_rank=np.arange(size),
        )

    def padded(self, size: int) -> "BlendTrainingSet":
        """Return the same users over ``size`` items, of which those beyond the own ones are no candidates."""
        beyond = size - len(self.tie_rank)
        mask = np.pad(self.candidate_mask, ((0, 0), (0, beyond)))
        cells = self.positives
        positives = sparse.csr_matrix((cells.data, cells.indices, cells.indptr), shape=mask.shape)
        meta = replace(self.meta, popularity=np.pad(self.meta.popularity, (0, beyond)))
        z = np.pad(self.z, ((0, 0), (0, 0), (0, beyond)))
        tie_rank = np.append(self.tie_rank, self.tie_rank.max(initial=-1) + 1 + np.arange(beyond))
        return replace(self, z=z, candidate_mask=mask, positives=positives, meta=meta, tie_rank=tie_rank)

    def uninformative(self) -> tuple[str, ...]:
        """Return the sources that tell no two candidates apart, for any of these users."""
        return tuple(
            name
            for name, scores in zip(self.sources, self.z, strict=True)
            if not scores.any() or self._spread(scores) < _SAME
        )

    def _spread(self, scores: Floats) -> float:
        """Return how far the scores (U, n) of a user's candidates lie apart at most; below 0: there is none."""
        mask = self.candidate_mask
        highest = np.max(scores, axis=1, where=mask, initial=-np.inf)
        return float((highest - np.min(scores, axis=1, where=mask, initial=np.inf)).max())

    def active_mask(self, excluded: tuple[str, ...] = ()) -> Mask:
        """Mark the sources (S,) that may have a weight: not excluded, and telling items apart."""
        left_out = {*excluded, *self.uninformative()}
        return np.array([name not in left_out for name in self.sources])

    def measure(self, scores: Floats, k: int, items: Mask | None = None) -> NDArray[np.float64]:
        """Return each user's NDCG@k (U,) of lists by ``scores`` (U, n); ``items``: only these positives count."""
        return self.measure_blocks(lambda rows: np.where(self.candidate_mask[rows], scores[rows], EXCLUDED), k, items)

    def measure_blocks(
        self, allowed: Callable[[slice], Floats], k: int, items: Mask | None = None
    ) -> NDArray[np.float64]:
        """Return what :meth:`measure` does, of scores (b, n) that ``allowed`` makes for a slice of the users."""
        positives = self.positives if items is None else keep_items(self.positives, items)

        def hits_of(rows: slice) -> Mask:
            return _hits(allowed(rows), sparse.csr_matrix(positives[rows]), k, self.tie_rank)

        hit = list(in_threads(hits_of, blocks(positives.shape[0])))
        return ndcg(np.vstack(hit) if hit else np.zeros((0, k), bool), np.diff(positives.indptr), k)

    def mean_ndcg(self, scores: Floats, k: int, items: Mask | None = None) -> float:
        """Return the mean of :meth:`measure` over users with a positive, 0 without any."""
        return mean_or_0(self.measure(scores, k, items))

    def coverage(self, scores: Floats, k: int) -> float:
        """Return the share of the items that stand on a list of k by ``scores`` (U, n)."""

        def listed(rows: slice) -> Indices:
            return np.unique(top_k(np.where(self.candidate_mask[rows], scores[rows], EXCLUDED), k, self.tie_rank)[0])

        items = np.concatenate([np.zeros(0, np.int64), *in_threads(listed, blocks(len(scores)))])
        return float((np.unique(items) >= 0).sum() / max(scores.shape[1], 1))


def _hits(scores: Floats, positives: Csr, k: int, tie_rank: Indices) -> Mask:
    """Mark the places (b, k) of lists by ``scores`` (b, n) where a positive stands."""
    k = min(k, scores.shape[1])
    if positives.nnz > _FEW_POSITIVES * len(scores):
        return hits(top_k(scores, k, tie_rank)[0], positives)
    row = np.repeat(np.arange(len(scores)), np.diff(positives.indptr))
    place = ranks_of(scores, row, positives.indices.astype(np.int64), tie_rank)
    marked = np.zeros((len(scores), k), dtype=bool)
    marked[row[place < k], place[place < k]] = True
    return marked


def mean_or_0(values: NDArray[np.float64]) -> float:
    """Return the mean of what is known (U,), 0 where nothing is."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def collect(
    scorer: HybridScorer,
    query: Query,
    seen: Csr,
    positives: Csr,
    items: Mask,
    tie_rank: NDArray[np.int64],
    vectors: bool = False,
) -> BlendTrainingSet:
    """Score some users over the items of a mask, in blocks.

    A list holds items of one domain: with several, a user is as many users as there are domains with positives of
    theirs, and of each the items of that domain are candidates.

    Args:
        scorer: with fitted sources.
        query: the users (U), in the moments they acted in.
        seen: what their lists leave out (U, n_items).
        positives: what they want (U, n_items).
        items: which items (n_items,).
        tie_rank: of two equal scores the lower rank comes first (n_items,).
        vectors: whether a member of the family reads where users and items lie.
    """
    columns = np.flatnonzero(items)
    z = np.zeros((len(scorer.sources), len(query), len(columns)), np.float32)

    def fill(rows: slice) -> None:
        for place, scores in enumerate(scorer.standardised(query.take(rows))):
            z[place, rows] = scores[:, columns]

    parts = blocks(len(query))
    with threadpool_limits(1, user_api="blas"):
        for _ in progress(in_threads(fill, parts), "blend: sources", "block", len(parts)):
            pass
    candidate_mask = np.ones((len(query), len(columns)), dtype=bool)
    candidate_mask[sparse.csr_matrix(seen[:, columns]).nonzero()] = False
    meta = scorer.meta_features(query, vectors).columns(items)
    positives = sparse.csr_matrix(positives[:, columns])
    every = BlendTrainingSet(scorer.source_names, z, candidate_mask, positives, meta, tie_rank[columns])
    return every if scorer.domains is None else every.by_domain(scorer.domains[columns])
