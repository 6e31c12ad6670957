"""Spark tables with columns that NumPy computes, batch by batch."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tailor.data.hashing import Hashes, seeded_hash
from tailor.types import AnyArray

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SIGN = np.uint64(1 << 63)
#: Columns of a batch by name, strings as objects, to a new column.
Compute = Callable[[dict[str, AnyArray]], AnyArray]


def with_column(table: "DataFrame", name: str, kind: str, reads: list[str], compute: Compute) -> "DataFrame":
    """Return a table with one more column.

    Args:
        table: any.
        name: of the column.
        kind: its type, as in DDL: long, string.
        reads: the columns that ``compute`` is given.
        compute: from columns (n,) to a column (n,).
    """
    from pyspark.sql.types import DataType, StructField, StructType  # noqa: PLC0415

    def add(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = {read: batch.column(read).to_numpy(zero_copy_only=False) for read in reads}
            added = pa.array(compute(columns), type=pa.int64() if kind == "long" else pa.string())
            yield pa.RecordBatch.from_arrays([*batch.columns, added], names=[*batch.schema.names, name])

    schema = StructType([*table.schema.fields, StructField(name, DataType.fromDDL(kind))])
    return table.mapInArrow(add, schema)


def with_hash(table: "DataFrame", name: str, seed: int, *columns: str) -> "DataFrame":
    """Return a table with the seeded hash of some columns, as a long of the same order.

    It is the hash of :func:`tailor.data.hashing.seeded_hash`; no SQL engine has it.
    """
    return with_column(table, name, "long", list(columns), lambda of: as_long(seeded_hash(seed, *of.values())))


def as_long(hashes: Hashes) -> AnyArray:
    """Return 64-bit words (n,) as signed numbers of the same order: SQL knows no others.

    Example:
        >>> as_long(np.array([0, 2**64 - 1], np.uint64)).tolist() == [-(2**63), 2**63 - 1]
        True
    """
    return (hashes ^ _SIGN).view(np.int64)
