"""Recommendation lists as matrices of internal ids, and as the long table that is written to files."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c

Lists = tuple[NDArray[np.int64], NDArray[np.float32]]


def to_frame(lists: Lists, users: NDArray[np.int64], user_ids: pd.Series, item_ids: pd.Series) -> pd.DataFrame:
    """Return the long table user_id, item_id, rank (1…k), score of lists (U, k); empty places are left out."""
    items, scores = lists
    row, place = np.nonzero(items >= 0)
    return pd.DataFrame(
        {
            c.USER: user_ids.take(users[row]).to_numpy(),
            c.ITEM: item_ids.take(items[row, place]).to_numpy(),
            c.RANK: (place + 1).astype(np.int64),
            c.SCORE: scores[row, place].astype(np.float64),
        }
    ).astype({c.USER: "str", c.ITEM: "str"})


def groups(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield the tables of one list set each, in the order they were written."""
    yield from frame.groupby(by, sort=False, observed=True)


def to_lists(
    frame: pd.DataFrame, user_ids: pd.Series, item_ids: pd.Series, k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return internal user ids (U,) and lists (U, k) of one list set's long table."""
    user = pd.Index(user_ids).get_indexer(pd.Index(frame[c.USER]))
    users, row = np.unique(user, return_inverse=True)
    lists = np.full((len(users), k), -1, dtype=np.int64)
    inside = frame[c.RANK].to_numpy() <= k
    item = pd.Index(item_ids).get_indexer(pd.Index(frame[c.ITEM]))
    lists[row[inside], frame[c.RANK].to_numpy()[inside] - 1] = item[inside]
    return users, lists
