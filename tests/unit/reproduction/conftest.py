"""A store of MLflow, a record, and a small run of the fabricated catalogue."""

import mlflow
import pytest
from kedro.config import OmegaConfigLoader

from tailor.environment import LOADER_ARGS
from tailor.pipelines.data_processing import create_pipeline
from tailor.reproduction import rerun
from tailor.reproduction.record import Code, Output, Record
from tests.conftest import ROOT


@pytest.fixture
def record():
    loader = OmegaConfigLoader(conf_source=str(ROOT / "conf"), env="test", **LOADER_ARGS)
    return Record(
        environment="test",
        data="data/test",
        parameters=loader["parameters"],
        raw={"raw_items": "1"},
        fingerprint={"data_hash": "2", "split_hash": "3"},
        code=Code("0.2.0", "1234", False, "", "source", {"numpy": "2.0"}),
        outputs=[Output("data_processing.split", "split", "4")],
    )


@pytest.fixture
def place(tmp_path):
    return rerun.Place(ROOT, str(ROOT / "conf"), "test", tmp_path / "data")


@pytest.fixture
def pipeline():
    """A part of what a version stands on that runs in a second."""
    whole = create_pipeline()
    return whole.to_nodes("data_processing.fingerprint")


@pytest.fixture
def run_id(tmp_path, monkeypatch):
    """The id of a run in a fresh store."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    experiment = mlflow.create_experiment("shop", artifact_location=str(tmp_path / "artifacts"))
    yield mlflow.MlflowClient().create_run(experiment).info.run_id
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(None)
