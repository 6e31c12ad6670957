"""What a user gets to read when something is wrong, through the CLI."""

import gzip
import os
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from kedro.io import DatasetError

from tailor.errors import TailorError
from tests.conftest import BIN, PATIENCE_S, environment, kedro, make_project, run_here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("bad"))


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"env": "nope"}, "No environment 'nope': conf/nope does not exist."),
        ({"env": "tset"}, "Did you mean 'test'?"),
        (
            {"params": {"lm_finetuning": {"epcohs": 5}}},
            "Parameter 'lm_finetuning.epcohs' does not exist. Did you mean 'epochs'?",
        ),
        ({"params": {"lm_finetunning": {"epochs": 5}}}, "Parameter 'lm_finetunning' does not exist."),
        ({"params": {"lm_finetuning": {"epochs": "none"}}}, "Parameter 'lm_finetuning.epochs' = 'none'"),
        ({"pipeline_names": ["lm_finetunning"]}, "No pipeline 'lm_finetunning'. Did you mean 'lm_finetuning'?"),
        (
            {"pipeline_names": ["hybrid_cf"]},
            "Inputs that do not exist: item_embeddings_frozen (data/test/04_feature/item_embeddings_frozen",
        ),
        ({"env": "anime"}, "raw_interactions (data/01_raw/anime/interactions.csv.gz)"),
    ],
)
def test_misspelt_or_missing(project, monkeypatch, run, words):
    with pytest.raises(TailorError, match=re.escape(words)):
        run_here(project, monkeypatch, **run)
    assert not (project / "mlruns").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--env=nope"], "No environment 'nope': conf/nope does not exist."),
        (["--env=test", "--pipelines=evalution"], "No pipeline 'evalution'. Did you mean 'evaluation'?"),
        (["--env=test", "--params=lm_finetuning.epcohs=5"], "Parameter 'lm_finetuning.epcohs' does not exist."),
        (["--env=test", "--from-nodes=nope"], "Pipeline does not contain nodes named ['nope']."),
        (["--env=anime"], "raw_interactions (data/01_raw/anime/interactions.csv.gz)"),
        (["--env=test", "--pipelines=offpolicy"], "docs/pipelines/offpolicy.md says what belongs into that file."),
        (["--env=test", "--pipelines=update"], "Run `kedro run` first: it registers a model."),
        (["--env=test", "--runner=ParallelRunner"], "ParallelRunner cannot run Tailor:"),
    ],
)
def test_the_command_line_says_it_in_one_line(project, args, words):
    done = kedro(project, "run", *args, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stdout and words not in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["viz", "run", "--no-browser", "--env=nope"], "No environment 'nope': conf/nope does not exist."),
        (["viz", "--params=lm_finetuning.epcohs=5"], "Parameter 'lm_finetuning.epcohs' does not exist."),
        (["ipython", "--env=nope"], "No environment 'nope': conf/nope does not exist."),
        (["catalog", "describe-datasets", "--env=nope"], "No environment 'nope': conf/nope does not exist."),
        (["registry", "describe", "evalution"], "No pipeline 'evalution'. Did you mean 'evaluation'?"),
    ],
)
def test_so_do_the_other_commands_of_kedro(project, args, words):
    done = kedro(project, *args, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    shown = kedro(project, *args, check=False, TAILOR_VERBOSE="1")
    assert "Traceback (most recent call last)" in shown.stderr


def test_an_mlflow_server_that_is_not_there_is_one_line_within_seconds(project):
    started = time.monotonic()
    done = kedro(project, "run", "--env=test", check=False, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr == (
        "The MLflow server http://127.0.0.1:9 does not answer (Connection refused). Start it, or change "
        "MLFLOW_TRACKING_URI.\n"
    )
    assert time.monotonic() - started < 120


def tailor(project, *args, **env):
    command = [sys.executable, "-m", "tailor", *args]
    env = environment() | {"COLUMNS": "300", "PYTHONPATH": str(project / "src")} | env
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "--env=nope"], "No environment 'nope': conf/nope does not exist."),
        (["serve", "--env=nope"], "No environment 'nope': conf/nope does not exist."),
        (["serve", "--env=ml1m", "--model=x"], "models:/x@champion cannot be served"),
        (["new", "test"], "test"),
    ],
)
def test_so_does_tailor(project, args, words):
    (project / "mlflow.db").touch()
    done = tailor(project, *args)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_broken_file_is_one_line_too_and_a_traceback_on_request(project):
    write_catalogue(project, "user,item_id\n1,1\n", ITEMS)
    run = ("run", "--env=anime", "--pipelines=data_processing")
    done = kedro(project, *run, check=False)
    assert done.returncode == 1
    assert "raw_interactions has no column 'user_id'" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "failed with error" not in done.stdout
    for shown in (kedro(project, *run, "--verbose", check=False), tailor(project, *run, TAILOR_VERBOSE="1")):
        assert shown.returncode == 1
        assert "Traceback (most recent call last)" in shown.stderr


