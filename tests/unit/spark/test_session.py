"""What a session needs is named where it is missing."""

import sys

import pytest

from tailor.errors import ConfigurationError
from tailor.spark.config import SparkOptions
from tailor.spark.session import session


def test_without_a_master_no_spark_is_meant_to_run():
    with pytest.raises(ConfigurationError, match=r"spark\.master is null: .* --env=spark"):
        session(SparkOptions())


def test_a_missing_pyspark_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ConfigurationError, match=r"make spark-deps.*tailor-recsys\[spark\]"):
        session(SparkOptions(master="local[*]"))


def test_a_missing_java_is_named_with_what_installs_it(monkeypatch, tmp_path):
    pytest.importorskip("pyspark")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"Java 17 or newer.*openjdk-17"):
        session(SparkOptions(master="local[*]"))
