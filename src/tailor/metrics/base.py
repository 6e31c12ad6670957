"""What a metric is: a function of lists, registered with where it is measured and what people read of it.

    @metric("share_of_new", per="user", headline=True)
    def share_of_new(lists: Lists) -> Floats:
        return (lists.metadata.n_train[lists.items] < 5).mean(axis=1)

A module that is imported before the run adds its metrics to ``metrics.parquet`` this way, and no other file changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import keep_items
from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError, ConfigurationError, did_you_mean

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Matrix = sparse.csr_matrix
#: The bucket that holds every item, or every user.
ALL = "all"


def hits(lists: NDArray[np.int64], positives: Matrix) -> Bools:
    """Mark which listed items are positives.

    Args:
        lists: internal item ids (U, K), -1 for an empty place.
        positives: (U, n_items), non-zero where positive; row u belongs to ``lists[u]``.

    Returns:
        (U, K).
    """
    n_users, n_items = positives.shape
    rows = np.repeat(np.arange(n_users), np.diff(positives.indptr))
    positive_cells = np.sort(rows * n_items + positives.indices)
    if not len(positive_cells):
        return np.zeros(lists.shape, dtype=bool)
    listed_cells = np.arange(n_users)[:, None] * n_items + lists
    nearest = np.minimum(np.searchsorted(positive_cells, listed_cells), len(positive_cells) - 1)
    return np.asarray((positive_cells[nearest] == listed_cells) & (lists >= 0))


@dataclass(frozen=True)
class Lists:
    """One model's lists for one candidate set, and all that a metric may compare them with; row u is user u of each."""

    items: NDArray[np.int64]
    """Internal item ids (U, K), best first, -1 for an empty place."""
    hits: Bools
    """Which listed items are positives (U, K)."""
    positives: Matrix
    """What users took later (U, n_items)."""
    history: Matrix
    """What users are known for (U, n_items); scores were computed from it."""
    seen: Matrix
    """What lists leave out (U, n_items)."""
    candidates: Bools
    """Items that could be listed (n_items,)."""
    metadata: ItemMetadata
    """Embeddings, categories, popularity and bucket of every item; arrays that are not known are empty."""
    n_train_users: int
    """Users with train interactions."""
    k: int
    """Cut-off; lists may be shorter where there are few candidates."""

    @classmethod
    def build(
        cls,
        items: NDArray[np.int64],
        metadata: ItemMetadata,
        *,
        positives: Matrix | None = None,
        history: Matrix | None = None,
        seen: Matrix | None = None,
        candidates: Bools | None = None,
        n_train_users: int = 0,
    ) -> Self:
        """Put lists (U, K) beside what they are compared with; a matrix that is left out is empty, candidates are all.

        Raises:
            BadInputError: ``metadata`` holds no popularity or no buckets.
        """
        if not len(metadata.n_train) == len(metadata.bucket) == len(metadata.table):
            raise BadInputError(
                f"metadata knows n_train of {len(metadata.n_train)} and bucket of {len(metadata.bucket)} of "
                f"{len(metadata.table)} items: metrics need both; add them with ItemMetadata.with_arrays"
            )
        shape = (len(items), len(metadata.table))
        nothing = np.zeros(0, np.int64)
        empty: Matrix = sparse.csr_matrix((np.zeros(0, np.float32), (nothing, nothing)), shape=shape)
        positives, history, seen = (
            empty if given is None else sparse.csr_matrix(given) for given in (positives, history, seen)
        )
        allowed = np.ones(shape[1], dtype=bool) if candidates is None else candidates
        marked = hits(items, positives)
        return cls(items, marked, positives, history, seen, allowed, metadata, n_train_users, items.shape[1])

    def first(self, k: int) -> Self:
        """Return the same lists cut off after ``k`` places."""
        return replace(self, items=self.items[:, :k], hits=self.hits[:, :k], k=k)

    def of_items(self, members: Bools) -> Self:
        """Return the same lists, of which only positives among ``members`` (n_items,) count."""
        return replace(self, hits=self.hits & members[self.items], positives=keep_items(self.positives, members))

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the lists of some users."""
        return replace(
            self,
            items=self.items[rows],
            hits=self.hits[rows],
            positives=sparse.csr_matrix(self.positives[rows]),
            history=sparse.csr_matrix(self.history[rows]),
            seen=sparse.csr_matrix(self.seen[rows]),
        )

    @cached_property
    def filled(self) -> Bools:
        """Places that hold an item (U, K)."""
        return np.asarray(self.items >= 0)

    @cached_property
    def n_positives(self) -> NDArray[np.int64]:
        """Positives per user (U,), whatever their values."""
        return np.diff(self.positives.indptr).astype(np.int64)

    @cached_property
    def n_listed(self) -> NDArray[np.int64]:
        """How many lists an item is on (n_items,)."""
        return np.bincount(self.items[self.filled], minlength=len(self.metadata.table))

    @cached_property
    def popularity_group(self) -> NDArray[np.int64]:
        """0 for head items, 1 for tail items, 2 for items without train interactions (n_items,)."""
        bucket = self.metadata.bucket
        return np.select([bucket == c.HEAD, bucket == c.TAIL], [0, 1], default=2)

    def nothing(self) -> Floats:
        """Return NaN for every user: the metric has nothing to say, and its rows are left out of the table."""
        return np.full(len(self.items), np.nan)


@dataclass(frozen=True)
class Scope:
    """On which lists a metric is measured."""

    candidates: tuple[str, ...] = (c.WARM, c.COLD, c.MIXED)
    """Candidate sets."""
    splits: tuple[str, ...] = (c.VALIDATION, c.TEST)
    item_buckets: bool = False
    """Also on each bucket of items, of which only the bucket's positives count."""
    new_users: bool = False
    """Also on the lists of new users."""
    every_cutoff: bool = True
    """At every k; else at the largest alone."""

    def covers(self, split: str, candidates: str) -> bool:
        """Say whether lists of this split and candidate set are measured."""
        return split in self.splits and candidates in self.candidates


