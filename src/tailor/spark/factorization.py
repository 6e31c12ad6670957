"""Text-prior iALS (:mod:`tailor.models.ials`) on Spark: the same objective, every solve exact.

A sweep is one pass over the blocks of users and one shuffle. A task solves the users of a block by the items' factors,
which are broadcast, and sends each user's factors once to every block of items that has one of the user's; there items
are solved. Users' factors are never stored. The items' side is the driver's: their factors, and the texts whose ridge W
they lean on, at most about n x (20 m + 48 d) bytes.

Sums are taken in the order of blocks, so that the factors are the same to the last bit for the same number of blocks,
and to rounding for another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.linear_algebra import RidgeSolver
from tailor.models.base import Floats, Mask
from tailor.models.ials import FittedIALS, IALSConfig, TextIALS, fold_in
from tailor.progress import progress
from tailor.spark import blocks
from tailor.types import AnyArray

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Factors = NDArray[np.float64]
#: What users send to items: the block of items (-1: the Gram matrix of the users), and what they solve with.
_SENT = "items int, block int, user binary, item binary, vectors binary"
_SOLVED = "items int, vectors binary"
_GRAM = -1
#: Blocks of users whose Gram matrices one task adds up.
_SUMMED = 64


@dataclass(frozen=True)
class _Sizes:
    """What every task must know."""

    users: int
    warm: int
    """Items with train interactions: the rows of V."""
    blocks: int
    """Of items: item number i is in block i mod ``blocks``, at place i div ``blocks``."""


def fit(
    table: "DataFrame",
    counts: NDArray[np.int64],
    features: Floats | None,
    recipe: TextIALS,
    item_blocks: int,
) -> FittedIALS:
    """Fit the factors of :class:`tailor.models.ials.TextIALS` by alternating exact solves.

    Args:
        table: blocks of users, see :mod:`tailor.spark.blocks`; those labelled train are learnt from.
        counts: train interactions of each item (n_items,); those with any are warm.
        features: text embeddings (n_items, m); None: plain iALS.
        recipe: the options and the seed.
        item_blocks: blocks that items are solved in.

    Returns:
        The model that one machine would have fitted with ``engine: torch``, to rounding.
    """
    config, warm = recipe.config, counts > 0
    sizes = _Sizes(_count_users(table), int(warm.sum()), item_blocks)
    shape = sizes.warm, config.factors
    V = np.random.default_rng(recipe.seed).normal(scale=1 / np.sqrt(config.factors), size=shape)
    diagonal = config.regularization * (counts[warm] + config.alpha * sizes.users) ** config.nu
    E = np.hstack([features, np.ones((len(features), 1), np.float32)]) if features is not None else None
    texts = None if E is None else RidgeSolver(E[warm], config.lambda_item_feature, diagonal)
    W, of_texts = np.zeros((0, config.factors)), None
    for _ in progress(range(config.iterations), "iALS (Spark)", "sweep"):
        if E is not None and texts is not None:
            W = texts.solve(V)
            of_texts = E @ W
        V = _sweep(table, V, warm, diagonal, None if of_texts is None else of_texts[warm], config, sizes)
    item_factors = np.zeros((len(counts), config.factors)) if of_texts is None else of_texts
    item_factors[warm] = V
    return FittedIALS.of_factors(recipe, item_factors, W, warm)


def _count_users(table: "DataFrame") -> int:
    from pyspark.sql import functions as fn  # noqa: PLC0415

    return int(table.select(fn.sum(fn.size("users"))).first()[0])


def _sweep(
    table: "DataFrame",
    V: Factors,
    warm: Mask,
    diagonal: AnyArray,
    prior: Factors | None,
    config: IALSConfig,
    sizes: _Sizes,
) -> Factors:
    """Solve users by items, and items by users."""
    context = table.sparkSession.sparkContext
    given = context.broadcast((V, warm, config.alpha * V.T @ V))
    sent = table.mapInArrow(lambda batches: _solve_users(batches, given.value, config, sizes), _SENT).persist()
    d = config.factors
    gram = config.alpha * _gram(sent, d)
    ridges = context.broadcast((diagonal, prior, gram))
    to_items = sent.filter(f"items <> {_GRAM}").repartition(sizes.blocks, "items").groupBy("items")
    solved = to_items.applyInPandas(
        lambda packets: _solve_items(packets, ridges.value, config, sizes), _SOLVED
    ).collect()
    out = np.zeros_like(V)
    for row in solved:
        out[int(row["items"]) :: sizes.blocks] = np.frombuffer(row["vectors"]).reshape(-1, d)
    sent.unpersist()
    given.destroy()
    ridges.destroy()
    return out


def _gram(sent: "DataFrame", d: int) -> Factors:
    """Return the sum of the users' Gram matrices, of groups of blocks in tasks, then here; in the order of blocks."""
    from pyspark.sql import functions as fn  # noqa: PLC0415

    def add(group: pd.DataFrame) -> pd.DataFrame:
        ordered = group.sort_values("block")
        total = sum((np.frombuffer(gram) for gram in ordered["vectors"]), np.zeros(d * d))
        return pd.DataFrame({"block": ordered["block"].to_numpy()[:1], "vectors": [total.tobytes()]})

    grams = sent.filter(f"items = {_GRAM}").select("block", "vectors")
    summed = grams.groupBy((fn.col("block") / _SUMMED).cast("int").alias("stretch"))
    parts = summed.applyInPandas(add, "block int, vectors binary").collect()
    parts.sort(key=lambda row: int(row["block"]))
    return sum((np.frombuffer(row["vectors"]).reshape(d, d) for row in parts), np.zeros((d, d)))


