"""A learning curve: what a cheap model reaches on validation with a part of the train interactions."""

from typing import Any

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.data.hashing import seeded_hash, tie_ranks
from tailor.data.interactions import split_matrix, warm_items
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.base import Csr, FittedModel, Mask, Model, Query, TrainSet
from tailor.models.listing import recommend
from tailor.models.registry import build

COLUMNS = ["share", "interactions", "model", "ndcg", "n_users"]
SHARES = (0.25, 0.5, 0.75, 1.0)
#: Most items for EASE, which is exact and quick below; above, iALS.
_EASE_ITEMS = 5000


def no_curve() -> pd.DataFrame:
    """Return the table of a curve that was not asked for: its columns, no rows."""
    return pd.DataFrame({name: pd.Series(dtype="str" if name == "model" else "float64") for name in COLUMNS})


def learning_curve(
    rows: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, seed: int, k: int = 20
) -> pd.DataFrame:
    """Measure NDCG@k of warm validation lists with 25, 50, 75 and 100 % of the train interactions.

    A part is drawn by seeded hashes, each holds the smaller ones. Fit and histories see the part alone: this is a
    catalogue with fewer interactions. Lists always leave out all of train, and the same positives count.

    Args:
        rows: train and validation rows; of others nothing is read.
        users: the user table.
        items: the item table.
        seed: of the parts, the model and ties.
        k: length of the lists.

    Returns:
        share, interactions, model, ndcg, n_users; one row per share, none where no user has a validation row.
    """
    validation = split_matrix(rows, users, items, [c.VALIDATION])
    train = rows[rows[c.SPLIT] == c.TRAIN]
    seen, warm = split_matrix(train, users, items, [c.TRAIN]), warm_items(items)
    order = np.argsort(seeded_hash(seed, train[c.USER], train[c.ITEM]), kind="stable")
    model, ties = _model(len(items), seed), tie_ranks(seed, items[c.ITEM])
    points = []
    for share in SHARES:
        part = split_matrix(train.iloc[order[: round(share * len(train))]], users, items, [c.TRAIN])
        values = _ndcg(model.fit(TrainSet.of(part, warm)), part, seen, validation, warm, ties, k)
        if len(values):
            points.append((share, float(part.nnz), model.name, float(values.mean()), float(len(values))))
    return pd.DataFrame(points, columns=COLUMNS) if points else no_curve()


def _model(n_items: int, seed: int) -> Model[Any]:
    """Return EASE, or iALS where a catalogue is too large for it to be quick."""
    return build("ease" if n_items <= _EASE_ITEMS else "ials", {}, seed, "data_processing.card")


def _ndcg(
    model: FittedModel, histories: Csr, seen: Csr, validation: Csr, warm: Mask, ties: np.ndarray, k: int
) -> np.ndarray:
    """Return NDCG@k of the users with a validation row of a warm item (n_users,)."""
    users = np.flatnonzero(np.diff(validation.indptr) > 0)
    positives, query = validation[users], Query.of(histories[users])
    lists, _ = recommend(model, query, seen[users], {c.WARM: warm}, k, ties)[c.WARM]
    values = ndcg(hits(lists, positives), np.diff(positives.indptr), k)
    return np.asarray(values[np.isfinite(values)])
