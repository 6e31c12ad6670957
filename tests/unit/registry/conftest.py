"""A store of MLflow for the tests of this package."""

import mlflow
import pytest

from tailor.registry import versions


@pytest.fixture(scope="package")
def store_uri(tmp_path_factory):
    """The address of a fresh SQLite store; its experiments name their own artifact locations."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    yield uri
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(None)


@pytest.fixture
def experiment(store_uri, tmp_path, request):
    """The id of an experiment of the test's own."""
    mlflow.set_tracking_uri(store_uri)
    mlflow.set_registry_uri(store_uri)
    return mlflow.create_experiment(request.node.nodeid, artifact_location=str(tmp_path / "artifacts"))


@pytest.fixture
def commit(monkeypatch):
    """The commit that every module finds."""
    from tailor.registry import runs, track

    for module in (versions, runs, track):
        monkeypatch.setattr(module, "git_commit", lambda: "0123456789abcdef")
    return "0123456789abcdef"