#: Accuracy: whatever can be listed, for whomever, by item bucket.
EVERYWHERE = Scope(item_buckets=True, new_users=True)
#: Exposure: lists of all known users, by candidate set.
CANDIDATE_SETS = Scope()
#: Variety and parity, which take longer: the lists that users would see, at the largest k.
MIXED_TEST = Scope(candidates=(c.MIXED,), splits=(c.TEST,), every_cutoff=False)


@dataclass(frozen=True)
class Headline:
    """A figure of a metric that the summary shows, as one column."""

    title: str
    """Of the column."""
    candidates: str = c.MIXED
    item_bucket: str = ALL
    user_bucket: str = ALL
    split: str = c.TEST
    compared_as: str | None = None
    """Its name in the table of comparisons; None where models are not compared by it."""


@dataclass(frozen=True)
class Metric:
    """A registered metric."""

    name: str
    """In the column ``metric``."""
    function: Callable[[Lists], Any]
    per: Literal["user", "lists"]
    """user: the function returns (U,), NaN for users it says nothing about; means are over users and user buckets.
    lists: it returns one number of all lists together."""
    scope: Scope
    headlines: tuple[Headline, ...]

    def values(self, lists: Lists) -> Floats:
        """Return one value per user (U,), or one value (1,) where the metric is of all lists together.

        Raises:
            ConfigurationError: the function returned something else.
        """
        values = np.atleast_1d(np.asarray(self.function(lists), dtype=np.float64))
        expected = (len(lists.items),) if self.per == "user" else (1,)
        if values.shape != expected:
            raise ConfigurationError(
                f"Metric '{self.name}' returned shape {values.shape}; with per='{self.per}' it must return {expected}: "
                + ("one value for each user." if self.per == "user" else "one number.")
            )
        return values


_METRICS: dict[str, Metric] = {}
MetricT = TypeVar("MetricT", bound=Callable[..., Any])


def metric(
    name: str,
    *,
    per: Literal["user", "lists"],
    scope: Scope = CANDIDATE_SETS,
    headline: bool | Sequence[Headline] = False,
) -> Callable[[MetricT], MetricT]:
    """Register a function of :class:`Lists`, or a class whose instances are such functions, as a metric.

    Args:
        name: in the table of metrics.
        per: what a value is of, see :class:`Metric`.
        scope: the lists it is measured on; every candidate set and every k where it is left out.
        headline: True for one column of the summary, named like the metric (and a row of the table of comparisons
            where it is per user); or the columns, one by one.

    Raises:
        ConfigurationError: another metric has this name.
    """

    def register(made: MetricT) -> MetricT:
        known = _METRICS.get(name)
        if known is not None and _origin(known.function) != _origin(made):
            raise ConfigurationError(
                f"Metric '{name}' exists already ({_origin(known.function)}); choose another name."
            )
        function: Callable[[Lists], Any] = made() if isinstance(made, type) else made
        chosen = _headlines(name, per, scope) if headline is True else tuple(headline or ())
        _METRICS[name] = Metric(name, function, per, scope, chosen)
        return made

    return register


def _origin(function: object) -> str:
    """Return where a function or class was written; the instance of a class counts as the class."""
    written = function if hasattr(function, "__qualname__") else type(function)
    return f"{written.__module__}.{written.__qualname__}"


def _headlines(name: str, per: str, scope: Scope) -> tuple[Headline, ...]:
    candidates = c.MIXED if c.MIXED in scope.candidates else scope.candidates[0]
    split = c.TEST if c.TEST in scope.splits else scope.splits[0]
    compared = per == "user" and split == c.TEST
    return (Headline(name, candidates, split=split, compared_as=name if compared else None),)


def registered_metrics() -> tuple[Metric, ...]:
    """Return all metrics, in the order in which they were registered."""
    return tuple(_METRICS.values())


def find_metric(name: str) -> Metric:
    """Return one metric.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in _METRICS:
        hint = did_you_mean(name, _METRICS)
        raise ConfigurationError(f"Metric '{name}' does not exist.{hint} Known: {', '.join(_METRICS)}.")
    return _METRICS[name]


def headlines() -> list[tuple[Metric, Headline]]:
    """Return every headline with its metric; those of test come first, then those of validation."""
    pairs = [(one, headline) for one in registered_metrics() for headline in one.headlines]
    return sorted(pairs, key=lambda pair: pair[1].split != c.TEST)


def compared_headlines() -> dict[str, tuple[Metric, Headline]]:
    """Return the headlines by which models are compared, by their name in the table of comparisons."""
    return {line.compared_as: (one, line) for one, line in headlines() if line.compared_as is not None}
