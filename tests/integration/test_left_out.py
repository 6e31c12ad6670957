"""The whole DAG under the published protocol, without held-out items and users and without a tuned encoder."""

import json

import pandas as pd
import pytest

from tests.conftest import FinishedRun, kedro, make_project

pytestmark = pytest.mark.slow

PARAMS = {
    "data_processing.split.strategy": "leave_one_out",
    "data_processing.split.cold_items": 0,
    "data_processing.split.new_users": 0,
    "data_processing.split.pseudo_cold": 0,
    "hybrid_cf.blend.few_shot_share": 0,
    "lm_finetuning.enabled": "false",
    "evaluation.registered": "hybrid_frozen",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("left_out"))
    params = ",".join(f"{name}={value}" for name, value in PARAMS.items())
    done = kedro(project, "run", "--env=test", f"--params={params}")
    return FinishedRun(project, done.stdout + done.stderr)


def table(run, name):
    return pd.read_parquet(run.data / f"08_reporting/{name}.parquet")


def test_each_user_has_one_row_in_validation_and_one_in_test(run):
    rows = pd.read_parquet(run.data / "03_primary/split.parquet")
    counts = pd.crosstab(rows["user_id"], rows["split"])
    assert set(counts) == {"train", "validation", "test"}
    assert (counts[["validation", "test"]] == 1).all(axis=None)


def test_both_published_figures_are_there(run):
    metrics = table(run, "metrics").query("split == 'test' and user_bucket == 'all' and metric == 'recall' and k == 10")
    n_users = metrics.query("model == 'hybrid_frozen' and candidates == 'mixed'").set_index("item_bucket")["n_users"]
    rows = pd.read_parquet(run.data / "03_primary/split.parquet")
    test = rows.loc[rows["split"] == "test", "item_id"]
    train, before = (rows.loc[of, "item_id"] for of in (rows["split"] == "train", rows["split"] != "test"))
    expected = {"all": len(test), "warm": test.isin(train).sum(), "known": test.isin(before).sum()}
    assert n_users[list(expected)].to_dict() == expected
    page = (run.data / "08_reporting/report.html").read_text()
    assert ">with a train row</td>" in page
    assert "<th>recall@10</th><th>recall@20</th><th>NDCG@10</th><th>NDCG@20</th>" in page.replace("\n", "")


def test_there_is_no_tuned_encoder_and_no_list_of_it(run):
    lists = pd.read_parquet(run.data / "07_model_output/recommendations", columns=["model"])
    assert "hybrid_frozen" in set(lists["model"])
    assert "hybrid_lora" not in set(lists["model"])
    assert json.loads((run.data / "06_models/registered_model.json").read_text())["version"]
    assert "Registered tailor-test version 1 as champion" in run.output


def test_what_is_left_out_is_said_and_has_no_weights_of_its_own(run):
    assert "No item is pseudo-cold: choices are made on warm items" in " ".join(run.output.split())
    curves = table(run, "hybrid_frozen_trade_off_curves")
    assert set(curves["boost"]) == {"tail_boost", "popularity_debias"}
    trials = table(run, "baseline_trials")
    assert (trials["criterion"] == trials["warm_ndcg"]).all()


def test_everybody_is_served(run):
    batch = pd.read_parquet(run.data / "07_model_output/batch_recommendations.parquet")
    users = pd.read_parquet(run.data / "03_primary/users.parquet")
    assert set(batch["user_id"]) == set(users["user_id"])


def test_a_hybrid_that_is_left_out_cannot_be_registered(run):
    done = kedro(run.project, "run", "--env=test", "--params=lm_finetuning.enabled=false", check=False)
    said = " ".join((done.stdout + done.stderr).split())
    assert "evaluation.registered is hybrid_lora, but lm_finetuning.enabled is false" in said
    assert "Traceback" not in said
