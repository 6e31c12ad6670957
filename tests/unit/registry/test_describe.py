"""A registered version's figures go to its own model; descriptions are written, those of people are kept."""

import mlflow
import numpy as np
import pandas as pd
import pytest

from tailor.registry.describe import Measured, describe, logged_model_id
from tests.unit.evaluation.test_headlines import metrics, tables
from tests.unit.evaluation.test_model_card import DATA, GAPS, QUANTILES, REGISTERED

DATASET = {"name": "shop", "digest": "s1"}


class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return model_input


@pytest.fixture
def registered(experiment, request):
    """A version, and another model of the same run that has nothing to do with it."""
    name = request.node.name
    with mlflow.start_run(experiment_id=experiment) as run:
        info = mlflow.pyfunc.log_model(name="model", python_model=Nothing(), registered_model_name=name)
        other = mlflow.pyfunc.log_model(name="other", python_model=Nothing())
    ids = {"name": name, "version": str(info.registered_model_version), "run_id": run.info.run_id}
    return REGISTERED | ids | {"model_id": info.model_id, "other": other.model_id}


def measured():
    comparisons, summary = tables()
    comparisons = comparisons.assign(verdict="better")
    history = pd.DataFrame({"epoch": [0, 1, 2], "loss": [np.nan, 3.0, 2.0], "cold_ndcg": [0.1, 0.3, 0.2]})
    return Measured(metrics().assign(model="hybrid_lora"), comparisons, summary, history, DATA, 20, GAPS, QUANTILES)


def test_headlines_go_to_the_registered_model_with_the_dataset(registered):
    describe(registered, DATASET, measured())
    client = mlflow.MlflowClient()
    assert logged_model_id(registered["name"], registered["version"]) == registered["model_id"]
    of_model = {one.key: one for one in client.get_logged_model(registered["model_id"]).metrics}
    names = {
        "warm.ndcg_at_20",
        "warm.tail.ndcg_at_20",
        "mixed.novelty_at_20",
        "ratio.warm",
        "ratio.cold.high",
        "group_gap.town.tail",
    }
    assert names <= set(of_model)
    assert of_model["ratio.warm"].value == pytest.approx(1.5)
    assert {(one.dataset_name, one.dataset_digest) for one in of_model.values()} == {("shop", "s1")}
    assert not client.get_logged_model(registered["other"]).metrics
    assert not any(name.startswith("lm.") for name in of_model)
    assert client.get_run(registered["run_id"]).data.metrics["warm.ndcg_at_20"] == 0.4


def test_epochs_are_steps(registered):
    describe(registered, DATASET, measured())
    client = mlflow.MlflowClient()
    steps = {
        name: {one.step: one.value for one in client.get_metric_history(registered["run_id"], name)}
        for name in ("lm.loss", "lm.cold_ndcg")
    }
    assert steps == {"lm.loss": {1: 3.0, 2: 2.0}, "lm.cold_ndcg": {0: 0.1, 1: 0.3, 2: 0.2}}


def test_everything_is_described_once(registered, experiment):
    client = mlflow.MlflowClient()
    card = describe(registered, DATASET, measured())
    assert client.get_model_version(registered["name"], registered["version"]).description == card
    assert "the alias" in client.get_registered_model(registered["name"]).description.lower()
    note = client.get_run(registered["run_id"]).data.tags["mlflow.note.content"]
    assert note.splitlines()[:2] == [
        f"Registered **{registered['name']}** version 1 (hybrid_lora).",
        "* warm NDCG 0.6000, popular 0.4000: better",
    ]
    assert client.get_experiment(experiment).tags["mlflow.note.content"].startswith("Runs of Tailor")
    client.update_registered_model(registered["name"], description="ours")
    client.set_experiment_tag(experiment, "mlflow.note.content", "ours too")
    describe(registered, DATASET, measured())
    assert client.get_registered_model(registered["name"]).description == "ours"
    assert client.get_experiment(experiment).tags["mlflow.note.content"] == "ours too"


def test_without_a_run_only_the_registry_is_written(registered):
    card = describe(registered | {"run_id": None}, DATASET, measured())
    client = mlflow.MlflowClient()
    assert client.get_model_version(registered["name"], registered["version"]).description == card
    assert client.get_run(registered["run_id"]).data.metrics == {}
