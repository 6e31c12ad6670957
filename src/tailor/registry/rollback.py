"""Undo a promotion."""

import logging

import mlflow

from tailor.errors import ConfigurationError
from tailor.registry.versions import CHAMPION, DECISION, REPLACED, tag
from tailor.types import JsonObject

log = logging.getLogger(__name__)


def roll_back(name: str) -> JsonObject:
    """Point the champion's alias at the version that the present champion replaced.

    Raises:
        ConfigurationError: there is no champion, or it replaced nothing.
    """
    client = mlflow.MlflowClient()
    aliases = client.get_registered_model(name).aliases
    if CHAMPION not in aliases:
        raise ConfigurationError(f"Model '{name}' has no champion to roll back; run `kedro run` first.")
    version = client.get_model_version(name, str(aliases[CHAMPION]))
    old = version.tags.get(REPLACED)
    if not old:
        raise ConfigurationError(f"Version {version.version} of '{name}' replaced no other: nothing to roll back to.")
    tag(name, version.version, {DECISION: "rolled back"})
    client.set_registered_model_alias(name, CHAMPION, old)
    log.info("%s: version %s is the champion again", name, old)
    return {"name": name, "champion": old, "rolled_back": str(version.version)}
