"""The session: one for the process, with the settings that the project needs."""

import os
import shutil
import sys
import warnings
from typing import TYPE_CHECKING

from tailor.errors import ConfigurationError
from tailor.spark.config import SparkOptions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Where nothing else is said: Arrow between Python and the JVM, no limit on what the driver collects.
DEFAULTS = {
    "spark.app.name": "tailor",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.showConsoleProgress": "false",
    # Of a batch: a row that holds a block of users is megabytes.
    "spark.sql.execution.arrow.maxBytesPerBatch": "64m",
    "spark.driver.maxResultSize": "0",
    # A core does one task, whose products of matrices take one thread.
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.log.level": "ERROR",
}
#: On this machine: everything on loopback, no page, a block is one task, however small.
LOCAL = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
}


def session(options: SparkOptions) -> "SparkSession":
    """Return the session of the process, made where there is none; one that is there stays as it is.

    Args:
        options: where Spark runs, and its settings.

    Raises:
        ConfigurationError: no master is set, pyspark or Java is missing (says what installs it), or Spark does not
            start.
    """
    if options.master is None:
        raise ConfigurationError(
            "spark.master is null: no Spark is meant to run. Use --env=spark, or set spark.master to local[*] or to "
            "the URL of a cluster."
        )
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415  (an extra)
    except ImportError:
        raise ConfigurationError(
            "pyspark is not installed. In the project's folder `make spark-deps` installs it, elsewhere "
            '`pip install "tailor-recsys[spark]"`.'
        ) from None
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    local = options.master.startswith("local")
    if local and not _java():
        raise ConfigurationError(
            "Spark needs Java 17 or newer, and there is no `java` on the PATH or in JAVA_HOME. On Debian and Ubuntu: "
            "apt install openjdk-17-jre-headless."
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    builder = SparkSession.builder.master(options.master)
    for key, value in (DEFAULTS | (LOCAL if local else {}) | options.settings).items():
        builder = builder.config(key, value)
    try:
        return builder.getOrCreate()
    except Exception as error:  # py4j and pyspark share no base
        raise ConfigurationError(
            f"Spark did not start at spark.master = '{options.master}': {_reason(error)}. local[*] is this machine; a "
            "cluster is spark://host:7077, yarn or k8s://…"
        ) from error


def _reason(error: Exception) -> str:
    """Return what the JVM says, without its stack."""
    java = getattr(error, "java_exception", None)
    return str(java.getMessage() if java is not None else error).strip().splitlines()[0].rstrip(".")


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
