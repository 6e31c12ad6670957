"""Nodes of ``rollback``."""

from tailor.registry import rollback
from tailor.types import JsonObject


def roll_back(model_name: str) -> JsonObject:
    """Point the champion's alias at the version that the present champion replaced."""
    return rollback.roll_back(model_name)
