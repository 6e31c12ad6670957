"""Kedro project settings."""

from omegaconf.resolvers import oc

from tailor.hooks import ProjectHooks
from tailor.run_hooks import RunHooks

# Of wrappers the last is the outermost: parameters are checked before the store is opened.
HOOKS = (RunHooks(), ProjectHooks())

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {"oc.env": oc.env},
}
