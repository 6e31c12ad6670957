"""Recommendation lists as matrices of internal ids, and as the long tables that are written to files.

Ids in a table are categories: its integer codes are the rows of the users and the items table, and the texts are held
once. A file says the same by a dictionary, so that anyone reads ids as they are in the raw tables.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.errors import ConfigurationError, did_you_mean

Lists = tuple[NDArray[np.int64], NDArray[np.float32]]
#: By model: makes or reads the long table of its lists; whole lists, never a part of one. One is in memory at a time.
LazyTables = Mapping[str, Callable[[], pd.DataFrame]]


def to_frame(lists: Lists, users: NDArray[np.int64], user_ids: pd.Series, item_ids: pd.Series) -> pd.DataFrame:
    """Return the long table user_id, item_id, rank (1…k), score of lists (U, k); empty places are left out.

    Memory: 16 bytes per row, and the ids once.

    Args:
        lists: items (U, k), -1 for an empty place, and scores (U, k).
        users: rows of the user table (U,).
        user_ids: of the user table, each once.
        item_ids: of the item table, each once.
    """
    items, scores = lists
    row, place = np.nonzero(items >= 0)
    return pd.DataFrame(
        {
            c.USER: _categories(users[row], user_ids),
            c.ITEM: _categories(items[row, place], item_ids),
            c.RANK: (place + 1).astype(np.int32),
            c.SCORE: scores[row, place],
        }
    )


def label(table: pd.DataFrame, **labels: str) -> pd.DataFrame:
    """Return the table with a column for each label, a category: one byte per row."""
    codes = np.zeros(len(table), np.int8)
    return table.assign(**{name: pd.Categorical.from_codes(codes, pd.Index([value])) for name, value in labels.items()})


def stack(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put tables below each other; categories stay categories, and those of one table are added to the others'."""
    first = tables[0]
    named = [str(name) for name in first if isinstance(first[name].dtype, pd.CategoricalDtype)]
    together = {
        name: pd.api.types.union_categoricals([table[name] for table in tables], ignore_order=True) for name in named
    }
    rest = pd.concat([table.drop(columns=named) for table in tables], ignore_index=True)
    return rest.assign(**together)[list(first)]


def read_tables(*several: LazyTables) -> Iterator[pd.DataFrame]:
    """Yield the tables of every model, one at a time."""
    for tables in several:
        for read in tables.values():
            yield read()


def check_models(tables: LazyTables, names: Iterable[str]) -> None:
    """Refuse models of which there are no lists.

    Raises:
        ConfigurationError: names the first one, and those there are.
    """
    for name in names:
        if name not in tables:
            raise ConfigurationError(
                f"No lists of model '{name}'.{did_you_mean(name, tables)} Known: {', '.join(tables)}."
            )


def groups(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield the tables of one list set each, in the order they were written."""
    yield from frame.groupby(by, sort=False, observed=True)


def to_lists(
    frame: pd.DataFrame, user_ids: pd.Series, item_ids: pd.Series, k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return internal user ids (U,) and lists (U, k) of one list set's long table, its ids categories or plain."""
    user = internal_ids(frame[c.USER], user_ids)
    users, row = np.unique(user, return_inverse=True)
    lists = np.full((len(users), k), -1, dtype=np.int64)
    inside = frame[c.RANK].to_numpy() <= k
    item = internal_ids(frame[c.ITEM], item_ids)
    lists[row[inside], frame[c.RANK].to_numpy()[inside] - 1] = item[inside]
    return users, lists


def internal_ids(cells: pd.Series, ids: pd.Series) -> NDArray[np.int64]:
    """Return the row in ``ids`` of each cell (n,), -1 for an unknown one; of categories, each is looked up once."""
    index = pd.Index(ids)
    if not isinstance(cells.dtype, pd.CategoricalDtype):
        return np.asarray(index.get_indexer(pd.Index(cells)), dtype=np.int64)
    rows = np.append(index.get_indexer(pd.Index(cells.cat.categories)), -1).astype(np.int64)
    return np.asarray(rows[cells.cat.codes.to_numpy()], dtype=np.int64)


def _categories(rows: NDArray[np.int64], ids: pd.Series) -> pd.Categorical:
    return pd.Categorical.from_codes(rows.astype(np.int32), pd.Index(ids).astype("str"))
