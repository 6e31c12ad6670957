"""Re-ranking (DESIGN §7): from a pool of the best candidates to a list that is also varied, calibrated or deeper.

Every method has a strength in [0, 1]; at 0 the first k of the pool come back bit for bit. Relevance is the score scaled
to [0, 1] over a user's pool. Users are handled in blocks, together: k steps, no loop over users.

Shapes: ``B`` users, ``P`` places of the pool, ``k`` places of the list, ``m`` embedding dimensions, ``C`` categories.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.errors import BadInputError
from tailor.options import RerankOptions

Lists = NDArray[np.int64]
Scores = NDArray[np.float32]
Floats = NDArray[np.float64]
_BLOCK, _SMOOTHING, _SMALL = 64, 0.01, 1e-10


@dataclass(frozen=True)
class ItemFacts:
    """What re-ranking looks at."""

    vectors: NDArray[np.float32]
    """L2-normalised embeddings (n_items, m)."""
    categories: sparse.csr_matrix
    """0/1 (n_items, C)."""
    tail: NDArray[np.bool_]
    """Items that ``tail`` lifts (n_items,)."""


def rerank(
    pool: Lists, scores: Scores, history: sparse.csr_matrix, facts: ItemFacts, options: RerankOptions, k: int
) -> tuple[Lists, Scores]:
    """Choose k of each user's pool.

    Args:
        pool: internal item ids (B, P), best first, -1 for an empty place.
        scores: theirs (B, P), ``-inf`` in empty places.
        history: (B, n_items), for ``calibrated``.
        facts: embeddings, categories, tail.
        options: method and strength; ``min_score`` empties places of items below it, with any method.
        k: list length, at most P.

    Returns:
        Items (B, k), -1 for an empty place, and their original scores (B, k).

    Raises:
        BadInputError: k is larger than the pool.
    """
    if k > pool.shape[1]:
        raise BadInputError(f"re-ranking chooses k = {k} of a pool of {pool.shape[1]}; make the pool larger")
    if options.min_score is not None:
        keep = scores >= options.min_score
        pool, scores = np.where(keep, pool, -1), np.where(keep, scores, np.float32(-np.inf))
    if options.method == "none" or options.strength == 0:
        return pool[:, :k], scores[:, :k]
    parts = []
    for start in range(0, len(pool), _BLOCK):
        block = slice(start, start + _BLOCK)
        choose = _Greedy(pool[block], scores[block], history[block], facts, options, k)
        parts.append(choose.run())
    places = np.concatenate(parts) if parts else np.zeros((0, k), np.int64)
    chosen = np.take_along_axis(pool, np.maximum(places, 0), axis=1)
    values = np.take_along_axis(scores, np.maximum(places, 0), axis=1)
    return np.where(places >= 0, chosen, -1), np.where(places >= 0, values, np.float32(-np.inf))


class _Greedy:
    """One block: at each of k steps every user takes the place of the pool with the highest gain."""

    def __init__(
        self, pool: Lists, scores: Scores, history: sparse.csr_matrix, facts: ItemFacts, options: RerankOptions, k: int
    ) -> None:
        self.k, self.strength, self.method = k, options.strength, options.method
        self.items, self.free = np.maximum(pool, 0), pool >= 0
        self.relevance = relevance(scores)
        self.rows = np.arange(len(pool))
        self.listed = np.full((len(pool), k), -1, np.int64)
        self._facts = facts
        if self.method in ("mmr", "dpp"):
            self.vectors = facts.vectors[self.items]
        if self.method == "dpp":
            self.spread = np.ones(pool.shape)
            self.cholesky = np.zeros((len(pool), k, pool.shape[1]))
        if self.method == "mmr":
            self.closest = np.zeros(pool.shape)
        if self.method in ("calibrated", "caps"):
            shape = (*pool.shape, facts.categories.shape[1])
            even = facts.categories
            if self.method == "calibrated":
                even = sparse.csr_matrix(sparse.diags(1 / np.maximum(np.diff(even.indptr), 1)) @ even)
                past = np.asarray(((history > 0).astype(np.float64) @ even).todense())
                self.wanted = past / np.maximum(past.sum(axis=1, keepdims=True), _SMALL)
            self.member = np.asarray(even[self.items.ravel()].toarray(), np.float64).reshape(shape)
            self.counts = np.zeros((len(pool), shape[2]))

    def run(self) -> Lists:
        """Return the places of the pool that are taken (B, k), -1 where none is left."""
        for step in range(self.k):
            gain = np.where(self.free, self._gain(step), -np.inf)
            place = gain.argmax(axis=1)
            open_ = np.isfinite(gain[self.rows, place])
            self.listed[open_, step] = place[open_]
            self.free[self.rows[open_], place[open_]] = False
            self._take(place, step)
        return self.listed

    def _gain(self, step: int) -> Floats:
        s, r = self.strength, self.relevance
        if self.method == "mmr":
            return (1 - s) * r - s * self.closest
        if self.method == "dpp":
            # log det of relevance-scaled similarities; Chen et al. 2018, eq. 9 with θ = 1 - s.
            return (1 - s) * r + s * np.log(np.maximum(self.spread, _SMALL))
        if self.method == "calibrated":
            return (1 - s) * r - s * self._divergence(step)
        if self.method == "tail":
            return (1 - s) * r + s * self._facts.tail[self.items]
        # caps: at most so many per category; what breaks a cap comes after everything that does not.
        cap = max(1, int(np.ceil(self.k * (1 - s))))
        full = (self.member * (self.counts >= cap)[:, None]).any(axis=2)
        return r - 2.0 * full

    def _divergence(self, step: int) -> Floats:
        """KL(p || q̃) in nats if each place came next (B, P); Steck 2018, eq. 6 and 7."""
        shares = (self.counts[:, None] + self.member) / (step + 1)
        q = (1 - _SMOOTHING) * shares + _SMOOTHING * self.wanted[:, None]
        p = self.wanted[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(p > 0, p * np.log(p / q), 0.0).sum(axis=2))

    def _take(self, place: NDArray[np.int64], step: int) -> None:
        if self.method in ("mmr", "dpp"):
            cosine = (self.vectors @ self.vectors[self.rows, place][..., None])[..., 0].astype(np.float64)
        if self.method == "mmr":
            self.closest = cosine if step == 0 else np.maximum(self.closest, cosine)
        elif self.method == "dpp":
            known = self.cholesky[:, :step]
            explained = np.einsum("bsp,bs->bp", known, known[self.rows, :, place])
            new = (cosine - explained) / np.sqrt(np.maximum(self.spread[self.rows, place], _SMALL))[:, None]
            self.cholesky[:, step] = new
            self.spread = self.spread - new**2
        elif self.method in ("calibrated", "caps"):
            self.counts += self.member[self.rows, place]


def relevance(scores: Scores) -> Floats:
    """Scale scores (B, P) to [0, 1] over each row's filled places; 0 in empty ones; 1 where all are equal."""
    filled = np.isfinite(scores)
    s = scores.astype(np.float64)
    low = np.where(filled, s, np.inf).min(axis=1, keepdims=True)
    high = np.where(filled, s, -np.inf).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        width = high - low
        scaled = np.where(width > 0, (s - low) / np.where(width > 0, width, 1), 1.0)
    return np.where(filled, scaled, 0.0)
