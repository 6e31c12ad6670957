"""Blocks of users: a table with one row per block, which holds all that its users did.

A hash of the id says in which block a user is, so that none needs a number. Within a block users stand by id, rows by
user and item; each row has its place in its user's order, as :func:`tailor.data.interactions.order_matrix` counts it.
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

SCHEMA = "block int, users array<string>, user binary, item binary, label binary, place binary"
_HASH, _BLOCK, _NUMBER, _TIME, _TIE = "_hash", "block", "_item", "_time", "_tie"
#: As in :func:`tailor.data.interactions.order_matrix`.
_SEED_OF_TIES = 0


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
    place: NDArray[np.int32]
    """Of each row its place in its user's order, from 1 (R,); empty where no order is known."""

    def matrix(self, labels: Iterable[str], n_items: int) -> Csr:
        """Return the rows with some labels as a matrix of ones (U, n_items)."""
        rows = self._rows(labels)
        return self._cells(rows, np.ones(int(rows.sum()), np.float32), n_items)

    def order(self, labels: Iterable[str], n_items: int) -> Csr | None:
        """Return the places of the rows with some labels (U, n_items); None where no order is known."""
        if not len(self.place):
            return None
        rows = self._rows(labels)
        return self._cells(rows, self.place[rows].astype(np.float32), n_items)

    def _rows(self, labels: Iterable[str]) -> NDArray[np.bool_]:
        return np.isin(self.label, [c.SPLITS.index(label) for label in labels])

    def _cells(self, rows: NDArray[np.bool_], values: NDArray[np.float32], n_items: int) -> Csr:
        shape = len(self.users), n_items
        return sparse.csr_matrix((values, (self.user[rows], self.item[rows])), shape=shape)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Users that are not held out as new ones (U,)."""
        new = np.zeros(len(self.users), dtype=bool)
        new[self.user[self.label == c.SPLITS.index(c.NEW_USER)]] = True
        return ~new


def knows_order(labelled: "DataFrame", strategy: str) -> bool:
    """Tell whether models may read an order, as :func:`tailor.data.interactions.knows_order` does of a table here.

    Args:
        labelled: with timestamp where there is one.
        strategy: of the split.
    """
    from pyspark.sql import functions as fn  # noqa: PLC0415

    if c.TIMESTAMP not in labelled.columns or strategy == "random":
        return False
    time = fn.col(c.TIMESTAMP).cast("double")
    known = fn.when(~fn.isnan(time), time)  # Spark has NaN above all numbers
    times = labelled.select(fn.min(known), fn.max(known)).first()
    return bool(times is not None and times[0] is not None and times[0] < times[1])


def make_blocks(
    labelled: "DataFrame", items: pd.DataFrame, n_blocks: int, seed: int, *, ordered: bool = False
) -> "DataFrame":
    """Return the table of blocks, see ``SCHEMA``.

    Args:
        labelled: user_id, item_id, split, and timestamp where ``ordered``.
        items: the item table: the row of an item is its number.
        n_blocks: how many.
        seed: of the hash.
        ordered: models may read the order of a user's rows, see :func:`knows_order`.

    Raises:
        BadInputError: interactions name an item that the table lacks.
    """
    from pyspark.sql import functions as fn  # noqa: PLC0415

    ids = np.asarray(items[c.ITEM], dtype=object)
    numbers = pd.DataFrame({c.ITEM: ids, _NUMBER: np.arange(len(ids), dtype=np.int32)})
    time = [fn.col(c.TIMESTAMP).cast("double").alias(_TIME)] if ordered else []
    table = labelled.select(c.USER, c.ITEM, c.SPLIT, *time)
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
    if ordered:
        table = with_hash(table, _TIE, _SEED_OF_TIES, c.USER, c.ITEM)
    of_blocks = table.repartition(n_blocks, _BLOCK).groupBy(_BLOCK)
    return of_blocks.applyInPandas(lambda rows: _pack(rows, ordered), SCHEMA)


def are_ordered(table: "DataFrame") -> bool:
    """Tell whether the blocks know the order of their users' rows."""
    from pyspark.sql import functions as fn  # noqa: PLC0415

    return bool(table.filter(fn.length("place") > 0).limit(1).count())


def read(batches: Iterable[pa.RecordBatch]) -> Iterator[Block]:
    """Yield the blocks of a task, one in memory at a time."""
    for batch in batches:
        for record in batch.to_pylist():
            yield of_record(record)


def of_record(record: Mapping[str, Any]) -> Block:
    """Return the block of one row of the table."""
    arrays = (np.frombuffer(record[name], kind) for name, kind in _ARRAYS.items())
    return Block(int(record[_BLOCK]), np.asarray(record["users"], dtype=object), *arrays)


_ARRAYS = {"user": np.int32, "item": np.int32, "label": np.int8, "place": np.int32}


def _pack(rows: pd.DataFrame, ordered: bool) -> pd.DataFrame:
    """Make one row of the rows of a block."""
    ids = np.asarray(rows[c.USER], dtype=object)
    users, user = np.unique(ids, return_inverse=True)
    item = rows[_NUMBER].to_numpy(dtype=np.int32)
    order = np.lexsort((item, user))
    label = pd.Categorical(rows[c.SPLIT], categories=list(c.SPLITS)).codes
    packed = {"user": user, "item": item, "label": label}
    if ordered:
        packed["place"] = _positions(rows, user)
    none = np.zeros(0, dtype=np.int64)
    of_rows = {name: packed[name][order] if name in packed else none for name in _ARRAYS}
    arrays = {name: [of_rows[name].astype(kind).tobytes()] for name, kind in _ARRAYS.items()}
    return pd.DataFrame({_BLOCK: [int(rows[_BLOCK].iloc[0])], "users": [users.tolist()], **arrays})


def _positions(rows: pd.DataFrame, user: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number each user's rows from 1: by time, those without one last; equal times by the hash."""
    in_order = np.lexsort((rows[_TIE], rows[_TIME].to_numpy(dtype=np.float64), user))
    sizes = np.bincount(user)
    positions = np.empty(len(rows), dtype=np.int64)
    positions[in_order] = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    return positions
