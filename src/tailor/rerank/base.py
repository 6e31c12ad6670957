"""Re-ranking: from a pool of the best candidates to a list that is also varied, calibrated or deeper.

    @reranker("recent_first", summary="Lift what was added last.")
    class RecentFirst(Reranker):
        def gain(self, step: int) -> Floats:
            pool = self.pool
            return (1 - pool.strength) * pool.relevance + pool.strength * self.is_new[pool.items]

Every method has a strength in [0, 1]; at 0 the first k of the pool come back bit for bit. Relevance is the score scaled
to [0, 1] over a user's pool. Users are handled in blocks, together: k steps, no loop over users. The formulas stand in
docs/explanation/mathematics.md, "Re-ranking".

Shapes: ``B`` users, ``P`` places of the pool, ``k`` places of the list, ``m`` embedding dimensions, ``C`` categories.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from scipy import sparse

from tailor.config import Count, Options
from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError, ConfigurationError, did_you_mean

Lists = NDArray[np.int64]
Scores = NDArray[np.float32]
Floats = NDArray[np.float64]
#: The method that leaves lists as they are.
NONE = "none"
_BLOCK = 64


@dataclass(frozen=True)
class Pool:
    """The candidates of one block of users, from which each user's list is chosen."""

    items: Lists
    """Internal item ids (B, P), best first; 0 in empty places."""
    filled: NDArray[np.bool_]
    """Places that hold an item (B, P)."""
    relevance: Floats
    """Scores scaled to [0, 1] over each user's pool (B, P)."""
    history: sparse.csr_matrix
    """What users are known for (B, n_items)."""
    metadata: ItemMetadata
    """Embeddings, categories, popularity and bucket of every item; arrays that are not known are empty."""
    strength: float
    """In (0, 1]."""
    k: int
    """List length."""


class Reranker(ABC):
    """A greedy choice for one block of users: at each of k steps every user takes the place with the highest gain."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.rows = np.arange(len(pool.items))
        """Of the users (B,), to pick one place each."""
        self.start()

    def start(self) -> None:  # noqa: B027  (optional)
        """Prepare what :meth:`gain` needs; nothing is chosen yet."""

    @abstractmethod
    def gain(self, step: int) -> Floats:
        """Return what taking each place of the pool next is worth (B, P); ``step`` items are chosen already.

        Places that are empty or taken may hold anything: they are left out. A non-finite gain leaves a place out too.
        """

    def update(self, positions: NDArray[np.int64], step: int) -> None:  # noqa: B027  (optional)
        """Note the place of the pool that each user has taken (B,), as choice number ``step``, from 0.

        Users whose pool is used up are given place 0; nothing they gain is used any more.
        """


_RERANKERS: dict[str, tuple[type[Reranker], str]] = {}
RerankerT = TypeVar("RerankerT", bound=type[Reranker])


def reranker(name: str, *, summary: str) -> Callable[[RerankerT], RerankerT]:
    """Register a class of re-rankers, so that options and requests can name it.

    Args:
        name: its method.
        summary: one sentence, for lists of what there is.

    Raises:
        ConfigurationError: another class has this name.
    """

    def register(made: RerankerT) -> RerankerT:
        known = _RERANKERS.get(name)
        if name == NONE or (known is not None and _origin(known[0]) != _origin(made)):
            raise ConfigurationError(f"Re-ranker '{name}' exists already; choose another name.")
        _RERANKERS[name] = (made, summary)
        return made

    return register


def _origin(made: type[Reranker]) -> tuple[str, str]:
    return made.__module__, made.__qualname__


def registered_rerankers() -> dict[str, str]:
    """Return every method of re-ranking with its summary, in the order in which they were registered."""
    return {name: summary for name, (_, summary) in _RERANKERS.items()}


def find_reranker(name: str) -> type[Reranker]:
    """Return the class of a method.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in _RERANKERS:
        known = [NONE, *_RERANKERS]
        raise ConfigurationError(
            f"Re-ranker '{name}' does not exist.{did_you_mean(name, known)} Known: {', '.join(known)}"
        )
    return _RERANKERS[name][0]


def check_method(name: str) -> str:
    """Return ``name`` if it is a registered method or "none".

    Raises:
        ConfigurationError: it is neither.
    """
    if name != NONE:
        find_reranker(name)
    return name


def _check_option(name: str) -> str:
    """Check a method that stands in options; the error that names the parameter is made of this one."""
    try:
        return check_method(name)
    except ConfigurationError as problem:
        raise ValueError(str(problem)) from None


Method = Annotated[str, AfterValidator(_check_option)]


class RerankOptions(Options):
    """How a pool of candidates becomes a list."""

    method: Method = NONE
    """A registered re-ranker, or ``none``."""
    strength: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """0: the list as it is, bit for bit; 1: relevance no longer counts (``caps``: one item per category)."""
    pool: Count = 200
    """Candidates that a list is chosen from, the best by score."""
    min_score: float | None = None
    """Threshold mode: items below this score are not listed; null lists k items."""


def rerank(
    pool: Lists, scores: Scores, history: sparse.csr_matrix, metadata: ItemMetadata, options: RerankOptions, k: int
) -> tuple[Lists, Scores]:
    """Choose k of each user's pool.

    Args:
        pool: internal item ids (U, P), best first, -1 for an empty place.
        scores: theirs (U, P), ``-inf`` in empty places.
        history: (U, n_items), for ``calibrated``.
        metadata: embeddings, categories, buckets; a method reads what it needs.
        options: method and strength; ``min_score`` empties places of items below it, with any method.
        k: list length, at most P.

    Returns:
        Items (U, k), -1 for an empty place, and their original scores (U, k).

    Raises:
        BadInputError: k is larger than the pool.
    """
    if k > pool.shape[1]:
        raise BadInputError(f"re-ranking chooses k = {k} of a pool of {pool.shape[1]}; make the pool larger")
    if options.min_score is not None:
        keep = scores >= options.min_score
        pool, scores = np.where(keep, pool, -1), np.where(keep, scores, np.float32(-np.inf))
    if options.method == NONE or options.strength == 0:
        return pool[:, :k], scores[:, :k]
    made, parts = find_reranker(options.method), []
    for start in range(0, len(pool), _BLOCK):
        block = slice(start, start + _BLOCK)
        items, filled = np.maximum(pool[block], 0), pool[block] >= 0
        scaled = relevance(scores[block])
        parts.append(choose(made(Pool(items, filled, scaled, history[block], metadata, options.strength, k))))
    positions = np.concatenate(parts) if parts else np.zeros((0, k), np.int64)
    chosen = np.take_along_axis(pool, np.maximum(positions, 0), axis=1)
    values = np.take_along_axis(scores, np.maximum(positions, 0), axis=1)
    return np.where(positions >= 0, chosen, -1), np.where(positions >= 0, values, np.float32(-np.inf))


def choose(method: Reranker) -> Lists:
    """Return the places of the pool that are taken (B, k), -1 where none is left."""
    pool, rows = method.pool, method.rows
    free, taken = pool.filled.copy(), np.full((len(rows), pool.k), -1, np.int64)
    for step in range(pool.k):
        gain = np.where(free, method.gain(step), -np.inf)
        positions = gain.argmax(axis=1)
        left = np.isfinite(gain[rows, positions])
        taken[left, step] = positions[left]
        free[rows[left], positions[left]] = False
        method.update(positions, step)
    return taken


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
