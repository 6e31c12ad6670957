"""The split of :mod:`tailor.data.split` on Spark: the same label for the same row.

Places in an order are counted by windows, whose labels the one-machine code computes; items are few enough for the
driver, which chooses the cold ones by that code.
"""

from typing import TYPE_CHECKING

import pandas as pd

from tailor import columns as c
from tailor.data.config import SplitOptions
from tailor.data.split import choose_cold_items, window_labels
from tailor.errors import BadInputError
from tailor.spark.tables import with_column, with_hash

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_HASH, _TIME, _RANK, _SIZE, _WINDOW = "_hash", "_time", "_rank", "_size", "_window"
_COLD, _NEW = "_cold", "_new"
#: Types of times, as Spark names them, beside decimal(…).
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")
#: Columns that the split of one machine reads and this one does not.
_UNKNOWN = (c.SPLIT, c.DOMAIN, c.CONFIDENCE)


def label_interactions(interactions: "DataFrame", options: SplitOptions, seed: int) -> "DataFrame":
    """Return the interactions with a column ``split``, as :func:`tailor.data.split.label_interactions` labels them.

    Args:
        interactions: unique (user_id, item_id), optionally with timestamp.
        options: strategy and shares.
        seed: of the hashes.

    Raises:
        BadInputError: ids are no strings or times no numbers, a row has no user or item, pairs are repeated, a column
            is one that Spark's split does not read, or the strategy needs timestamps.
    """
    from pyspark.sql import functions as fn  # noqa: PLC0415

    _refuse(interactions, options)
    placed = _windows(interactions, options, seed)
    session = interactions.sparkSession
    cold = session.createDataFrame([(item, True) for item in _cold_items(interactions, options, seed)], _schema(c.ITEM))
    new = _new_users(interactions, options.new_users, seed)
    placed = placed.join(fn.broadcast(cold.withColumnRenamed("chosen", _COLD)), c.ITEM, "left")
    placed = placed.join(new.withColumnRenamed("chosen", _NEW), c.USER, "left")
    label = fn.when(fn.col(_NEW), c.NEW_USER).when(fn.col(_COLD) & (fn.col(_WINDOW) == c.TEST), c.COLD)
    label = label.when(fn.col(_COLD), c.COLD_UNUSED).otherwise(fn.col(_WINDOW))
    return placed.withColumn(c.SPLIT, label).select(*interactions.columns, c.SPLIT)


def refuse_too_little(labelled: "DataFrame") -> dict[str, int]:
    """Return the number of rows by label.

    Raises:
        BadInputError: there is none in train, validation or test.
    """
    counts = {str(row[c.SPLIT]): int(row["count"]) for row in labelled.groupBy(c.SPLIT).count().collect()}
    empty = [name for name in (c.TRAIN, c.VALIDATION, c.TEST) if not counts.get(name)]
    if empty:
        rows = ", ".join(f"{counts.get(name, 0):,} {name}" for name in c.SPLITS)
        raise BadInputError(
            f"Too little data: no row falls into {' or '.join(empty)}. The rows are {rows}. What helps: more rows per "
            "user, or other shares in data_processing.split."
        )
    return counts


def _schema(key: str) -> str:
    return f"{key} string, chosen boolean"


def _refuse(interactions: "DataFrame", options: SplitOptions) -> None:
    """Refuse what the split of one machine would clean, read otherwise, or not take."""
    from pyspark.sql import functions as fn  # noqa: PLC0415

    unknown = [name for name in _UNKNOWN if name in interactions.columns]
    if unknown:
        raise BadInputError(
            f"The interactions have a column '{unknown[0]}', which the split on Spark does not read: leave it out, or "
            "split on one machine (kedro run --pipelines=data_processing)."
        )
    _refuse_types(interactions)
    if options.strategy in ("global_time", "leave_one_out") and c.TIMESTAMP not in interactions.columns:
        raise BadInputError(
            f"data_processing.split.strategy is {options.strategy}, but the interactions have no 'timestamp'. Add one, "
            "or use per_user."
        )
    empty = fn.col(c.USER).isNull() | fn.col(c.ITEM).isNull()
    n_empty = interactions.filter(empty).count()
    pairs = interactions.groupBy(c.USER, c.ITEM).count().filter("count > 1").limit(1).collect()
    if n_empty or pairs:
        what = f"{n_empty:,} rows without a user or an item" if n_empty else "more than one row for a user and an item"
        raise BadInputError(
            f"The interactions have {what}. Write cleaned ones: `kedro run --pipelines=data_processing` makes them, or "
            "dropna and dropDuplicates of Spark."
        )


