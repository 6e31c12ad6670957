"""Spark's session is made before a dataset asks for one."""

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from tailor.config import parse
from tailor.spark.config import SparkOptions
from tailor.spark.session import session


class SparkHooks:
    """Where a master is named, the session of the process has the settings of ``parameters/spark.yml``."""

    @hook_impl(trylast=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Make the session.

        Raises:
            ConfigurationError: pyspark or Java is missing.
        """
        options = parse(SparkOptions, context.params.get("spark", {}), "spark")
        if options.master is not None:
            session(options)
