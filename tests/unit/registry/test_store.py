"""The store: two first uses at once, and artifacts that are no longer where it says."""

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest

from tailor.errors import BadInputError, ConfigurationError
from tailor.registry import store

FIRST_USE = """
import sys, time
from pathlib import Path
import mlflow
import mlflow.store.tracking.sqlalchemy_store
from tailor.registry import store
uri, ready, go = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
ready.touch()
while not go.exists():
    time.sleep(0.005)
with store.one_at_a_time(uri):
    client = mlflow.MlflowClient(uri, uri)
    if client.get_experiment_by_name("shop") is None:
        client.create_experiment("shop")
print("OK", client.get_experiment_by_name("shop").experiment_id)
"""


@pytest.mark.slow
def test_two_first_uses_at_once_lay_out_one_store(tmp_path):
    uri, go = f"sqlite:///{tmp_path / 'data' / 'mlflow.db'}", tmp_path / "go"
    ready = [tmp_path / "1", tmp_path / "2"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_USE, uri, str(one), str(go)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for one in ready
    ]  # fmt: skip
    while not all(one.exists() for one in ready) and all(process.poll() is None for process in processes):
        threading.Event().wait(0.05)
    go.touch()
    for process in processes:
        out, err = process.communicate()
        assert out.strip() == "OK 1", err[-2000:]


def test_who_waits_too_long_is_told_which_store(tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setattr(store, "PATIENCE_S", 0.05)
    held, finish = threading.Event(), threading.Event()

    def hold():
        with store.one_at_a_time(uri):
            held.set()
            finish.wait()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    refused = pytest.raises(BadInputError, match=r"mlflow\.db: another run has been opening this MLflow store")
    with refused, store.one_at_a_time(uri):
        pass
    finish.set()
    other.join()
    with store.one_at_a_time(uri):
        pass


def test_a_server_needs_no_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with store.one_at_a_time("http://127.0.0.1:5000"):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("config", "env", "expected"),
    [
        ({"mlflow": {"server": {"mlflow_tracking_uri": "sqlite:///a.db"}}}, "http://b", "sqlite:///a.db"),
        ({"mlflow": {}}, "http://b", "http://b"),
        ({"mlflow": {}}, None, ""),
    ],
)
def test_the_address_is_the_one_of_mlflow_yml(config, env, expected, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if env:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", env)

    class Loader(dict):
        config_patterns: dict[str, list[str]] = {}

    assert store.tracking_uri(Loader(config)) == expected


URI = "sqlite:///mlflow.db"


@pytest.fixture
def logged(monkeypatch):
    """How many models the store knows of."""
    known: list[str] = []
    client = SimpleNamespace(search_logged_models=lambda ids, max_results: known)
    monkeypatch.setattr(mlflow, "MlflowClient", lambda: client)
    return known


def of(location):
    return SimpleNamespace(name="shop", experiment_id="1", artifact_location=str(location))


def test_artifacts_in_the_project_or_elsewhere_are_no_concern(tmp_path, logged):
    logged.append("m-1")
    project = tmp_path / "project"
    elsewhere = tmp_path / "shared/1"
    elsewhere.mkdir(parents=True)
    assert store.check_artifacts(of(project / "mlruns/1"), URI, project) == ""
    assert store.check_artifacts(of(elsewhere), URI, project) == ""
    assert store.check_artifacts(of("s3://bucket/1"), URI, project) == ""
    assert store.check_artifacts(of(tmp_path / "gone/1"), "http://server", project) == ""


def test_a_moved_project_is_told_the_whole_command(tmp_path, logged):
    project = tmp_path / "new"
    (project / "mlruns/1").mkdir(parents=True)
    old = tmp_path / "old"
    command = f"python -m tailor.registry.relocate {old} {project} --store mlflow.db"
    with pytest.raises(ConfigurationError) as told:
        store.check_artifacts(of(old / "mlruns/1"), URI, project)
    assert f"{old}/mlruns/1: the artifacts of experiment 'shop' are gone" in str(told.value)
    assert command in str(told.value)
    with pytest.raises(ConfigurationError, match=str(old)):
        store.check_artifacts(of((old / "mlruns/1").as_uri()), URI, project)


def test_a_copy_is_told_that_artifacts_go_to_the_original(tmp_path, logged):
    for name in ("original", "copy"):
        (tmp_path / name / "mlruns/1").mkdir(parents=True)
    said = store.check_artifacts(of(tmp_path / "original/mlruns/1"), URI, tmp_path / "copy")
    assert f"writes artifacts of 'shop' to {tmp_path}/original/mlruns/1, outside of this project" in said
    assert f"relocate {tmp_path}/original {tmp_path}/copy --store mlflow.db" in said


def test_a_location_that_is_gone_stops_a_run_only_where_models_were(tmp_path, logged):
    assert store.check_artifacts(of(tmp_path / "gone/1"), URI, tmp_path / "project") == ""
    logged.append("m-1")
    with pytest.raises(ConfigurationError, match="relocate OLD NEW --store"):
        store.check_artifacts(of(tmp_path / "gone/1"), URI, tmp_path / "project")


def test_one_folder_of_the_same_name_is_no_proof(tmp_path):
    (tmp_path / "project/1").mkdir(parents=True)
    assert store.moved_root(Path("/old/mlruns/1"), tmp_path / "project") is None
