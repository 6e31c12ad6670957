"""What still holds people who were forgotten: looked for in files and the registry, listed without ids, deleted."""

import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from tailor.data.people import SuppressionList
from tailor.registry import holders
from tailor.registry.holders import IDS, LEARNT, ROWS, Folders, find_holders, tell

GONE = SuppressionList.of(["person-7"], b"k" * 32)


@pytest.fixture
def registry(experiment):
    """A model with a champion, version 2, that is free of the person; version 1 is not."""
    client, name = mlflow.MlflowClient(), f"shop-{experiment}"
    client.create_registered_model(name)
    return name


def version_of(name, experiment, folder, users):
    """Log a package that holds nothing but ids, and register it."""
    (folder / "recommender").mkdir(parents=True)
    np.savez(folder / "recommender/ids.npz", users=np.array(users), items=np.array(["a"]))

    class Model(mlflow.pyfunc.PythonModel):
        def predict(self, model_input: list[str]) -> list[str]:
            return model_input

    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.pyfunc.log_model(
            name="model",
            python_model=Model(),
            artifacts={"recommender": str(folder / "recommender")},
            registered_model_name=name,
            pip_requirements=["mlflow"],
        )
        mlflow.log_artifacts(str(folder / "recommender"), "evaluated")
        mlflow.log_text("three users", "report.html")
        return run.info.run_id


@pytest.fixture
def folders(tmp_path):
    data = tmp_path / "data"
    for layer in ("02_intermediate", "03_primary", "04_feature", "06_models", "07_model_output", "08_reporting"):
        (data / layer).mkdir(parents=True)
    people = pd.DataFrame({"user_id": ["u1", "person-7"]})
    people.to_parquet(data / "02_intermediate/interactions.parquet")
    people.to_parquet(data / "03_primary/users.parquet")
    people[:1].to_parquet(data / "07_model_output/new_user_recommendations.parquet")
    pd.DataFrame({"item_id": ["a"]}).to_parquet(data / "04_feature/item_text.parquet")
    pd.DataFrame({"value": [0.1]}).to_parquet(data / "08_reporting/metrics.parquet")
    names = ["04_feature/train_matrix.npz", "06_models/model.safetensors", "06_models/choice.json"]
    for name in [*names, "06_models/checkpoints/fit.npz", "06_models/optuna.db", "08_reporting/report.html"]:
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_bytes(b"x")
    raw = tmp_path / "raw"
    raw.mkdir()
    return Folders(data, raw, data / "06_models/checkpoints", f"sqlite:///{data}/06_models/optuna.db")


def of_files(listed, folders):
    return {str(Path(one.path).relative_to(folders.data)): one.holds for one in listed if one.what == "file"}


def test_files_are_told_by_what_they_hold(registry, folders):
    listed = find_holders(registry, GONE, folders)
    assert of_files(listed, folders) == {
        "02_intermediate/interactions.parquet": IDS,
        "03_primary/users.parquet": IDS,
        "04_feature/train_matrix.npz": ROWS,
        "06_models/model.safetensors": LEARNT,
        "08_reporting/report.html": ROWS,
    }
    rest = [(one.what, one.holds, one.delete is None) for one in listed if one.what != "file"]
    assert rest == [("checkpoints", LEARNT, False), ("Optuna's store", LEARNT, False), ("raw tables", IDS, True)]
    assert find_holders(registry, SuppressionList(), folders) == []


def test_texts_of_items_count_where_they_may_quote_users(registry, folders):
    rows = folders.data / "02_intermediate/interactions.parquet"
    pd.read_parquet(rows).assign(text="well").to_parquet(rows)
    assert of_files(find_holders(registry, GONE, folders), folders)["04_feature/item_text.parquet"] == ROWS


def test_files_that_know_nobody_of_the_list_stay(registry, folders):
    other = SuppressionList.of(["somebody else"], b"k" * 32)
    assert [one.what for one in find_holders(registry, other, folders)] == ["raw tables"]


def test_files_of_an_earlier_table_of_users_are_listed_whatever_that_held(registry, folders):
    """The tables were made anew without the person, the matrices not yet."""
    users = folders.data / "03_primary/users.parquet"
    for path in (users, folders.data / "02_intermediate/interactions.parquet"):
        pd.DataFrame({"user_id": ["u1"]}).to_parquet(path)
    later = folders.data / "04_feature/test_matrix.npz"
    later.write_bytes(b"x")
    os.utime(later, ns=(users.stat().st_mtime_ns + 1,) * 2)
    files = of_files(find_holders(registry, GONE, folders), folders)
    assert files["04_feature/train_matrix.npz"] == ROWS
    assert "04_feature/test_matrix.npz" not in files
    assert "03_primary/users.parquet" not in files
    users.unlink()
    assert of_files(find_holders(registry, GONE, folders), folders)["04_feature/test_matrix.npz"] == ROWS


