"""Kedro project settings."""

from omegaconf.resolvers import oc

from tailor.hooks import ProjectHooks
from tailor.staleness import ResumableCatalog
from tailor.staleness_hooks import StalenessHooks

HOOKS = (ProjectHooks(), StalenessHooks())
DATA_CATALOG_CLASS = ResumableCatalog

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {"oc.env": oc.env},
}
