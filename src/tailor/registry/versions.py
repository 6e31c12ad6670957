"""Versions of a registered model: their aliases and tags."""

import subprocess

import mlflow
import pandas as pd

from tailor.types import JsonObject

CHAMPION, CHALLENGER = "champion", "challenger"
DECISION, REASONS, EVALUATIONS, REPLACED = "decision", "reasons", "n_previous_evaluations", "replaced_version"
#: What stands for the commit where there is no repository.
UNKNOWN = "unknown"
#: Columns of :func:`history`.
LOG_COLUMNS = ["version", DECISION, REASONS, EVALUATIONS, REPLACED, "split_hash", "data_hash", "git_commit"]
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


def git_commit() -> str:
    """Return the commit of the working tree, "unknown" without one."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return done.stdout.strip()
