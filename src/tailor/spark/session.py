"""The session: one for the process, with the settings that the project needs."""

import os
import shutil
import sys
from typing import TYPE_CHECKING

from tailor.errors import ConfigurationError
from tailor.spark.config import SparkOptions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Where nothing else is said: Arrow between Python and the JVM, driver and pages on loopback, no page at all.
DEFAULTS = {
    "spark.app.name": "tailor",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.showConsoleProgress": "false",
    # Of a batch: a row that holds a block of users is megabytes.
    "spark.sql.execution.arrow.maxBytesPerBatch": "64m",
    # A block is one task, however small.
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
    # A core does one task, whose products of matrices take one thread (of local tasks too).
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.log.level": "ERROR",
}


def session(options: SparkOptions) -> "SparkSession":
    """Return the session of the process, made where there is none.

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
    if options.master.startswith("local") and not _java():
        raise ConfigurationError(
            "Spark needs Java 17 or newer, and there is no `java` on the PATH or in JAVA_HOME. On Debian and Ubuntu: "
            "apt install openjdk-17-jre-headless."
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(options.master)
    for key, value in (DEFAULTS | options.settings).items():
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
