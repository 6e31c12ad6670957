"""The pipeline `experiment` on events with a planted lift, as a runner runs it, and what it leaves in MLflow."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from tailor.errors import BadInputError
from tailor.evaluation.exposures import COLUMNS
from tailor.pipelines.experiment import create_pipeline

OUTPUTS = ("experiment_metrics", "experiment_progress", "experiment_plot", "experiment_verdict")


def events(n_users=800, lift=0.15):
    """Users enter one after the other; each is shown five items and clicks some of them within the window."""
    rng, rows = np.random.default_rng(0), []
    for n in range(n_users):
        arm, version = ("challenger", "2") if rng.random() < 0.5 else ("champion", "1")
        about = {"user_id": f"u{n}", "request_id": f"r{n}", "occurred_at": float(n), "received_at": float(n)}
        for rank in range(1, 6):
            item = about | {"item_id": f"i{rank}"}
            rows.append(item | {"kind": "exposure", "rank": rank, "variant": arm, "version": version})
            if rng.random() < 0.2 + lift * (arm == "challenger"):
                rows.append(item | {"kind": "click", "occurred_at": n + 1.0, "received_at": n + 1.0})
    rows.append({"kind": "view", "user_id": "end", "occurred_at": 1e7, "received_at": 1e7})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def run(table, **params):
    inputs = {"events": table, "params:experiment": {"planned_users": 800, **params}}
    datasets = {name: MemoryDataset(value) for name, value in inputs.items()}
    catalog = DataCatalog(datasets | {name: MemoryDataset() for name in OUTPUTS})
    SequentialRunner().run(create_pipeline(), catalog)
    return {name: catalog.load(name) for name in OUTPUTS}


@pytest.fixture
def store(tmp_path):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield
    mlflow.set_tracking_uri(before)


def test_a_planted_lift_is_told_and_logged(store, tmp_path):
    experiment = mlflow.create_experiment("x", artifact_location=str(tmp_path / "artifacts"))
    with mlflow.start_run(experiment_id=experiment) as opened:
        made = run(events())
    assert made["experiment_verdict"]["verdict"] == "better"
    assert made["experiment_verdict"]["sentence"].startswith("The challenger is better in click_per_exposure: +0.1")
    row = made["experiment_metrics"].iloc[0]
    assert row["sequence_low"] < 0.15 < row["sequence_high"]
    assert made["experiment_progress"]["users"].iloc[-1] == row["control_users"] + row["treatment_users"] == 797
    logged = mlflow.MlflowClient().get_run(opened.info.run_id).data
    assert logged.metrics["experiment.click_per_exposure.difference"] == pytest.approx(row["difference"])
    assert logged.tags["verdict"] == made["experiment_verdict"]["sentence"]
    names = {file.path for file in mlflow.MlflowClient().list_artifacts(opened.info.run_id, "figures")}
    assert names == {"figures/experiment.html"}


def test_windows_that_have_not_ended_are_waited_for():
    with pytest.raises(BadInputError, match="wait for 30 in each arm"):
        run(events(), window_days=1000)
