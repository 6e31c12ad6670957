"""Ratings from a ranking score: how far off is a predicted rating, where the catalogue has ratings?

    r̂(u, i) = μ + β · (1, b_u, b_i, x_u, cold_i, s),    s = the scorer's score, 0 for the reference of biases alone

μ, b_u and b_i are the shrunk baseline estimates of train ratings (Koren 2010, "Factor in the neighbors", §2.1:
λ₂ = 25 for items, λ₃ = 10 for users), x_u the user's activity, log(1 + n_u). β is fitted on validation ratings by least
squares; predictions are cut to the range of the train ratings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.metrics.probability import mae, rmse

Floats = NDArray[np.float64]
BIASES = "biases"
COLUMNS = [c.MODEL, "rmse", "mae", "ratings", "ratings_of_cold_items"]
_ITEMS, _USERS = 25.0, 10.0


class Queries(Protocol):
    """The users of a catalogue, with their histories."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Items of each history (U,)."""
        ...

    def take(self, rows: NDArray[np.int64]) -> Any:
        """Return some of the users."""
        ...


class Scorer(Protocol):
    """Anything that scores users."""

    def score(self, query: Any) -> NDArray[np.float32]:
        """Return scores (B, n_items)."""
        ...


@dataclass(frozen=True)
class Ratings:
    """Rated cells of users that train knows."""

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    value: Floats

    @classmethod
    def read(
        cls, interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, splits: tuple[str, ...]
    ) -> Self:
        """Take the cells of some splits from the table of interactions."""
        rows = interactions[interactions[c.SPLIT].isin(splits)]
        user = pd.Index(users[c.USER]).get_indexer(pd.Index(rows[c.USER]))
        item = pd.Index(items[c.ITEM]).get_indexer(pd.Index(rows[c.ITEM]))
        return cls(user, item, rows[c.VALUE].to_numpy(dtype=np.float64))


def baseline(train: Ratings, n_users: int, n_items: int) -> tuple[float, Floats, Floats]:
    """Return μ, b_u (n_users,) and b_i (n_items,); users and items without ratings have 0."""
    mean = float(train.value.mean())
    counts = np.bincount(train.item, minlength=n_items)
    of_item = np.bincount(train.item, train.value - mean, n_items) / (_ITEMS + counts)
    rest = train.value - mean - of_item[train.item]
    return mean, np.bincount(train.user, rest, n_users) / (_USERS + np.bincount(train.user, minlength=n_users)), of_item


@dataclass(frozen=True)
class Biases:
    """What is known of a rating before its score: shrunk baseline estimates, activity, and whether the item is cold."""

    mean: float
    """μ."""
    user: Floats
    """b_u (n_users,)."""
    item: Floats
    """b_i (n_items,)."""
    activity: Floats
    """x_u (n_users,)."""
    warm: NDArray[np.bool_]
    """Items with train interactions (n_items,)."""

    @classmethod
    def fit(cls, ratings: Ratings, queries: Queries, items: pd.DataFrame) -> Self:
        """Estimate biases from train ratings, activity from the histories of all users."""
        lengths = queries.lengths
        estimates = baseline(ratings, len(lengths), len(items))
        return cls(*estimates, np.log1p(lengths), items[c.N_TRAIN].to_numpy() > 0)

    def design(self, cells: Ratings, scores: Floats) -> Floats:
        """Return 1, b_u, b_i, x_u, cold_i and the score s of cells (n, 6)."""
        columns = [self.user[cells.user], self.item[cells.item], self.activity[cells.user], ~self.warm[cells.item]]
        return np.column_stack([np.ones(len(scores)), *columns, scores])


def cell_scores(model: Scorer, queries: Queries, cells: Ratings, block_users: int) -> Floats:
    """Return the model's scores of some cells (n,), computed for blocks of the users that have any."""
    out, order = np.empty(len(cells.user)), np.argsort(cells.user, kind="stable")
    rated_users, starts = np.unique(cells.user[order], return_index=True)
    bounds = np.append(starts, len(order))
    for first in range(0, len(rated_users), block_users):
        block = rated_users[first : first + block_users]
        rows = order[bounds[first] : bounds[first + len(block)]]
        scores = model.score(queries.take(block))
        out[rows] = scores[np.searchsorted(block, cells.user[rows]), cells.item[rows]]
    return out


def measure(
    models: Mapping[str, Scorer],
    line_models: Mapping[str, Scorer],
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    queries: Queries,
    block_users: int,
) -> pd.DataFrame:
    """Measure RMSE and MAE over the rated test cells, in the units of ``value``.

    Args:
        models: what is measured.
        line_models: by the same names, models that do not know the validation rows: their scores fit the line.
        interactions: with split and, where the catalogue has ratings, value.
        users: the user table.
        items: the item table.
        queries: every user with the history that scores are computed from (U users).
        block_users: users scored at a time.

    Returns:
        Columns model, rmse, mae, ratings, ratings_of_cold_items; first row: biases alone. No rows without ratings, or
        where all are equal.
    """
    if c.VALUE not in interactions or interactions[c.VALUE].nunique() < 2:
        return pd.DataFrame({name: [] for name in COLUMNS})
    trainable, fit, test = (
        Ratings.read(interactions, users, items, splits) for splits in ((c.TRAIN,), (c.VALIDATION,), (c.TEST, c.COLD))
    )
    biases = Biases.fit(trainable, queries, items)
    rows = []
    for name in (BIASES, *models):
        fit_scores, test_scores = (
            np.zeros(len(cells.user)) if name == BIASES else cell_scores(scorers[name], queries, cells, block_users)
            for scorers, cells in ((line_models, fit), (models, test))
        )
        beta, *_ = np.linalg.lstsq(biases.design(fit, fit_scores), fit.value - biases.mean, rcond=None)
        predicted = biases.mean + biases.design(test, test_scores) @ beta
        predicted = np.clip(predicted, trainable.value.min(), trainable.value.max())
        counts = [len(test.value), int((~biases.warm[test.item]).sum())]
        rows.append([name, rmse(predicted, test.value), mae(predicted, test.value), *counts])
    return pd.DataFrame(rows, columns=COLUMNS)
