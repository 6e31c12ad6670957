"""Blocks of users: a table with one row per block, which holds all that its users did.

A hash of the id says in which block a user is, so that none needs a number. Within a block users stand by id, rows by
user and item.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.models.base import Csr
from tailor.spark.tables import with_hash

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA = "block int, users array<string>, user binary, item binary, label binary"
_HASH, _BLOCK, _NUMBER = "_hash", "block", "_item"


@dataclass(frozen=True)
class Block:
    """The users of a block and their rows."""

    number: int
    users: NDArray[np.object_]
    """Ids (U,), ascending."""
    user: NDArray[np.int32]
    """Of each row the place of its user (R,), ascending."""
    item: NDArray[np.int32]
    """Of each row the number of its item (R,)."""
    label: NDArray[np.int8]
    """Of each row the place of its label among ``columns.SPLITS`` (R,)."""

    def matrix(self, labels: Iterable[str], n_items: int) -> Csr:
        """Return the rows with some labels as a matrix of ones (U, n_items)."""
        rows = np.isin(self.label, [c.SPLITS.index(label) for label in labels])
        shape = len(self.users), n_items
        ones = np.ones(int(rows.sum()), np.float32)
        return sparse.csr_matrix((ones, (self.user[rows], self.item[rows])), shape=shape)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Users that are not held out as new ones (U,)."""
        new = np.zeros(len(self.users), dtype=bool)
        new[self.user[self.label == c.SPLITS.index(c.NEW_USER)]] = True
        return ~new


def make_blocks(labelled: "DataFrame", items: pd.DataFrame, n_blocks: int, seed: int) -> "DataFrame":
    """Return the table of blocks, see ``SCHEMA``.

    Args:
        labelled: user_id, item_id and split.
        items: the item table: the row of an item is its number.
        n_blocks: how many.
        seed: of the hash.

    Raises:
        BadInputError: interactions name an item that the table lacks.
    """
    from pyspark.sql import functions as fn  # noqa: PLC0415

    ids = np.asarray(items[c.ITEM], dtype=object)
    numbers = pd.DataFrame({c.ITEM: ids, _NUMBER: np.arange(len(ids), dtype=np.int32)})
    table = labelled.select(c.USER, c.ITEM, c.SPLIT)
    table = table.join(fn.broadcast(labelled.sparkSession.createDataFrame(numbers)), c.ITEM, "left")
    unknown = table.filter(fn.col(_NUMBER).isNull()).limit(1).collect()
    if unknown:
        raise BadInputError(
            f"The interactions name item '{unknown[0][c.ITEM]}', which the item table lacks. Add it to the items, or "
            "leave its rows out."
        )
    table = with_hash(table, _HASH, seed, c.USER).withColumn(
        _BLOCK, fn.pmod(fn.col(_HASH), fn.lit(n_blocks)).cast("int")
    )
    return table.repartition(n_blocks, _BLOCK).groupBy(_BLOCK).applyInPandas(_pack, SCHEMA)


def read(batches: Iterable[pa.RecordBatch]) -> Iterator[Block]:
    """Yield the blocks of a task, one in memory at a time."""
    for batch in batches:
        for record in batch.to_pylist():
            yield of_record(record)


def of_record(record: Mapping[str, Any]) -> Block:
    """Return the block of one row of the table."""
    arrays = (np.frombuffer(record[name], kind) for name, kind in _ARRAYS.items())
    return Block(int(record[_BLOCK]), np.asarray(record["users"], dtype=object), *arrays)


_ARRAYS = {"user": np.int32, "item": np.int32, "label": np.int8}


def _pack(rows: pd.DataFrame) -> pd.DataFrame:
    """Make one row of the rows of a block."""
    ids = np.asarray(rows[c.USER], dtype=object)
    users, user = np.unique(ids, return_inverse=True)
    item = rows[_NUMBER].to_numpy(dtype=np.int32)
    order = np.lexsort((item, user))
    label = pd.Categorical(rows[c.SPLIT], categories=list(c.SPLITS)).codes
    packed = {"user": user, "item": item, "label": label}
    arrays = {name: [packed[name][order].astype(kind).tobytes()] for name, kind in _ARRAYS.items()}
    return pd.DataFrame({_BLOCK: [int(rows[_BLOCK].iloc[0])], "users": [users.tolist()], **arrays})
