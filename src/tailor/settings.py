"""Kedro project settings."""

from tailor.environment import LOADER_ARGS
from tailor.hooks import ProjectHooks

HOOKS = (ProjectHooks(),)

CONFIG_LOADER_ARGS = LOADER_ARGS
