"""Names of runs, and which runs are closed."""

import os
import socket
import subprocess
import sys

import mlflow
import pytest

from tailor.registry import runs


def test_a_run_is_named_after_catalogue_seed_and_commit(commit, monkeypatch):
    assert runs.run_name("shop", 3, []) == "shop, seed 3, 0123456"
    assert runs.run_name("shop", 3, ["update", "export"]) == "shop, seed 3, 0123456: update + export"
    monkeypatch.setattr(runs, "git_commit", lambda: "unknown")
    assert runs.run_name("shop", 3, []) == "shop, seed 3"


def test_an_open_run_says_who_works_on_it(experiment, commit):
    with mlflow.start_run(experiment_id=experiment) as run:
        runs.mark_run()
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert (tags["tailor.host"], tags["tailor.pid"]) == (socket.gethostname(), str(os.getpid()))
    assert tags["mlflow.source.git.commit"] == commit
    runs.mark_run()  # no run is open, and none is opened
    assert len(mlflow.search_runs([experiment])) == 1


@pytest.fixture(scope="module")
def gone():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left_open(experiment, **tags):
    return mlflow.MlflowClient().create_run(experiment, tags=tags).info.run_id


def status(run_id):
    return mlflow.get_run(run_id).info.status


def test_only_runs_whose_process_is_gone_are_closed(experiment, gone):
    here = socket.gethostname()
    killed = left_open(experiment, **{"tailor.host": here, "tailor.pid": str(gone)})
    nested = left_open(experiment, **{"mlflow.parentRunId": killed})
    alive = left_open(experiment, **{"tailor.host": here, "tailor.pid": str(os.getpid())})
    nested_alive = left_open(experiment, **{"mlflow.parentRunId": alive})
    elsewhere = left_open(experiment, **{"tailor.host": "another", "tailor.pid": str(gone)})
    unmarked = left_open(experiment)
    assert len(runs.close_left_open(experiment)) == 2
    assert [status(run) for run in (killed, nested)] == ["KILLED"] * 2
    assert [status(run) for run in (alive, nested_alive, elsewhere, unmarked)] == ["RUNNING"] * 4
    assert runs.close_left_open(experiment) == []


def test_another_process_with_the_same_number_is_not_the_runs(experiment):
    started_before_us = mlflow.MlflowClient().create_run(
        experiment, start_time=1000, tags={"tailor.host": socket.gethostname(), "tailor.pid": str(os.getpid())}
    )
    runs.close_left_open(experiment)
    assert status(started_before_us.info.run_id) == "KILLED"


def test_another_experiment_is_left_alone(experiment, gone, tmp_path):
    other = mlflow.create_experiment(f"{tmp_path}", artifact_location=str(tmp_path / "other"))
    run = left_open(other, **{"tailor.host": socket.gethostname(), "tailor.pid": str(gone)})
    assert runs.close_left_open(experiment) == []
    assert status(run) == "RUNNING"
