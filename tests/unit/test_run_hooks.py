"""What happens to MLflow around a run, with kedro-mlflow's part played by the test."""

from types import SimpleNamespace

import mlflow
import pytest

from tailor import run_hooks
from tailor.run_hooks import RunHooks


@pytest.fixture
def calls(monkeypatch):
    """What the hooks asked for, in order."""
    made = []
    experiment = SimpleNamespace(experiment_id="7")
    monkeypatch.setattr(mlflow, "get_experiment_by_name", lambda name: experiment if name == "shop" else None)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "sqlite:///x.db")
    monkeypatch.setattr(run_hooks.store, "check_artifacts", lambda e, uri, project: made.append((uri, project)) or "")
    monkeypatch.setattr(run_hooks.runs, "close_left_open", made.append)
    monkeypatch.setattr(run_hooks.runs, "mark_run", lambda: made.append("marked"))
    monkeypatch.setattr(run_hooks.runs, "run_name", lambda name, seed, pipelines: f"{name} {seed} {pipelines}")
    return made


def config(name=None, experiment="shop"):
    tracking = SimpleNamespace(run=SimpleNamespace(name=name), experiment=SimpleNamespace(name=experiment))
    return SimpleNamespace(tracking=tracking)


def hooks_after(mlflow_config, tmp_path):
    """The hooks, once a context was made."""
    loader = type("Loader", (dict,), {"config_patterns": {}})({"mlflow": {}})
    params = {"model_name": "shop", "seed": 3}
    context = SimpleNamespace(config_loader=loader, project_path=str(tmp_path), params=params)
    made = RunHooks()
    step = made.after_context_created(context)
    next(step)
    if mlflow_config:
        context.mlflow = mlflow_config
    with pytest.raises(StopIteration):
        step.send("result")
    return made


def run(hooks, started, **run_params):
    step = hooks.before_pipeline_run(run_params)
    next(step)
    started.append("started")
    with pytest.raises(StopIteration):
        step.send(None)


def test_old_runs_are_closed_before_and_the_new_one_is_marked_after_it_started(calls, tmp_path):
    mlflow_config = config()
    run(hooks_after(mlflow_config, tmp_path), calls, pipeline_names=["update"])
    assert calls == [("sqlite:///x.db", tmp_path), "7", "started", "marked"]
    assert mlflow_config.tracking.run.name == "shop 3 ['update']"


def test_a_name_of_mlflow_yml_stays(calls, tmp_path):
    mlflow_config = config(name="mine")
    run(hooks_after(mlflow_config, tmp_path), calls)
    assert mlflow_config.tracking.run.name == "mine"


def test_without_kedro_mlflow_or_an_experiment_nothing_is_asked(calls, tmp_path):
    run(hooks_after(None, tmp_path), calls)
    run(hooks_after(config(experiment="none"), tmp_path), calls)
    assert calls == ["started", "marked"] * 2


def test_all_parameters_are_not_logged_once_more():
    inputs = {"parameters": {"seed": 1, "plugins": ["my.module"]}, "params:evaluation": {"k": [20]}}
    RunHooks().before_node_run(inputs)
    assert inputs == {"params:evaluation": {"k": [20]}, "params:plugins": ["my.module"]}
    inputs = {"parameters": {"seed": 1, "plugins": []}}
    RunHooks().before_node_run(inputs)
    assert inputs == {}