def _solve_users(
    batches: Iterator[pa.RecordBatch], given: tuple[Factors, Mask, Factors], config: IALSConfig, sizes: _Sizes
) -> Iterator[pa.RecordBatch]:
    """Solve the users of each block; yield their Gram matrix, and for each block of items what it needs of them."""
    V, warm, gram = given
    for block in blocks.read(batches):
        train = sparse.csr_matrix(block.matrix([c.TRAIN], len(warm))[:, np.flatnonzero(warm)])
        diagonal = config.regularization * (np.diff(train.indptr) + config.alpha * sizes.warm) ** config.nu
        users = fold_in(train, V, gram, diagonal)
        yield _packet(_GRAM, block.number, np.zeros(0, np.int32), np.zeros(0, np.int32), users.T @ users)
        cells = train.tocoo()
        to = cells.col % sizes.blocks
        for items in np.unique(to):
            of_items = to == items
            needed, user = np.unique(cells.row[of_items], return_inverse=True)
            yield _packet(int(items), block.number, user, cells.col[of_items] // sizes.blocks, users[needed])


def _packet(items: int, block: int, user: AnyArray, item: AnyArray, vectors: Factors) -> pa.RecordBatch:
    arrays: list[Any] = [pa.array([items], pa.int32()), pa.array([block], pa.int32())]
    binaries = (user.astype(np.int32), item.astype(np.int32), np.ascontiguousarray(vectors))
    arrays += [pa.array([array.tobytes()], pa.binary()) for array in binaries]
    return pa.RecordBatch.from_arrays(arrays, names=["items", "block", "user", "item", "vectors"])


def _solve_items(
    packets: pd.DataFrame, given: tuple[AnyArray, Factors | None, Factors], config: IALSConfig, sizes: _Sizes
) -> pd.DataFrame:
    """Solve the items of a block by the factors of all users that have one of them."""
    diagonal, prior, gram = given
    block, users, items, vectors, before = int(packets["items"].iloc[0]), [], [], [], 0
    for packet in packets.sort_values("block").to_dict("records"):
        of_users = np.frombuffer(packet["vectors"]).reshape(-1, config.factors)
        users.append(np.frombuffer(packet["user"], np.int32).astype(np.int64) + before)
        items.append(np.frombuffer(packet["item"], np.int32))
        vectors.append(of_users)
        before += len(of_users)
    row, column = np.concatenate(items), np.concatenate(users)
    mine = slice(block, None, sizes.blocks)
    shape = len(diagonal[mine]), before
    matrix = sparse.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=shape)
    solved = fold_in(matrix, np.vstack(vectors), gram, diagonal[mine], None if prior is None else prior[mine])
    return pd.DataFrame({"items": [block], "vectors": [np.ascontiguousarray(solved).tobytes()]})