def write_catalogue(project, interactions, items):
    folder = project / "data/01_raw/anime"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("interactions", interactions), ("items", items)):
        with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
            file.write(text)


ITEMS = "item_id,title,genres,type,episodes\n1,A,Drama,TV,12\n2,B,,Movie,Unknown\n"


@pytest.mark.parametrize(
    ("interactions", "items", "words"),
    [
        ("user,item_id\n1,1\n", ITEMS, "raw_interactions has no column 'user_id'"),
        ("user_id,item_id\n", ITEMS, "raw_interactions has no rows"),
        ("", ITEMS, "interactions.csv.gz"),
        ("user_id,item_id\n1,1\n", "item_id,titel\n1,A\n", "raw_items has no column 'title'"),
        (
            "user_id,item_id\n1,77\n1,78\n1,\n",
            ITEMS,
            "No item_id of raw_interactions (77, 78) is in the items table (1, 2)",
        ),
    ],
)
def test_bad_files(project, monkeypatch, interactions, items, words):
    write_catalogue(project, interactions, items)
    with pytest.raises((TailorError, DatasetError), match=re.escape(words)):
        run_here(project, monkeypatch, env="anime", pipeline_names=["data_processing"])
    assert not list((project / "data").glob("anime/**/*.parquet"))


def test_too_little_is_refused_before_anything_is_fitted(project, monkeypatch):
    write_catalogue(project, "user_id,item_id\n1,1\n1,2\n2,1\n", ITEMS)
    words = r"Too little data: no row falls into .* users, 1 have 1, 1 have 2, 0 have 3–4, 0 have 5 or more\."
    with pytest.raises(TailorError, match=words):
        run_here(project, monkeypatch, env="anime")
    assert not (project / "data/anime/03_primary").exists()


def test_a_csv_catalogue_needs_no_code(project, monkeypatch):
    items = ITEMS + "".join(f"{n},Title {n},Drama,TV,{n}\n" for n in range(10, 40))
    rows = [(user, 10 + (7 * user + 3 * row) % 30) for user in range(20) for row in range(10)]
    written = "".join(f"{user},{item}\n" for user, item in rows)
    write_catalogue(project, f"user_id,item_id\n{written}2,\n2,9\n", items)
    run_here(
        project,
        monkeypatch,
        env="anime",
        to_nodes=["feature_engineering.write_item_texts", "data_processing.summarise_data"],
    )
    texts = pd.read_parquet(project / "data/anime/04_feature/item_text.parquet")["text"].tolist()
    assert texts[:3] == ["A. Drama. TV. 12 episodes", "B. Movie", "Title 10. Drama. TV. 10 episodes"]
    dropped = pd.read_parquet(project / "data/anime/08_reporting/data_quality.parquet")
    dropped = dropped[dropped["action"] == "dropped"]
    assert dropped["problem"].tolist() == ["missing item_id", "item_id not in the items table"]


def test_no_index_is_explained(project, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(
        DatasetError, match=r"(?s)recbole==1.2.1 could not be fetched from the package index.*PIP_INDEX_URL"
    ):
        run_here(project, monkeypatch, env="base", pipeline_names=["data_processing"])


def test_an_interrupted_run_is_completed_by_a_rerun(tmp_path, monkeypatch):
    """Kill a run in the middle of the work, then ask for what is missing."""
    project = make_project(tmp_path / "p")
    process = subprocess.Popen(
        [str(BIN / "kedro"), "run", "--env=test"], cwd=project, env=environment(), start_new_session=True
    )
    deadline = time.monotonic() + PATIENCE_S
    while not (project / "data/test/04_feature/teacher_factors.safetensors").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=PATIENCE_S)
    run_here(project, monkeypatch, only_missing_outputs=True)
    assert (project / "data/test/07_model_output/batch_recommendations.parquet").exists()


def test_a_clean_clone_without_conf_local_runs(tmp_path, monkeypatch):
    project = make_project(tmp_path / "p")
    assert not (project / "conf/local").exists()
    run_here(project, monkeypatch, pipeline_names=["data_processing"])


def test_tracking_uri_of_the_environment_wins(tmp_path):
    project, store = make_project(tmp_path / "p"), f"sqlite:///{tmp_path}/other.db"
    kedro(project, "run", "--env=test", "--pipeline=data_processing", MLFLOW_TRACKING_URI=store)
    assert (tmp_path / "other.db").exists()
    assert not (project / "data/test/mlflow.db").exists()
