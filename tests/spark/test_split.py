"""Spark labels every row as one machine does."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.config import SplitOptions
from tailor.data.split import label_interactions as on_one_machine
from tailor.errors import BadInputError
from tailor.spark.split import label_interactions, refuse_too_little

pytest.importorskip("pyspark", reason="make test-spark installs it")

OPTIONS = {
    "shares": SplitOptions(),
    "other shares": SplitOptions(train=0.55, validation=0.2, cold_items=0.25, new_users=0.3),
    "the latest items": SplitOptions(cold_strategy="latest"),
    "random": SplitOptions(strategy="random"),
    "two dates": SplitOptions(strategy="global_time"),
    "the last rows": SplitOptions(strategy="leave_one_out"),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("seed", [0, 7])
def test_labels_are_those_of_one_machine(interactions, tables, name, seed):
    rows = tables.interactions.drop(columns="split")
    expected = rows.assign(split=on_one_machine(rows, OPTIONS[name], seed))
    made = label_interactions(interactions, OPTIONS[name], seed).toPandas()
    keys = ["user_id", "item_id"]
    both = expected.merge(made, on=keys, suffixes=("", "_on_spark"), how="outer", validate="1:1")
    assert len(both) == len(rows)
    assert (both["split"] == both["split_on_spark"]).all()
    assert both["split"].nunique() >= 3


def test_without_times_too(interactions, tables):
    rows = tables.interactions[["user_id", "item_id"]]
    expected = rows.assign(split=on_one_machine(rows, SplitOptions(), 0))
    made = label_interactions(interactions.drop("timestamp"), SplitOptions(), 0).toPandas()
    both = expected.merge(made, on=["user_id", "item_id"], suffixes=("", "_on_spark"), how="outer", validate="1:1")
    assert (both["split"] == both["split_on_spark"]).all()


def test_rows_without_a_time_come_last_as_on_one_machine(spark, tables):
    rows = tables.interactions.drop(columns="split")[["user_id", "item_id", "timestamp"]]
    rows["timestamp"] = rows["timestamp"].astype(float).where(np.random.default_rng(0).random(len(rows)) > 0.3)
    expected = rows.assign(split=on_one_machine(rows, SplitOptions(), 0))
    nulls = rows.astype({"timestamp": object}).where(rows.notna(), None)
    table = spark.createDataFrame(nulls, "user_id string, item_id string, timestamp double")
    assert table.filter("timestamp is null").count() > 0
    made = label_interactions(table, SplitOptions(), 0).toPandas()
    both = expected.merge(made, on=["user_id", "item_id"], suffixes=("", "_on_spark"), how="outer", validate="1:1")
    assert (both["split"] == both["split_on_spark"]).all()


def table(spark, rows, names="user_id string, item_id string"):
    return spark.createDataFrame(rows, names)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("a", "x"), ("a", "x")], {}, "more than one row for a user and an item"),
        ([("a", None), ("a", "x")], {}, "1 rows without a user or an item"),
        ([("a", "x")], {"strategy": "leave_one_out"}, "leave_one_out, but the interactions have no 'timestamp'"),
        ([("a", "x")], {"cold_strategy": "latest"}, "cold_strategy is latest"),
    ],
)
def test_what_it_cannot_split_is_named(spark, rows, options, message):
    with pytest.raises(BadInputError, match=message):
        label_interactions(table(spark, rows), SplitOptions(**options), 0)


@pytest.mark.parametrize(
    ("names", "rows", "message"),
    [
        ("user_id string, item_id long", [("a", 1)], "Column 'item_id' of the interactions is bigint: ids are strings"),
        ("user_id string", [("a",)], "Column 'item_id' of the interactions is missing"),
        ("user_id string, item_id string, timestamp string", [("a", "x", "1")], "Column 'timestamp' .* is string"),
        ("user_id string, item_id string, timestamp double", [("a", "x", None)], "'timestamp' .* holds nothing"),
    ],
)
def test_columns_of_another_type_are_named(spark, names, rows, message):
    with pytest.raises(BadInputError, match=message):
        label_interactions(table(spark, rows, names), SplitOptions(), 0)


def test_a_column_that_it_does_not_read_is_named(spark):
    rows = spark.createDataFrame(pd.DataFrame({"user_id": ["a"], "item_id": ["x"], "confidence": [1.0]}))
    with pytest.raises(BadInputError, match="column 'confidence', which the split on Spark does not read"):
        label_interactions(rows, SplitOptions(), 0)


def test_too_little_is_refused_with_the_counts(spark):
    labelled = table(spark, [("train",), ("train",), ("test",)], "split string")
    with pytest.raises(BadInputError, match=r"into validation\. The rows are 2 train, 0 validation, 1 test"):
        refuse_too_little(labelled)