def test_the_list_names_nobody_and_only_deletes_on_request(registry, folders):
    table = tell(find_holders(registry, GONE, folders), delete=False)
    assert not table["deleted"].any()
    assert "person-7" not in table.to_csv()
    assert (folders.data / "03_primary/users.parquet").is_file()
    table = tell(find_holders(registry, GONE, folders), delete=True)
    assert table.loc[~table["deleted"], "what"].tolist() == ["raw tables"]
    assert folders.raw.is_dir()
    left = sorted(str(path.relative_to(folders.data)) for path in folders.data.rglob("*") if path.is_file())
    assert left == [
        "04_feature/item_text.parquet",
        "06_models/choice.json",
        "07_model_output/new_user_recommendations.parquet",
        "08_reporting/metrics.parquet",
    ]


@pytest.mark.parametrize("n_deleted", [1, 3, 5])
def test_a_run_that_was_killed_is_taken_up_where_it_stopped(registry, folders, n_deleted):
    listed = find_holders(registry, GONE, folders)
    everything = of_files(listed, folders)
    for one in listed[:n_deleted]:
        one.delete()
    left = of_files(find_holders(registry, GONE, folders), folders)
    first = {str(Path(one.path).relative_to(folders.data)) for one in listed[:n_deleted]}
    assert left == {name: holds for name, holds in everything.items() if name not in first}


def test_versions_and_artifacts_that_name_somebody_are_found_and_deleted(registry, experiment, tmp_path, folders):
    client = mlflow.MlflowClient()
    first = version_of(registry, experiment, tmp_path / "one", ["u1", "person-7"])
    second = version_of(registry, experiment, tmp_path / "two", ["u1"])
    client.set_registered_model_alias(registry, "champion", "2")
    client.set_registered_model_alias(registry, "challenger", "1")
    nothing = Folders(tmp_path / "none", tmp_path / "none", None, "")
    with mlflow.start_run(experiment_id=experiment):
        listed = find_holders(registry, GONE, nothing)
        assert [(one.what, one.holds) for one in listed[:3]] == [
            ("version 1", IDS),
            ("artifact of a run", ROWS),
            ("artifact of a run", IDS),
        ]
        assert Path(listed[0].path.removeprefix("file://")).is_dir()
        assert "delete_model_version" in listed[0].remedy
        assert tell(listed[:3], delete=True)["deleted"].all()
        assert find_holders(registry, GONE, nothing) == []
    assert [str(one.version) for one in client.search_model_versions(f"name = '{registry}'")] == ["2"]
    assert [file.path for file in client.list_artifacts(first)] == []
    assert {file.path for file in client.list_artifacts(second)} == {"evaluated", "report.html"}


def test_a_package_that_cannot_be_read_is_listed_and_said(registry, experiment, tmp_path, caplog):
    version_of(registry, experiment, tmp_path / "one", ["u1"])
    version_of(registry, experiment, tmp_path / "two", ["u1"])
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(registry, "champion", "2")
    for number in ("1", "2"):  # the champion is none of what may be deleted, whatever is wrong with it
        location = client.get_model_version_download_uri(registry, number).removeprefix("file://")
        next(Path(location).rglob("ids.npz")).write_text("damaged")
    (holder,) = list(holders._versions(registry, GONE))
    assert holder.what == "version 1"
    assert "it is listed, and not deleted" in caplog.text
    assert not tell([holder], delete=True)["deleted"].any()
    assert holder.remedy.startswith("look into it, and if it holds them: mlflow.MlflowClient().delete_model_version")
    assert len(client.search_model_versions(f"name = '{registry}'")) == 2


def test_what_only_an_unread_package_speaks_for_is_listed_and_stays(registry, folders, monkeypatch):
    for path in folders.data.rglob("*.parquet"):
        if "user_id" in pd.read_parquet(path):
            pd.DataFrame({"user_id": ["u1"]}).to_parquet(path)
    (folders.data / "03_primary/users.parquet").touch()
    os.utime(folders.data / "03_primary/users.parquet", ns=(0, 0))  # all other files are later
    unread = holders.Holder("version 1", "there", IDS, "delete it", lambda: None).unread
    monkeypatch.setattr(holders, "_versions", lambda *_: [unread])
    table = tell(find_holders(registry, GONE, folders), delete=True)
    assert table["what"].tolist() == ["version 1", "checkpoints", "Optuna's store", "raw tables"]
    assert not table["deleted"].any()
    assert (folders.data / "06_models/optuna.db").is_file()
