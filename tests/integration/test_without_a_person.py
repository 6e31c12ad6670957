"""A person asks to be forgotten: out of the champion, out of what a later run reads, and listed where they still are.

Last in the folder: it takes the person out of the run that all tests here look at.
"""

import json

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from tailor.data.people import NOBODY, SUPPRESSED, SUPPRESSION_KEY
from tailor.datasets import PlantedDataset
from tailor.errors import ConfigurationError
from tailor.pipelines.data_processing import nodes
from tests.conftest import run_here

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(SUPPRESSION_KEY, "k" * 32)
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)


@pytest.fixture(scope="module")
def raw(finished):
    entries = yaml.safe_load((finished.project / "conf/test/catalog.yml").read_text())
    arguments = {
        name: {k: v for k, v in entry.items() if k not in ("type", "metadata")} for name, entry in entries.items()
    }
    return {name: PlantedDataset(**arguments[name]).load() for name in ("raw_interactions", "raw_items", "raw_users")}


@pytest.fixture(scope="module")
def person(raw):
    """The one who took most, and wrote about themselves."""
    return str(raw["raw_interactions"]["user_id"].value_counts().index[0])


def champion_of(finished):
    mlflow.set_tracking_uri(finished.tracking_uri)
    version = mlflow.MlflowClient().get_model_version_by_alias("tailor-test", "champion")
    return version, mlflow.pyfunc.load_model(f"models:/tailor-test/{version.version}")


def paths(model, *user_ids):
    return model.predict(pd.DataFrame({"user_id": list(user_ids)}))["path"].tolist()


def test_the_champion_holds_the_person_no_more(finished, person, monkeypatch):
    before, model = champion_of(finished)
    other = "u1" if person != "u1" else "u2"
    lists = model.predict(pd.DataFrame({"user_id": [other]}))["item_ids"].tolist()
    assert paths(model, person) == ["known_user"]
    file = finished.project / "ids.txt"
    file.write_text(f"{person}\nnever known\n")
    run_here(finished.project, monkeypatch, params={"forget": {"file": str(file)}}, pipeline_names=["forget"])
    after, model = champion_of(finished)
    assert int(after.version) > int(before.version)
    assert "without people who were forgotten" in after.tags["reasons"]
    assert "fitted with the rows of these people" in after.description
    assert "known_user" not in paths(model, person)
    assert paths(model, other) == ["known_user"]
    assert model.predict(pd.DataFrame({"user_id": [other]}))["item_ids"].tolist() == lists
    made = json.loads((finished.data / "06_models/registered_forgotten.json").read_text())
    assert (made["users"], made["new"], made["version"]) == (1, True, str(after.version))
    with pytest.raises(ConfigurationError, match="replaced no other: nothing to roll back to"):
        run_here(finished.project, monkeypatch, pipeline_names=["rollback"])


def test_what_still_holds_the_person_is_listed_without_the_id(finished, person):
    listed = pd.read_parquet(finished.data / "08_reporting/forgotten.parquet")
    assert not listed["deleted"].any()
    assert person not in {word for cell in listed.astype(str).to_numpy().ravel() for word in cell.split("/")}
    names = {path.rpartition("/")[2] for path in listed["path"]}
    assert {"interactions.parquet", "users.parquet", "train_matrix.npz", "evaluated", "report.html"} <= names
    assert {"version 1", "file", "artifact of a run"} <= set(listed["what"])
    assert "metrics.parquet" not in names


def test_a_later_run_on_the_same_raw_tables_is_one_on_tables_without_the_person(finished, raw, person, monkeypatch):
    """Every later node reads these tables, parameters and seeds alone: models and lists are those of such a run too."""
    run_here(finished.project, monkeypatch, pipeline_names=["data_processing"])
    quality = pd.read_parquet(finished.data / "08_reporting/data_quality.parquet").set_index(["table", "problem"])
    n_rows = int((raw["raw_interactions"]["user_id"] == person).sum())
    assert quality.loc[("interactions", SUPPRESSED), ["rows", "lines", "examples"]].tolist() == [n_rows, "", ""]
    cut = dict(raw)
    for name in ("raw_interactions", "raw_users"):
        cut[name] = raw[name][raw[name]["user_id"] != person].reset_index(drop=True)
    params = yaml.safe_load((finished.project / "conf/test/parameters.yml").read_text())["data_processing"]
    interactions, items, users, _, _ = nodes.clean(**cut, suppressions=NOBODY, params=params)
    made = nodes.split(interactions, items, users, params, 0)
    expected = dict(zip(("interactions", "split", "items", "users"), made, strict=True))
    for name, cells in expected.items():
        table = pd.read_parquet(finished.data / "03_primary" / f"{name}.parquet")
        pd.testing.assert_frame_equal(table, cells, check_dtype=False)
    assert person not in set(expected["users"]["user_id"])


def known_to_mlflow():
    """Return the ids of the runs and logged models of the store."""
    experiments = [one.experiment_id for one in mlflow.search_experiments()]
    runs = mlflow.search_runs(experiments, output_format="list")
    models = mlflow.search_logged_models(experiments, output_format="list")
    return {run.info.run_id for run in runs} | {model.model_id for model in models}


def test_on_request_what_still_holds_the_person_is_deleted(finished, person, monkeypatch):
    run_here(finished.project, monkeypatch, params={"forget": {"delete": True}}, pipeline_names=["forget"])
    listed = pd.read_parquet(finished.data / "08_reporting/forgotten.parquet")
    assert set(listed.loc[~listed["deleted"], "what"]) <= {"raw tables"}
    version, model = champion_of(finished)
    assert [str(one.version) for one in mlflow.MlflowClient().search_model_versions("name = 'tailor-test'")] == [
        str(version.version)
    ]
    assert "known_user" not in paths(model, person)
    for file in finished.data.rglob("*.parquet"):
        table = pd.read_parquet(file)
        assert person not in set(table.get("user_id", [])), file
    known = known_to_mlflow()
    for file in finished.data.rglob("ids.npz"):
        place = file.parts.index("mlruns") if "mlruns" in file.parts else None
        if place is not None and not known & set(file.parts[place + 1 : place + 3]):
            continue  # logged by a copy of this project, into another store
        with np.load(file, allow_pickle=False) as ids:
            assert person not in set(ids["users"].tolist()), file
