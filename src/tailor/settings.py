"""Kedro project settings."""

from tailor.cost_hooks import CostHooks
from tailor.environment import LOADER_ARGS
from tailor.hooks import ProjectHooks
from tailor.progress_hooks import ProgressHooks
from tailor.reproduction.hooks import ReproductionHooks
from tailor.run_hooks import RunHooks
from tailor.spark_hooks import SparkHooks
from tailor.staleness import ResumableCatalog
from tailor.staleness_hooks import StalenessHooks

# Of wrappers the last is the outermost: parameters are checked before the store is opened.
HOOKS = (RunHooks(), ProjectHooks(), SparkHooks(), StalenessHooks(), ReproductionHooks(), ProgressHooks(), CostHooks())
DATA_CATALOG_CLASS = ResumableCatalog

CONFIG_LOADER_ARGS = LOADER_ARGS
