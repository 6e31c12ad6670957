"""Run again what a version stands on, in a folder aside; MLflow is not asked, nothing is registered."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from tailor.config import parse
from tailor.environment import LOADER_ARGS, check_environment
from tailor.errors import ConfigurationError
from tailor.evaluation.headlines import headline_figures
from tailor.options import ProjectOptions
from tailor.plugins import load_plugins
from tailor.reproduction.digests import RECOMMENDER, digest_outputs
from tailor.reproduction.record import Output, Record
from tailor.staleness import persisted

_METRICS = "metrics"


@dataclass(frozen=True)
class Place:
    """Where a rerun reads its configuration and writes its outputs."""

    project: Path
    conf_source: str
    environment: str | None
    data: Path
    """Folder for all outputs, instead of the environment's own."""


def open_catalog(place: Place, record: Record) -> DataCatalog:
    """Return the environment's catalog with the recorded parameters, and no others; outputs go to another folder.

    Raises:
        ConfigurationError: this version of Tailor does not know a parameter.
    """
    parameters = _moved(record.parameters, record.data.rstrip("/"), str(place.data))
    load_plugins(parameters.get("plugins", []))
    parse(ProjectOptions, parameters, "")
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # what OmegaConf will call otherwise
        loader = OmegaConfigLoader(conf_source=place.conf_source, env=place.environment, **LOADER_ARGS)
        check_environment(loader, place.environment)
        # People who are left out stay so: the list is read where it is, not aside.
        state = {"state": f"{loader['globals']['data']}/serving"} | loader["globals"]
        loader["globals"] = state | {"data": str(place.data)}
        loader["parameters"] = parameters
        context = KedroContext(place.project, loader, place.environment, str(__package__), _create_hook_manager())
        return cast(DataCatalog, context.catalog)


def run(pipeline: Pipeline, catalog: DataCatalog, place: Place) -> list[Output]:
    """Run a pipeline and hash its outputs.

    Args:
        pipeline: as of :func:`tailor.reproduction.digests.reproducible`.
        catalog: as of :func:`open_catalog`.
        place: where it writes to.

    Raises:
        ConfigurationError: an output would not go there.
    """
    for name in sorted(pipeline.all_outputs()):
        _check_place(name, catalog, place.data)
    SequentialRunner().run(pipeline, catalog, _create_hook_manager())
    refitted = catalog.load(RECOMMENDER) if RECOMMENDER in pipeline.all_outputs() else None
    return digest_outputs(pipeline, catalog, refitted)


def headlines(catalog: DataCatalog) -> dict[str, float]:
    """Return the headline figures of the registered model, by name."""
    options = parse(ProjectOptions, catalog.load("parameters"), "").evaluation
    return headline_figures(catalog.load(_METRICS), options.registered, max(options.k))


def _check_place(name: str, catalog: DataCatalog, data: Path) -> None:
    if not persisted(catalog, name):
        return
    path = str(catalog.config_resolver.resolve_pattern(name).get("filepath", ""))
    if not Path(path).is_relative_to(data):
        raise ConfigurationError(
            f"conf/: '{name}' goes to {path or 'no file'}, so a rerun would write over it: let its filepath start with "
            "${globals:data}."
        )


def _moved(value: Any, old: str, new: str) -> Any:
    """Replace the folder of outputs in parameters that name a path below it."""
    if isinstance(value, dict):
        return {key: _moved(below, old, new) for key, below in value.items()}
    if isinstance(value, list):
        return [_moved(below, old, new) for below in value]
    return new + value.removeprefix(old) if isinstance(value, str) and value.startswith(f"{old}/") else value
