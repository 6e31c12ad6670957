"""What a run leaves in MLflow beside the model."""

import json

import mlflow
import pandas as pd
import plotly.graph_objects as go

from tailor.registry import track

CHOSEN = {
    "options": {"ials": {"alpha": 0.3}},
    "weights": {"warm": {"ials": 0.5}, "few_shot_3": {"ials": 1.0}},
    "rerank": {"method": "mmr"},
}


def artifacts(run):
    client = mlflow.MlflowClient()

    def walk(path=None):
        for item in client.list_artifacts(run.info.run_id, path):
            yield from walk(item.path) if item.is_dir else [item.path]

    return set(walk())


def test_tables_dataset_and_choice_are_logged_and_no_metric(experiment, commit):
    table = pd.DataFrame({"model": ["a,b", "c"], "value": [0.5, None]})
    split = pd.DataFrame({"user_id": ["u", "v"], "item_id": ["i", "j"], "split": ["train", "test"]})
    with mlflow.start_run(experiment_id=experiment) as run:
        known = track.track({"metrics": table}, split, {"data_hash": "d", "split_hash": "s"}, CHOSEN, "shop")
    assert known == {"run_id": run.info.run_id, "git_commit": commit, "dataset": {"name": "shop", "digest": "s"}}
    logged = mlflow.get_run(run.info.run_id)
    assert logged.data.metrics == {}
    assert logged.data.params == {
        "chosen.options.ials.alpha": "0.3",
        "chosen.weights.warm.ials": "0.5",
        "chosen.rerank.method": "mmr",
    }
    (used,) = logged.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("shop", "s")
    assert json.loads(used.dataset.profile)["num_rows"] == 2
    assert {tag.key: tag.value for tag in used.tags}["data_hash"] == "d"
    assert artifacts(run) == {"tables/metrics.csv", "chosen.json"}
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/tables/metrics.csv")
    assert text.splitlines() == ["model,value", '"a,b",0.5', "c,"]
    assert json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/chosen.json")) == CHOSEN


def test_the_report_is_logged_with_every_figure(experiment):
    figures = {"one": go.Figure(go.Bar(x=[1], y=[2])), "two": go.Figure()}
    with mlflow.start_run(experiment_id=experiment) as run:
        track.log_report("<html>", figures)
    pages = {f"figures/{name}.{kind}" for name in figures for kind in ("html", "json")}
    assert artifacts(run) == pages | {"report.html"}
    drawn = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/figures/one.json"))
    assert drawn["data"][0]["y"] == [2]
