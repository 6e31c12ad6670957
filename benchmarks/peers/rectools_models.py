"""Run by the interpreter of .venv-peers: models of RecTools on the rows of a folder (peers/exchange.py)."""

import sys
import warnings
from typing import Any

import exchange
import numpy as np
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset, IdMap, Interactions
from scipy import sparse


def build(model_class: Any, options: dict[str, Any], seed: int) -> Any:
    """Make a model of its configuration, as ``Model.from_config`` reads it; seeds are part of it."""
    np.random.seed(seed)  # noqa: NPY002  (what RecTools and implicit draw from where no seed is given)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    return model_class.from_config({"cls": model_class, **options})


def fit(model: Any, task: exchange.Task) -> None:
    """Fit on the rows."""
    model.fit(dataset(task, task.rows))


def lists(model: Any, task: exchange.Task) -> dict[str, exchange.Lists]:
    """List with the histories as the dataset; what else was seen is taken out of lists that are so much longer.

    Of equal scores the item with the lower tie rank comes first; which of them are listed at the end is RecTools'
    choice.
    """
    data, seen, history = dataset(task, task.histories), task.matrix(task.seen), task.matrix(task.histories)
    others_seen = sparse.csr_matrix(seen - seen.multiply(history))
    users = np.intersect1d(task.users, np.intersect1d(task.rows["user"], task.histories["user"]))
    fitted = np.zeros(task.shape[1], bool)
    fitted[task.rows["item"]] = True
    made = {}
    for name, mask in task.candidates.items():
        items = np.flatnonzero(mask & fitted)
        longest = int(others_seen[users][:, items].getnnz(axis=1).max(initial=0))
        k = min(task.k + longest, len(items))
        table = model.recommend(users, data, k=k, filter_viewed=True, items_to_recommend=items)
        made[name] = _wide(table[~_holds(seen, table)], task)
    return made


def _holds(matrix: sparse.csr_matrix, table: pd.DataFrame) -> np.ndarray:
    """Return which rows of a table are cells of a matrix."""
    cells = pd.MultiIndex.from_arrays(matrix.nonzero())
    return pd.MultiIndex.from_frame(table[[Columns.User, Columns.Item]]).isin(cells)


def _wide(table: pd.DataFrame, task: exchange.Task) -> exchange.Lists:
    """Return a long table as items (B, k) and scores (B, k)."""
    ties = task.tie_rank[table[Columns.Item].to_numpy()]
    table = table.assign(tie=ties).sort_values([Columns.User, Columns.Score, "tie"], ascending=[True, False, True])
    rank = table.groupby(Columns.User).cumcount().to_numpy()
    place = pd.Series(np.arange(len(task.users)), index=task.users)
    table, rank = table[rank < task.k], rank[rank < task.k]
    row = place.loc[table[Columns.User]].to_numpy()
    items = np.full((len(task.users), task.k), -1, np.int64)
    scores = np.full(items.shape, -np.inf, np.float32)
    items[row, rank], scores[row, rank] = table[Columns.Item], table[Columns.Score]
    return items, scores


def dataset(task: exchange.Task, cells: dict[str, np.ndarray]) -> Dataset:
    """Return cells as RecTools' dataset over the users and items of the rows; times are places in the users' order."""
    users, items = (IdMap(np.unique(task.rows[name])) for name in ("user", "item"))
    known = np.isin(cells["user"], users.external_ids) & np.isin(cells["item"], items.external_ids)
    user, item, place = (cells[name][known] for name in ("user", "item", "place"))
    columns = {
        Columns.User: users.convert_to_internal(user),
        Columns.Item: items.convert_to_internal(item),
        Columns.Weight: 1.0,
        Columns.Datetime: pd.Timestamp("2000-01-01") + pd.to_timedelta(place, unit="D"),
    }
    return Dataset(users, items, Interactions(pd.DataFrame(columns)))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    exchange.run("rectools", build, fit, lists)
