"""``tailor reproduce VERSION``: make a version again from its record, and say whether the same came out."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from tailor.environment import open_registry
from tailor.errors import BadInputError, ConfigurationError
from tailor.pipeline_registry import default_pipeline
from tailor.registry.versions import find_version
from tailor.reproduction import record as records
from tailor.reproduction import rerun
from tailor.reproduction.compare import Comparison, code_warnings, different_figures, figure_lines
from tailor.reproduction.digests import raw_digests, reproducible
from tailor.reproduction.record import Record

_TRACKING_URI = "MLFLOW_TRACKING_URI"
Say = Callable[[str], object]


@dataclass(frozen=True)
class Recorded:
    """A registered version, its record and its figures in MLflow."""

    name: str
    version: str
    record: Record
    figures: dict[str, float]


def reproduce(
    version: str, environment: str | None, conf_source: str, project_path: Path, keep: Path | None, say: Say = print
) -> bool:
    """Run again what a version stands on, and say what came out; the user's data folder and store stay as they are.

    Args:
        version: number or alias.
        environment: folder of conf/; None for the default.
        conf_source: folder or archive of the configuration.
        project_path: folder that relative paths of the catalog start from.
        keep: folder for the outputs, which must not exist; None for one that is deleted.
        say: takes one line.

    Returns:
        Whether every output, and every figure, is equal.

    Raises:
        BadInputError: there is no such version, it has no record, or the raw data are others.
        ConfigurationError: the folder exists, or outputs would not go there.
    """
    recorded = find_recorded(version, environment, conf_source)
    for warning in code_warnings(recorded.record.code, records.code_in_force(project_path)):
        say(f"Warning: {warning}")
    with _folder(keep) as data, _store_aside(data):
        place = rerun.Place(project_path, conf_source, environment, data)
        catalog = rerun.open_catalog(place, recorded.record)
        pipeline = reproducible(default_pipeline())
        check_raw(recorded, pipeline, catalog)
        say(f"Version {recorded.version} of {recorded.name}: {len(pipeline.nodes)} nodes run again, into {data}.")
        comparison = Comparison.of(recorded.record.outputs, rerun.run(pipeline, catalog, place))
        return report(recorded, comparison, rerun.headlines(catalog), say)


def find_recorded(version: str, environment: str | None, conf_source: str) -> Recorded:
    """Return a version of an environment's model with its record.

    Raises:
        BadInputError: there is no such version, or it has no record.
    """
    model = open_registry(environment, conf_source).model
    registered = find_version(model, version)
    run_id = registered.tags.get("run_id") or registered.run_id or ""
    record = records.read(run_id)
    if record is None:
        raise BadInputError(
            f"Version {registered.version} of {model} has no record of how it was made ({records.FOLDER}/ in its run): "
            "an earlier Tailor, or the pipeline `update`, registered it. Register it anew with `kedro run`."
        )
    figures = dict(mlflow.MlflowClient().get_run(run_id).data.metrics)
    return Recorded(model, str(registered.version), record, figures)


#: Input that is no raw table: who is left out of these.
_SUPPRESSIONS = "suppressions"


def check_raw(recorded: Recorded, pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Refuse to run on other raw data; what can be downloaded is.

    Raises:
        BadInputError: naming the tables that are others.
    """
    expected = recorded.record.raw
    for name in expected:
        place = getattr(catalog.get(name), "location", None)
        if place is not None and not place.exists() and catalog.exists(name):
            catalog.load(name)
    present = raw_digests(pipeline, catalog)
    others = sorted(name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name))
    if _SUPPRESSIONS in others:
        raise BadInputError(
            f"Other people are suppressed now than when version {recorded.version} was made, so it cannot be made "
            "again: `kedro run` registers one without them."
        )
    if others:
        files = [f"{name} ({getattr(catalog.get(name), 'filepath', 'no file')})" for name in others]
        raise BadInputError(
            f"{', '.join(files)}: not the raw data, or not read in the way, that version {recorded.version} was made "
            "of. Put the former files and their entry of conf/ there."
        )


def report(recorded: Recorded, comparison: Comparison, figures: dict[str, float], say: Say) -> bool:
    """Say pipeline by pipeline what came out, and the figures side by side; return whether all is equal."""
    for line in [*comparison.lines(), *figure_lines(recorded.figures, figures, recorded.version)]:
        say(line)
    first, others = comparison.first_difference(), different_figures(recorded.figures, figures)
    if first:
        say(f"Differs first at {first}.")
    elif others:
        say(
            f"Every output is equal, but MLflow holds other figures of version {recorded.version}: {', '.join(others)}."
        )
    else:
        say(f"Version {recorded.version} is reproduced: every digit of its figures is equal.")
    return not first and not others


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tailor-reproduce-") as folder:
            yield Path(folder).resolve()
        return
    if keep.exists():
        raise ConfigurationError(f"--keep: {keep} exists: name a folder that does not.")
    keep.mkdir(parents=True)
    yield keep.resolve()


@contextlib.contextmanager
def _store_aside(data: Path) -> Iterator[None]:
    """Let MLflow write to a store of the rerun's own, should a plug-in log anything."""
    before, variable = mlflow.get_tracking_uri(), os.environ.get(_TRACKING_URI)
    aside = f"sqlite:///{data / 'mlflow.db'}"
    mlflow.set_tracking_uri(aside)
    os.environ[_TRACKING_URI] = aside
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        os.environ.pop(_TRACKING_URI)
        if variable is not None:
            os.environ[_TRACKING_URI] = variable
