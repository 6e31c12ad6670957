"""The registered model as a function of Spark's SQL (mlflow.pyfunc.spark_udf)."""

import mlflow
import pandas as pd
import pytest

pytest.importorskip("pyspark", reason="make test-spark installs it")

#: Some of the columns of an answer.
ANSWER = "item_ids array<string>, scores array<double>, path string"


def test_it_lists_in_tasks_what_it_lists_here(spark, finished, monkeypatch):
    from pyspark.sql.functions import struct

    monkeypatch.setenv("MLFLOW_TRACKING_URI", finished.tracking_uri)
    mlflow.set_tracking_uri(finished.tracking_uri)
    mlflow.set_registry_uri(finished.tracking_uri)
    uri = "models:/tailor-test@champion"
    known = pd.read_parquet(finished.data / "03_primary" / "users.parquet")["user_id"]
    users = [*known.head(40), "nobody"]
    table = pd.DataFrame({"user_id": users})
    expected = mlflow.pyfunc.load_model(uri).predict(table, params={"k": 5})
    recommend = mlflow.pyfunc.spark_udf(spark, uri, result_type=ANSWER, env_manager="local", params={"k": 5})
    answers = spark.createDataFrame(table).repartition(3)
    answers = answers.withColumn("answer", recommend(struct("user_id"))).select("user_id", "answer.*").toPandas()
    answers = answers.set_index("user_id").loc[users]
    assert [list(row) for row in answers["item_ids"]] == [list(row) for row in expected["item_ids"]]
    assert all(len(row) == 5 for row in answers["item_ids"])
