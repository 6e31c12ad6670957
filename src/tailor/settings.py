"""Kedro project settings."""

from tailor.environment import LOADER_ARGS
from tailor.hooks import ProjectHooks
from tailor.run_hooks import RunHooks

# Of wrappers the last is the outermost: parameters are checked before the store is opened.
HOOKS = (RunHooks(), ProjectHooks())

CONFIG_LOADER_ARGS = LOADER_ARGS
