"""What an environment says about its registry, and which environments there are."""

import shutil
import tarfile
from pathlib import Path

import mlflow
import pytest
from kedro.config import OmegaConfigLoader

from tailor.config import parse
from tailor.environment import (
    LOADER_ARGS,
    Environment,
    check_environment,
    environments,
    local_artifacts,
    of_server,
    read_environment,
)
from tailor.errors import BadInputError, ConfigurationError
from tailor.options import ProjectOptions
from tests.conftest import ROOT


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """The project's conf without conf/local, beside an empty data folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))


def loader(conf, env=None):
    return OmegaConfigLoader(conf_source=str(conf), env=env, **LOADER_ARGS)


def test_the_default_and_the_test_environment(conf):
    assert read_environment(None, conf) == Environment("tailor", "champion", Path("data"), "sqlite:///mlflow.db")
    test = Environment("tailor-test", "champion", Path("data/test"), "sqlite:///data/test/mlflow.db")
    assert read_environment("test", conf) == test


def test_the_store_of_the_variable_wins(conf, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry:5000")
    assert read_environment("test", conf).tracking_uri == "http://registry:5000"


def test_local_artifacts_are_no_affair_of_another_store(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert local_artifacts("data/test/mlruns") == "data/test/mlruns"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry:5000")
    assert local_artifacts("data/test/mlruns") is None


def test_all_that_the_test_environment_writes_lies_under_data_test(conf):
    config = loader(conf, "test")
    config.config_patterns["mlflow"] = ["mlflow*"]
    kept = config["mlflow"]["tracking"]["experiment"]["create_experiment_kwargs"]["artifact_location"]
    assert kept == "data/test/mlruns"
    assert config["mlflow"]["server"]["mlflow_tracking_uri"] == "sqlite:///data/test/mlflow.db"
    assert {config["globals"][key].split("/")[1] for key in ("raw", "data")} == {"test"}


def test_environments_of_a_folder_and_of_an_archive(conf, tmp_path):
    known = ["amazon", "anime", "base", "beauty", "decoder", "large", "ml1m", "ml1m-loo", "screen"]
    known += ["spark", "test", "test-domains", "toys"]
    assert environments(loader(conf)) == known
    with tarfile.open(tmp_path / "conf.tar.gz", "w:gz") as archive:
        archive.add(conf, "conf")
    archived = loader(tmp_path / "conf.tar.gz")
    assert environments(archived) == known
    assert read_environment("test", tmp_path / "conf.tar.gz").model == "tailor-test"


def test_an_environment_that_does_not_exist_is_refused(conf):
    with pytest.raises(ConfigurationError, match=r"No environment 'tset': conf/tset does not exist\. Did you mean 'te"):
        read_environment("tset", conf)
    with pytest.raises(ConfigurationError, match="nowhere does not exist: name the configuration with --conf-source"):
        read_environment("test", "nowhere")


def test_without_conf_local_the_base_is_in_force_and_nothing_is_written(conf):
    config = loader(conf)
    check_environment(config, None)
    assert config["globals"]["model_name"] == "tailor"
    assert not (conf / "local").exists()
    (conf / "local").mkdir()
    (conf / "local" / "globals.yml").write_text("model_name: mine\n")
    assert read_environment(None, conf).model == "mine"


def test_a_server_is_told_what_the_environment_implies(conf, monkeypatch):
    uris = []
    monkeypatch.setattr(mlflow, "set_tracking_uri", uris.append)
    with pytest.raises(BadInputError, match=r"data/test/mlflow.db does not exist\. Run `kedro run --env=test` first\."):
        of_server("test", conf, [])
    Path("data/test").mkdir(parents=True)
    Path("data/test/mlflow.db").touch()
    assert of_server("test", conf, ["--port", "80"]) == [
        *("--port", "80"),
        *("--model", "tailor-test", "--alias", "champion", "--items", "data/test/serving/tailor-test.json"),
    ]
    assert uris == ["sqlite:///data/test/mlflow.db"]


def test_a_model_is_served_with_the_state_of_its_environment(conf, monkeypatch):
    """Without --env too: what is put and told there is what pipelines of the environment read."""
    monkeypatch.setattr(mlflow, "set_tracking_uri", lambda uri: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry:5000")
    implied = ["--alias", "champion", "--items", "data/toys/serving/tailor-toys.json"]
    assert of_server(None, conf, ["--model", "tailor-toys"]) == ["--model", "tailor-toys", *implied]
    assert of_server(None, conf, ["--model", "tailor"])[-1] == "data/serving/tailor.json"
    assert of_server(None, conf, ["--model", "else"])[-1] == "data/serving/else.json"


@pytest.mark.parametrize("given", [["--model", "mine"], ["--model=mine"]])
def test_what_is_given_wins(conf, monkeypatch, given):
    monkeypatch.setattr(mlflow, "set_tracking_uri", lambda uri: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry:5000")
    implied = ["--alias", "champion", "--items", "data/test/serving/mine.json"]
    assert of_server("test", conf, given) == [*given, *implied]
    assert of_server("test", conf, [*given, "--alias=next", "--items", "x"]) == [*given, "--alias=next", "--items", "x"]


@pytest.mark.parametrize(
    "env", sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "local")
)
def test_the_parameters_of_every_environment_are_accepted(env):
    config = loader(ROOT / "conf", env)
    assert parse(ProjectOptions, config["parameters"], "")
