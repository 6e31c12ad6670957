"""An MLflow server that does not answer: what is said, and how long it is waited for."""

import os
import time

import mlflow
import pytest
from mlflow.exceptions import MlflowException

import tailor
from tailor.errors import BadInputError
from tailor.mlflow_server import does_not_answer, first_contact
from tailor.serving.champion import open_champion

NOBODY = "http://127.0.0.1:9"
SENTENCE = f"The MLflow server {NOBODY} does not answer (Connection refused). Start it, or change MLFLOW_TRACKING_URI."


@pytest.fixture
def nobody(monkeypatch):
    """A tracking server that is not there, with the quickest patience that leaves one more try."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)  # which set_registry_uri of another test leaves
    mlflow.set_registry_uri(None)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(NOBODY)
    yield
    mlflow.set_tracking_uri(before)


def test_a_server_that_is_not_there_is_named(nobody):
    with first_contact(), pytest.raises(MlflowException) as refused:
        mlflow.MlflowClient().get_experiment_by_name("shop")
    assert does_not_answer(refused.value) == SENTENCE


def test_nobody_waits_for_minutes_to_serve_or_load(nobody, tmp_path):
    started = time.monotonic()
    with pytest.raises(BadInputError) as refused:
        open_champion("shop", "champion", tmp_path / "items.json")
    assert str(refused.value) == f"models:/shop@champion cannot be served: {SENTENCE}"
    with pytest.raises(BadInputError) as refused:
        tailor.load("models:/shop@champion")
    assert str(refused.value) == f"models:/shop@champion cannot be loaded: {SENTENCE}"
    assert time.monotonic() - started < 60


def test_a_request_that_is_refused_or_takes_too_long_is_said():
    refused = MlflowException(
        "API request to endpoint /api/x failed with error code 403 != 200. Response body: '<html>'"
    )
    assert does_not_answer(refused) == (
        "The MLflow server refuses a request: endpoint /api/x failed with error code 403. Look at its log, or change "
        "MLFLOW_TRACKING_URI."
    )
    slow = MlflowException("API request to https://a.b/api/x failed with exception Read timed out. (read timeout=10)")
    assert does_not_answer(slow).startswith("The MLflow server https://a.b does not answer (timed out).")
    assert does_not_answer(MlflowException("Experiment shop exists")) == ""


def test_the_first_contact_is_short_unless_the_environment_says_how_long(monkeypatch):
    names = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")
    monkeypatch.setenv(names[0], "5")
    monkeypatch.delenv(names[1], raising=False)
    with pytest.raises(ZeroDivisionError), first_contact():
        assert [os.environ[name] for name in names] == ["5", "10"]
        1 / 0  # noqa: B018
    assert os.environ[names[0]] == "5"
    assert names[1] not in os.environ
