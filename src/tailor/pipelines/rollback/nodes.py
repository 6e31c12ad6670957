"""Nodes of ``rollback``."""

from typing import Any

from tailor.registry import rollback


def roll_back(model_name: str) -> dict[str, Any]:
    """Point the champion's alias at the version that the present champion replaced."""
    return rollback.roll_back(model_name)
