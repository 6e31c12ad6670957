"""Versions of a registered model: their aliases and tags."""

import subprocess

import mlflow
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.types import JsonObject

CHAMPION, CHALLENGER = c.CHAMPION, c.CHALLENGER
DECISION, REASONS, EVALUATIONS, REPLACED = "decision", "reasons", "n_previous_evaluations", "replaced_version"
#: What stands for the commit where there is no repository.
UNKNOWN = "unknown"
#: Columns of :func:`history`.
LOG_COLUMNS = ["version", DECISION, REASONS, EVALUATIONS, REPLACED, "split_hash", "data_hash", "git_commit"]
#: What the address of a logged model starts with.
_LOGGED = "models:/"
#: Tags that versions of 0.1 carry under another name.
_FORMER_TAGS = {EVALUATIONS: "earlier_looks"}


def tag(model_name: str, version: str | int | None, tags: JsonObject) -> None:
    """Write tags to a version."""
    client = mlflow.MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(model_name, str(version), key, str(value))


def give_alias(model_name: str, version: str | int | None) -> str:
    """Make a version the champion if the model has none, else the challenger; return the alias."""
    client = mlflow.MlflowClient()
    alias = CHALLENGER if CHAMPION in client.get_registered_model(model_name).aliases else CHAMPION
    client.set_registered_model_alias(model_name, alias, str(version))
    return alias


def history(model_name: str) -> pd.DataFrame:
    """Return every decision about a model, oldest first, from the versions' tags."""
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{model_name}'")
    decided = sorted((v for v in versions if DECISION in v.tags), key=lambda v: int(v.version))

    def cell(tags: dict[str, str], column: str) -> str:
        return tags.get(column, tags.get(_FORMER_TAGS.get(column, column), ""))

    rows = [[str(v.version), *(cell(v.tags, column) for column in LOG_COLUMNS[1:])] for v in decided]
    return pd.DataFrame(rows, columns=LOG_COLUMNS)


def find_version(model_name: str, version: str) -> ModelVersion:
    """Return a version by its number or alias.

    Raises:
        BadInputError: there is none; naming those that exist.
    """
    client = mlflow.MlflowClient()
    registered = client.search_model_versions(f"name = '{model_name}'")
    if not registered:
        raise BadInputError(f"No version of '{model_name}' is registered. Run `kedro run` first.")
    aliases = {alias: str(number) for alias, number in client.get_registered_model(model_name).aliases.items()}
    numbers = {str(one.version): one for one in registered}
    chosen = aliases.get(version, version)
    if chosen not in numbers:
        known = ", ".join([*sorted(numbers, key=int), *sorted(aliases)])
        raise BadInputError(f"No version '{version}' of '{model_name}'. Known: {known}.")
    return client.get_model_version(model_name, chosen)


def logged_model_id(name: str, version: str) -> str | None:
    """Return the id of the logged model behind a version; None where the version was made of a folder."""
    source = str(mlflow.MlflowClient().get_model_version(name, version).source)
    return source.removeprefix(_LOGGED) if source.startswith(f"{_LOGGED}m-") else None


def champion_that_replaced(name: str, loaded: str | None) -> str | None:
    """Return the version that is champion now, where it is not made of the logged model that was loaded as champion.

    Args:
        name: in the registry.
        loaded: id of the logged model; None: it is not known.

    Returns:
        The number; None where the champion is that model, or where one of both has no id.
    """
    now = mlflow.MlflowClient().get_model_version_by_alias(name, CHAMPION)
    model_id = logged_model_id(name, now.version)
    return None if None in (loaded, model_id) or loaded == model_id else str(now.version)


def delete_version(name: str, number: str) -> None:
    """Delete a version with its files and its logged model."""
    client = mlflow.MlflowClient()
    location, model = client.get_model_version_download_uri(name, number), logged_model_id(name, number)
    get_artifact_repository(location).delete_artifacts()
    client.delete_model_version(name, number)
    if model is not None:
        client.delete_logged_model(model)


def git_commit() -> str:
    """Return the commit of the working tree, "unknown" without one."""
    return _git("rev-parse", "HEAD") or UNKNOWN


def git_is_dirty() -> bool:
    """Whether files of the repository have changes that are not committed; files that it does not know do not count."""
    return bool(_git("status", "--porcelain", "--untracked-files=no"))


def _git(*arguments: str) -> str:
    """Return what Git prints; empty without a repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
