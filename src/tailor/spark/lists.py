"""Lists of all users by fitted models that are broadcast, and their figures by group-by.

The lists are those of :func:`tailor.models.listing.recommend`, which runs in every task: equal scores stand in the same
order as on one machine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from tailor import columns as c
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import restrict_order
from tailor.models.base import FittedModel, Query
from tailor.models.ease import FittedEASE
from tailor.models.listing import recommend
from tailor.spark import blocks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA = f"model string, {c.USER} string, candidates string, place int, {c.ITEM} string, score float"
#: What histories hold, and what lists leave out.
_KNOWN, _SEEN = (c.TRAIN, c.VALIDATION), (c.TRAIN, c.VALIDATION, c.COLD_UNUSED)
_POSITIVE = (c.TEST, c.COLD)
METRICS = ("ndcg", "recall")


def make_lists(
    table: "DataFrame", models: Mapping[str, FittedModel], items: pd.DataFrame, k: int, seed: int
) -> "DataFrame":
    """Return lists of every user who is not new: model, user_id, candidates (warm, cold, mixed), place, item_id, score.

    Args:
        table: blocks of users, see :mod:`tailor.spark.blocks`.
        models: by name; they read histories and their order alone, and are broadcast.
        items: the item table, with bucket.
        k: length of the lists.
        seed: of the order of equal scores.
    """
    cold = (items[c.BUCKET] == c.COLD).to_numpy()
    warm = (items[c.N_TRAIN] > 0).to_numpy()
    sets = {c.WARM: ~cold, c.COLD: cold, c.MIXED: np.ones(len(items), dtype=bool)}
    ids = np.asarray(items[c.ITEM], dtype=object)
    # What EASE knows of texts is for items that join later.
    sent = {
        name: replace(model, text=None) if isinstance(model, FittedEASE) else model for name, model in models.items()
    }
    given = table.sparkSession.sparkContext.broadcast((sent, ids, sets, warm, tie_ranks(seed, ids)))

    def make(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        of_task, names, candidates, warm_items, ties = given.value
        for block in blocks.read(batches):
            known = np.flatnonzero(block.known)
            histories = block.matrix(_KNOWN, len(names))[known]
            histories = histories.multiply(warm_items).tocsr()
            histories.eliminate_zeros()
            seen = block.matrix(_SEEN, len(names))[known]
            order = block.order(_KNOWN, len(names))
            order = restrict_order(None if order is None else sparse.csr_matrix(order[known]), histories)
            query = Query.of(histories.astype(np.float32), order)
            for model, fitted in of_task.items():
                lists = recommend(fitted, query, seen, candidates, k, ties)
                for name, (listed, scores) in lists.items():
                    row, place = np.nonzero(listed >= 0)
                    yield pa.RecordBatch.from_arrays(
                        [
                            pa.array(np.full(len(row), model, dtype=object), pa.string()),
                            pa.array(block.users[known][row], pa.string()),
                            pa.array(np.full(len(row), name, dtype=object), pa.string()),
                            pa.array(place.astype(np.int32)),
                            pa.array(names[listed[row, place]], pa.string()),
                            pa.array(scores[row, place].astype(np.float32)),
                        ],
                        names=["model", c.USER, "candidates", "place", c.ITEM, "score"],
                    )

    return table.mapInArrow(make, SCHEMA)


def measure(lists: "DataFrame", labelled: "DataFrame", items: pd.DataFrame, k: int) -> pd.DataFrame:
    """Return NDCG@k and Recall@k (means over users with a positive) and catalog coverage, by model and candidate set.

    Args:
        lists: see :func:`make_lists`.
        labelled: user_id, item_id and split.
        items: the item table, with bucket.
        k: cut-off.

    Returns:
        Columns model, candidates, metric, k, value, n_users.
    """
    from pyspark.sql import functions as fn  # noqa: PLC0415

    of_test = labelled.filter(fn.col(c.SPLIT).isin(*_POSITIVE))
    taken = of_test.select(c.USER, c.ITEM, fn.when(fn.col(c.SPLIT) == c.COLD, c.COLD).otherwise(c.WARM).alias("set"))
    taken = taken.union(taken.withColumn("set", fn.lit(c.MIXED))).withColumnRenamed("set", "candidates")
    relevant = taken.groupBy(c.USER, "candidates").agg(fn.count(fn.lit(1)).alias("positives"))
    relevant = relevant.crossJoin(fn.broadcast(lists.select("model").distinct()))
    first = lists.filter(fn.col("place") < k)
    gain = 1 / fn.log2(fn.col("place") + 2)
    hits = first.join(taken, [c.USER, c.ITEM, "candidates"]).groupBy("model", c.USER, "candidates")
    hits = hits.agg(fn.sum(gain).alias("dcg"), fn.count(fn.lit(1)).alias("hits"))
    per_user = relevant.join(hits, ["model", c.USER, "candidates"], "left").fillna(0)
    ideal = fn.expr(f"aggregate(sequence(1, least(positives, {k})), 0D, (sum, r) -> sum + 1 / log2(r + 1))")
    figures = per_user.groupBy("model", "candidates").agg(
        fn.avg(fn.col("dcg") / ideal).alias("ndcg"),
        fn.avg(fn.col("hits") / fn.col("positives")).alias("recall"),
        fn.count(fn.lit(1)).alias("n_users"),
    )
    table: pd.DataFrame = figures.toPandas().melt(["model", "candidates", "n_users"], list(METRICS), "metric", "value")
    listed = [fn.countDistinct(c.ITEM).alias("items"), fn.countDistinct(c.USER).alias("n_users")]
    covered = first.groupBy("model", "candidates").agg(*listed).toPandas()
    n_cold = int((items[c.BUCKET] == c.COLD).sum())
    sizes = {c.COLD: n_cold, c.WARM: len(items) - n_cold, c.MIXED: len(items)}
    covered["value"] = covered["items"] / covered["candidates"].map(sizes)
    covered = covered.assign(metric="catalog_coverage")
    every: pd.DataFrame = pd.concat([table, covered.drop(columns="items")], ignore_index=True).assign(k=k)
    every = every[["model", "candidates", "metric", "k", "value", "n_users"]]
    return every.sort_values(["model", "candidates", "metric"], ignore_index=True)
