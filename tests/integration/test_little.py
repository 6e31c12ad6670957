"""The whole DAG where the split leaves nothing to find: no cold items, no new users, and no order of histories."""

import json

import pandas as pd
import pytest

from tests.conftest import FinishedRun, kedro, make_project

pytestmark = pytest.mark.slow

PARAMS = {
    "data_processing.split.cold_items": 0,
    "data_processing.split.new_users": 0,
    "data_processing.split.strategy": "random",
    "lm_finetuning.epochs": 1,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("little"))
    params = ",".join(f"{name}={value}" for name, value in PARAMS.items())
    done = kedro(project, "run", "--env=test", f"--params={params}")
    return FinishedRun(project, done.stdout + done.stderr)


def table(run, name):
    return pd.read_parquet(run.data / f"08_reporting/{name}.parquet")


def test_what_is_not_there_is_not_measured(run):
    split = pd.read_parquet(run.data / "03_primary/split.parquet")
    assert set(split["split"]) == {"train", "validation", "test"}
    summary = table(run, "summary").set_index("model")
    missing = {"cold NDCG", "mixed-cold NDCG", "new user, 3 items"}
    assert set(summary.columns[summary.isna().all()]) == missing
    assert summary.drop(columns=list(missing)).notna().all(axis=None)
    assert summary.loc["hybrid_lora", "warm NDCG"] > 1.5 * summary.loc["popular", "warm NDCG"]


def test_models_are_compared_by_what_is_left(run):
    compared = table(run, "comparisons")
    assert set(compared["headline"]) == {"warm", "tail", "mixed"}
    assert compared["n_users"].min() > 0


def test_people_read_a_dash(run):
    page = (run.data / "08_reporting/report.html").read_text().split("<body>")[1]
    assert (
        "Not measured, since the split leaves nothing to find: cold NDCG; mixed-cold NDCG; new user, 3 items." in page
    )
    assert "<td>–</td>" in page
    line = next(line for line in run.output.splitlines() if "▸ hybrid_lora" in line)
    assert line.count("–") == 3
    assert "nan" not in line


def test_what_reads_an_order_is_left_out_and_said_once(run):
    assert (
        " ".join(run.output.split()).count("The catalogue has no times, or data_processing.split.strategy is random")
        == 1
    )
    for name in ("metrics", "summary", "baseline_trials", "comparisons"):
        rows = table(run, name)
        assert "slit" not in set(rows["model"]) | set(rows.get("against", [])), name
    assert "slit" not in json.loads((run.data / "06_models/baseline_choice.json").read_text())


def test_everybody_is_served(run):
    batch = pd.read_parquet(run.data / "07_model_output/batch_recommendations.parquet")
    users = pd.read_parquet(run.data / "03_primary/users.parquet")
    assert set(batch["user_id"]) == set(users["user_id"])