def _refuse_types(interactions: "DataFrame") -> None:
    """Refuse ids that are no strings, which a join would cast, and times that are no seconds."""
    kinds = dict(interactions.dtypes)
    for key in (c.USER, c.ITEM):
        if kinds.get(key) != "string":
            raise BadInputError(
                f"Column '{key}' of the interactions is {kinds.get(key, 'missing')}: ids are strings. Cast it, as "
                f"withColumn('{key}', col('{key}').cast('string')), and those of the items alike."
            )
    kind = kinds.get(c.TIMESTAMP, "double")
    if kind not in _NUMBERS and not kind.startswith("decimal"):
        raise BadInputError(
            f"Column 'timestamp' of the interactions is {kind}: it holds seconds since 1970 as numbers. Cast it, as "
            "unix_timestamp does, or leave it out."
        )
    if c.TIMESTAMP in kinds and interactions.filter(f"{c.TIMESTAMP} is not null").limit(1).count() == 0:
        raise BadInputError("Column 'timestamp' of the interactions holds nothing: leave it out.")


def _windows(interactions: "DataFrame", options: SplitOptions, seed: int) -> "DataFrame":
    """Place every row in its user's (or everybody's) train, validation or test window."""
    from pyspark.sql import Window  # noqa: PLC0415
    from pyspark.sql import functions as fn  # noqa: PLC0415

    timed = c.TIMESTAMP in interactions.columns and options.strategy != "random"
    time: Column = fn.col(c.TIMESTAMP).cast("double") if timed else fn.lit(0.0)
    # Rows without a time come last, as on one machine.
    by_time = [fn.col(_TIME).asc_nulls_last(), fn.col(_HASH)]
    hashed = with_hash(interactions.withColumn(_TIME, time), _HASH, seed, c.USER, c.ITEM)
    if options.strategy == "global_time":
        ranked = _numbered(hashed, by_time, _RANK)
        ranked = ranked.withColumn(_SIZE, fn.lit(ranked.count()))
    else:
        by_user = Window.partitionBy(c.USER)
        ranked = hashed.withColumn(_RANK, fn.row_number().over(by_user.orderBy(*by_time)) - 1)
        ranked = ranked.withColumn(_SIZE, fn.count(fn.lit(1)).over(by_user))
    return with_column(
        ranked,
        _WINDOW,
        "string",
        [_RANK, _SIZE],
        lambda of: window_labels(pd.Series(of[_RANK]), pd.Series(of[_SIZE]), options),
    )


def _numbered(table: "DataFrame", by: "list[Column]", name: str) -> "DataFrame":
    """Return the rows in an order with their places in it, from 0 on; no task sees more than its part."""
    from pyspark.sql import functions as fn  # noqa: PLC0415

    part, place = "_part", "_place"
    ordered = table.orderBy(*by).withColumn(part, fn.spark_partition_id())
    # Numbers of one part grow with its rows, however many numbers lie between two parts.
    ordered = ordered.withColumn(place, fn.monotonically_increasing_id()).persist()
    firsts = ordered.groupBy(part).agg(fn.min(place).alias("first"), fn.count(fn.lit(1)).alias("rows")).orderBy(part)
    parts = firsts.toPandas()
    parts["before"] = parts["rows"].cumsum() - parts["rows"] - parts["first"]
    shifts = table.sparkSession.createDataFrame(parts[[part, "before"]])
    numbered = ordered.join(fn.broadcast(shifts), part).withColumn(name, fn.col(place) + fn.col("before"))
    return numbered.drop(part, place, "before")


def _cold_items(interactions: "DataFrame", options: SplitOptions, seed: int) -> list[str]:
    from pyspark.sql import functions as fn  # noqa: PLC0415

    timed = options.cold_strategy == "latest" and c.TIMESTAMP in interactions.columns
    first = [fn.min(fn.col(c.TIMESTAMP).cast("double")).alias("first")] if timed else []
    table = interactions.groupBy(c.ITEM).agg(fn.count(fn.lit(1)).alias("count"), *first).toPandas().set_index(c.ITEM)
    times = table["first"] if timed else None
    return [str(item) for item in choose_cold_items(table["count"], times, options, seed)]


def _new_users(interactions: "DataFrame", fraction: float, seed: int) -> "DataFrame":
    """Return the fraction of the users with the smallest hashes."""
    from pyspark.sql import functions as fn  # noqa: PLC0415

    users = with_hash(interactions.select(c.USER).distinct(), _HASH, seed, c.USER)
    ranked = _numbered(users, [fn.col(_HASH), fn.col(c.USER)], _RANK)
    chosen = ranked.filter(fn.col(_RANK) < round(fraction * users.count()))
    return chosen.select(c.USER).withColumn("chosen", fn.lit(True))
