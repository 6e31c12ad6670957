"""MLflow's store in a SQLite file: its first use, and artifacts that are no longer where it says."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import filelock
import mlflow
from mlflow.entities import Experiment

from tailor.errors import BadInputError, ConfigurationError

#: Seconds that a run waits for another one to lay out the store.
PATIENCE_S = 300
_SQLITE = "sqlite:///"


def tracking_uri(config_loader: Any) -> str:
    """Return the address of the store that mlflow.yml names, read by Kedro's loader; empty where it names none."""
    config_loader.config_patterns.setdefault("mlflow", ["mlflow*", "mlflow*/**", "**/mlflow*"])
    server = config_loader["mlflow"].get("server", {})
    return str(server.get("mlflow_tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI", ""))


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for any other store.

    >>> sqlite_file("sqlite:///data/mlflow.db"), sqlite_file("http://127.0.0.1:5000")
    (PosixPath('data/mlflow.db'), None)
    """
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None


@contextlib.contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """Let one process at a time open a SQLite store and find or create its experiment.

    MLflow creates tables without a lock: of two first runs at once, one would find half of them and fail.

    Args:
        uri: of the store; others than SQLite see to it themselves.

    Raises:
        BadInputError: another process has held the store for :data:`PATIENCE_S` seconds.
    """
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(f"{file}.lock")
    try:
        lock.acquire(timeout=PATIENCE_S)
    except filelock.Timeout:
        raise BadInputError(
            f"{file}: another run has been opening this MLflow store for {PATIENCE_S} seconds; stop that run, or wait "
            "for its end, and start again."
        ) from None
    try:
        yield
    finally:
        lock.release()


def local_path(location: str) -> Path | None:
    """Return the path of an artifact location on this machine; None where it is elsewhere (s3://, mlflow-artifacts:/).

    >>> local_path("file:///a%20b/1"), local_path("/a/1"), local_path("s3://a/1")
    (PosixPath('/a b/1'), PosixPath('/a/1'), None)
    """
    parts = urlparse(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(location)


def check_artifacts(experiment: Experiment, uri: str, project: Path) -> str:
    """Refuse to go on where the experiment's artifacts are gone; return a warning where the project is a copy.

    Artifact locations are absolute: in a project that was moved they point at the old place, where nothing is found
    and new artifacts would be written.

    Args:
        experiment: whose artifacts are asked for.
        uri: of the store.
        project: folder of the project.

    Returns:
        What to tell the user; empty where all is as it should be.

    Raises:
        ConfigurationError: the location is gone, and models were logged there.
    """
    location = local_path(experiment.artifact_location)
    if sqlite_file(uri) is None or location is None or location.resolve().is_relative_to(project.resolve()):
        return ""
    moved = moved_root(location, project)
    if moved is None and location.exists():
        return ""
    if location.exists():
        return (
            f"MLflow writes artifacts of '{experiment.name}' to {location}, outside of this project, which has a copy "
            f"of them. To use the copy: {how_to_repair(uri, *(moved or ()))}"
        )
    if moved is None and not mlflow.MlflowClient().search_logged_models([experiment.experiment_id], max_results=1):
        return ""
    raise ConfigurationError(
        f"{location}: the artifacts of experiment '{experiment.name}' are gone from there. If the project was moved, "
        f"run {how_to_repair(uri, *(moved or ()))}"
    )


def moved_root(location: Path, project: Path) -> tuple[Path, Path] | None:
    """Return where the artifacts were and are, if the end of their location exists in the project; else None."""
    for parent in location.parents:
        if (project / location.relative_to(parent)).exists() and parent != location.parent:
            return parent, project.resolve()
    return None


def how_to_repair(uri: str, old: Path | str = "OLD", new: Path | str = "NEW") -> str:
    """Return the command that repairs the store of a project that was moved."""
    file = sqlite_file(uri)
    return f"`python -m tailor.registry.relocate {old} {new} --store {file}` (it keeps a copy of the store)."
