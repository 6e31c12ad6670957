"""Runs in MLflow: their names, who works on them, and those that a kill left open."""

import logging
import os
import socket

import mlflow
import psutil
from mlflow.entities import Run, RunStatus, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID

from tailor.registry.versions import UNKNOWN, git_commit

log = logging.getLogger(__name__)
HOST, PID = "tailor.host", "tailor.pid"
#: A process that started later than its run, by more than clocks are rounded, is another one with the same number.
_ROUNDING_MS = 2000


def run_name(catalogue: str, seed: int, pipelines: list[str]) -> str:
    """Return the name of a run: ``shop, seed 0, 1a2b3c4``, and the pipelines where it is not the whole.

    Args:
        catalogue: name of the model in the registry.
        seed: of the run.
        pipelines: that were asked for; empty for all.
    """
    commit = git_commit()
    parts = [catalogue, f"seed {seed}", *([commit[:7]] if commit != UNKNOWN else [])]
    return ", ".join(parts) + (f": {' + '.join(pipelines)}" if pipelines else "")


def mark_run() -> None:
    """Tag the run that is open with the host and process that work on it, and with the commit."""
    if mlflow.active_run() is None:
        return
    tags = {HOST: socket.gethostname(), PID: str(os.getpid())}
    commit = git_commit()
    mlflow.set_tags(tags | ({MLFLOW_GIT_COMMIT: commit} if commit != UNKNOWN else {}))


def close_left_open(experiment_id: str) -> list[str]:
    """Close the experiment's runs that are RUNNING while their process is gone: they become KILLED.

    Runs of another host, and those without the tags of :func:`mark_run`, are left as they are. Nested runs go with the
    run that they belong to.

    Returns:
        Names of the runs that were closed.
    """
    client = mlflow.MlflowClient()
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", ViewType.ACTIVE_ONLY)
    closed = []
    for run in running:
        parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID)
        if _is_left_open(client.get_run(parent) if parent else run):
            client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))
            closed.append(str(run.info.run_name))
    if closed:
        log.warning("Closed as KILLED, since their process is gone: %s", "; ".join(closed))
    return closed


def _is_left_open(run: Run) -> bool:
    """Whether a run was marked on this host by a process that is no more."""
    tags = run.data.tags
    if tags.get(HOST) != socket.gethostname() or not tags.get(PID, "").isdigit():
        return False
    try:
        process = psutil.Process(int(tags[PID]))
        is_another = process.create_time() * 1000 > run.info.start_time + _ROUNDING_MS
        return bool(is_another or process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
