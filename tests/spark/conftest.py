"""One session of two cores for all tests, and the planted catalogue in it."""

import pytest

from tailor.spark.config import SparkOptions
from tailor.spark.session import session


@pytest.fixture(scope="session")
def spark():
    made = session(SparkOptions(master="local[2]", settings={"spark.sql.shuffle.partitions": 3}))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def interactions(spark, tables):
    """The rows of the planted catalogue in another order, without their labels."""
    rows = tables.interactions.drop(columns="split").sample(frac=1.0, random_state=1)
    return spark.createDataFrame(rows[["user_id", "item_id", "timestamp"]])


@pytest.fixture(scope="session")
def ordered(spark, tables):
    """The rows of the planted catalogue with labels and times."""
    return spark.createDataFrame(tables.interactions[["user_id", "item_id", "split", "timestamp"]])


@pytest.fixture(scope="session")
def labelled(spark, tables):
    return spark.createDataFrame(tables.interactions[["user_id", "item_id", "split"]])
