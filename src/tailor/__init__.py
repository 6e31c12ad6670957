"""Tailor: recommenders for the long tail.

import tailor

model = tailor.load("models:/tailor@champion")  # or the folder of a package
model.recommend([tailor.Request(history=["50", "172"])], tailor.Settings(k=5))
"""

from typing import TYPE_CHECKING, Any

from tailor._version import __version__

if TYPE_CHECKING:
    from tailor.serving.recommender import Recommender
    from tailor.serving.schema import Answer, Request, Settings

__all__ = ["Answer", "Recommender", "Request", "Settings", "__version__", "load"]

_HOMES = {
    "Answer": "tailor.serving.schema",
    "Recommender": "tailor.serving.recommender",
    "Request": "tailor.serving.schema",
    "Settings": "tailor.serving.schema",
}


def load(source: str) -> "Recommender":
    """Load a recommender.

    Args:
        source: the folder of a package, or a version in the MLflow registry: ``models:/tailor@champion``,
            ``models:/tailor/3``.

    Raises:
        BadInputError: there is no package, it is damaged, or this version of Tailor cannot read it.
    """
    from pathlib import Path  # noqa: PLC0415  (nothing is imported before it is asked for)

    from tailor.serving.recommender import Recommender  # noqa: PLC0415

    if not source.startswith("models:/"):
        return Recommender.load(Path(source))
    from tailor.serving.champion import load_uri  # noqa: PLC0415  (imports mlflow)

    return load_uri(source)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name in _HOMES:
        import importlib  # noqa: PLC0415

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tailor' has no attribute '{name}'")
