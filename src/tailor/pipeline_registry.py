"""The project's pipelines by name."""

import re
from importlib import import_module
from importlib.resources import files

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

from tailor.errors import ConfigurationError, did_you_mean

#: Pipelines that ``kedro run`` leaves out: they are asked for by name.
ON_REQUEST = ("ablation", "experiment", "export", "forget", "offpolicy", "rollback", "spark", "tuning", "update")


def register_pipelines() -> dict[str, Pipeline]:
    """Find the requested pipelines; ``__default__`` is the sum of all but those on request.

    Raises:
        ConfigurationError: a requested pipeline does not exist.
    """
    known = _names()
    try:
        pipelines = find_pipelines(raise_errors=True)
    except ImportError as error:
        if error.__cause__ is not None:  # the pipeline exists, and its code fails
            raise
        name = re.sub(r".*'tailor\.pipelines\.(.*)'.*", r"\1", str(error))
        hint = did_you_mean(name, known)
        raise ConfigurationError(f"No pipeline '{name}'.{hint} Known: {', '.join(known)}.") from None
    if "__default__" in pipelines:
        pipelines["__default__"] = sum((pipelines[name] for name in known if name not in ON_REQUEST), Pipeline([]))
    return pipelines


def default_pipeline() -> Pipeline:
    """Return what ``kedro run`` runs where no pipeline is asked for; Kedro itself keeps only those that are."""
    modules = [import_module(f"tailor.pipelines.{name}") for name in _names() if name not in ON_REQUEST]
    return sum((module.create_pipeline() for module in modules), Pipeline([]))


def _names() -> list[str]:
    folders = files("tailor.pipelines").iterdir()
    return sorted(folder.name for folder in folders if folder.is_dir() and not folder.name.startswith("_"))
