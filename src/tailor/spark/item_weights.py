"""EASE and SLIT (:mod:`tailor.models.ease`, :mod:`tailor.models.slit`) on Spark: what they learn from is counted in
tasks, and in catalogues of more than ``max_dense_items`` the weights toward each item are solved in tasks too.

Blocks of users are counted apart: a task sends, of each block, the rows of its matrix to those that add them up, in the
order of blocks and one in memory at a time. The sums are the driver's, which broadcasts them to the tasks that solve
blocks of items; full weights the driver solves.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.linear_algebra import precision
from tailor.models.base import Csr, Floats
from tailor.models.ease import FittedEASE, TextEASE, weighted_gram
from tailor.models.slit import SLIT, FittedSLIT
from tailor.spark import blocks
from tailor.threads import BlockMap

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

T = TypeVar("T")
#: From a block of users to matrices (n, n) that are summed over blocks.
_Count = Callable[[blocks.Block], tuple[Csr, ...]]
#: Rows ``stretch`` of matrix number ``matrix``.
_COUNTED = "matrix int, stretch int, block int, indptr binary, indices binary, data binary"
_ARRAYS = {"indptr": np.int64, "indices": np.int32, "data": np.float64}


def fit_ease(table: "DataFrame", features: Floats, recipe: TextEASE, n_items: int, item_blocks: int) -> FittedEASE:
    """Fit EASE on the train rows.

    Args:
        table: blocks of users, see :mod:`tailor.spark.blocks`.
        features: text embeddings (n_items, m); m is 0 where there are none.
        recipe: the options.
        n_items: n.
        item_blocks: tasks that add up and that solve.

    Returns:
        The model that one machine would have fitted, to rounding of the sums.
    """
    power = recipe.config.user_weight_power
    mean = _mean_length(table) if power else None
    counted = _count(
        table, lambda block: (weighted_gram(block.matrix([c.TRAIN], n_items), power, mean),), n_items, item_blocks
    )
    return recipe.fit_gram(counted[0], features, in_tasks(table.sparkSession, item_blocks))


def fit_slit(table: "DataFrame", recipe: SLIT, n_items: int, item_blocks: int) -> FittedSLIT:
    """Fit SLIT on the order of the train rows.

    Args:
        table: blocks of users that know an order, see :mod:`tailor.spark.blocks`.
        recipe: the options.
        n_items: n.
        item_blocks: tasks that add up and that solve.

    Returns:
        The model that one machine would have fitted, to rounding of the sums.
    """

    def transitions(block: blocks.Block) -> tuple[Csr, ...]:
        order = block.order([c.TRAIN], n_items)
        return () if order is None else recipe.transitions(order)

    before, after = _count(table, transitions, n_items, item_blocks, n_matrices=2)
    return recipe.fit_transitions(before, after, in_tasks(table.sparkSession, item_blocks))


def in_tasks(spark: "SparkSession", n_tasks: int) -> BlockMap:
    """Return what calls a function of each block of items in tasks; what the function holds is broadcast once.

    Bad input that the function names in a task is raised here, as if no task lay between.
    """
    context = spark.sparkContext

    def each(work: Callable[[slice], T], parts: list[slice]) -> Iterator[T]:
        given = context.broadcast(_Pickled(work))

        def attempt(part: slice) -> tuple[T | None, str]:
            try:
                return given.value(part), ""
            except BadInputError as error:
                return None, str(error)

        try:
            for made, fault in context.parallelize(parts, min(n_tasks, len(parts))).map(attempt).collect():
                if fault:
                    raise BadInputError(fault)
                yield made
        finally:
            given.destroy()

    return each


class _Pickled:
    """A function of any kind that plain pickle takes, and that is the function itself where it is read."""

    def __init__(self, function: Callable[[slice], Any]) -> None:
        from pyspark import cloudpickle  # noqa: PLC0415  (an extra)

        self.pickled: bytes = cloudpickle.dumps(function)

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        """Be read as the function."""
        return pickle.loads, (self.pickled,)


def _mean_length(table: "DataFrame") -> float:
    """Return how many train rows a user with any has on the mean."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for block in blocks.read(batches):
            train = block.user[block.label == c.SPLITS.index(c.TRAIN)]
            yield pa.RecordBatch.from_arrays(
                [pa.array([len(np.unique(train))], pa.int64()), pa.array([len(train)], pa.int64())], ["users", "rows"]
            )

    sums = table.mapInArrow(count, "users long, rows long").groupBy().sum("users", "rows").first()
    users, rows = (0, 0) if sums is None else (int(sums[0] or 0), int(sums[1] or 0))
    return rows / users if users else 1.0


def _count(table: "DataFrame", count: _Count, n_items: int, n_stretches: int, n_matrices: int = 1) -> list[Csr]:
    """Return the sums over blocks of users of the matrices (n_items, n_items) that ``count`` makes of a block.

    Added in double precision, in the order of the blocks; returned in the precision of one machine.
    """
    bounds, key = np.linspace(0, n_items, n_stretches + 1).astype(np.int64), ["matrix", "stretch"]
    sent = table.mapInArrow(lambda batches: _send(batches, count, bounds), _COUNTED)
    sent = sent.repartition(n_stretches * n_matrices, *key).sortWithinPartitions(*key, "block")
    summed = sent.mapInArrow(lambda batches: _add(batches, n_items), _COUNTED)
    sums: dict[tuple[int, int], Csr] = {}
    for row in summed.toLocalIterator():  # one partition at a time in the heap of the driver
        part = _matrix(row.asDict(), n_items)
        sums[row["matrix"], row["stretch"]] = part.astype(np.dtype(precision(n_items)))
    parts = [[sums.pop((number, stretch)) for stretch in range(n_stretches)] for number in range(n_matrices)]
    return [sparse.csr_matrix(sparse.vstack(of_matrix)) for of_matrix in parts]


def _send(batches: Iterator[pa.RecordBatch], count: _Count, bounds: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """Count each block of users; yield the rows of its matrices, a stretch at a time."""
    for block in blocks.read(batches):
        for number, matrix in enumerate(count(block)):
            for stretch, (start, stop) in enumerate(pairwise(bounds)):
                yield _packet(number, stretch, block.number, sparse.csr_matrix(matrix[start:stop]))


def _add(batches: Iterator[pa.RecordBatch], n_items: int) -> Iterator[pa.RecordBatch]:
    """Yield the sum of each run of packets of one matrix and stretch."""
    rows = (row for batch in batches for row in batch.to_pylist())
    for (number, stretch), packets in groupby(rows, key=lambda row: (row["matrix"], row["stretch"])):
        matrices = (_matrix(packet, n_items) for packet in packets)
        yield _packet(number, stretch, 0, reduce(lambda total, one: sparse.csr_matrix(total + one), matrices))


def _packet(number: int, stretch: int, block: int, matrix: Csr) -> pa.RecordBatch:
    matrix.sort_indices()
    values = [pa.array([value], pa.int32()) for value in (number, stretch, block)]
    values += [pa.array([getattr(matrix, name).astype(kind).tobytes()], pa.binary()) for name, kind in _ARRAYS.items()]
    return pa.RecordBatch.from_arrays(values, names=["matrix", "stretch", "block", *_ARRAYS])


def _matrix(packet: Mapping[Any, Any], n_items: int) -> Csr:
    indptr, indices, data = (np.frombuffer(packet[name], kind) for name, kind in _ARRAYS.items())
    return sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, n_items))
