"""``make mlflow``: which store and which pages."""

import logging
import socket

import pytest

import tailor.mlflow_page as module
from tailor.errors import BadInputError
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with this one's conf, without a store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    yield tmp_path
    logging.disable(logging.NOTSET)


def test_the_store_and_experiment_of_an_environment(project, monkeypatch):
    (project / "data/test").mkdir(parents=True)
    for file in ("mlflow.db", "data/test/mlflow.db"):
        (project / file).touch()
    assert module.find_store(project, None) == (f"sqlite:///{project}/mlflow.db", "tailor")
    assert module.find_store(project, "test") == (f"sqlite:///{project}/data/test/mlflow.db", "tailor-test")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert module.find_store(project, "test") == ("http://server", "tailor-test")


def test_what_is_not_there_is_said(project):
    with pytest.raises(BadInputError, match="conf/tst: there is no such environment"):
        module.find_store(project, "tst")
    with pytest.raises(BadInputError, match=r"mlflow\.db: there is no MLflow store yet; `make run` makes it"):
        module.find_store(project, None)


def test_the_experiment_and_its_latest_run_are_named(tmp_path):
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri, uri)
    with pytest.raises(BadInputError, match="it has no experiment 'shop' yet"):
        module.addresses(uri, "shop", "http://h:1")
    experiment = client.create_experiment("shop", artifact_location=str(tmp_path / "artifacts"))
    page = f"http://h:1/#/experiments/{experiment}"
    assert module.addresses(uri, "shop", "http://h:1") == [f"Runs: {page}/runs"]
    client.create_run(experiment, start_time=1, run_name="first")
    latest = client.create_run(experiment, start_time=2, run_name="second").info.run_id
    assert module.addresses(uri, "shop", "http://h:1")[1] == f"Latest: {page}/runs/{latest} (second)"


def test_a_port_in_use_is_said_and_no_server_is_started(monkeypatch, capsys):
    monkeypatch.setattr(module, "find_store", lambda project, env: ("sqlite:///x.db", "shop"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert module.main(["--port", str(port)]) == 1
    assert f"Port {port} cannot be used" in capsys.readouterr().err


def test_the_server_listens_on_this_machine_alone(monkeypatch, capsys):
    started = []
    monkeypatch.setattr(module, "find_store", lambda project, env: ("sqlite:///x.db", "shop"))
    monkeypatch.setattr(module, "_check_port", lambda port: None)
    monkeypatch.setattr(module, "addresses", lambda uri, experiment, root: [root])
    monkeypatch.setattr(module.os, "execv", lambda program, words: started.append(words))
    monkeypatch.delenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", raising=False)
    assert module.main(["--port", "5001"]) == 0
    (words,) = started
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--backend-store-uri") + 1] == "sqlite:///x.db"
    assert words[words.index("--port") + 1] == "5001"
    assert capsys.readouterr().out == "http://127.0.0.1:5001\n"


def test_a_server_that_runs_elsewhere_is_only_named(monkeypatch, capsys):
    monkeypatch.setattr(module, "find_store", lambda project, env: ("https://server", "shop"))
    monkeypatch.setattr(module, "addresses", lambda uri, experiment, root: [root])
    monkeypatch.setattr(module, "_serve", lambda uri, port: pytest.fail("started"))
    assert module.main([]) == 0
    assert capsys.readouterr().out == "https://server\n"
