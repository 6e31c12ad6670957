"""The repair of a store whose project was moved: every location, a copy, and nothing by half."""

import sqlite3

import pytest

from tailor.errors import BadInputError
from tailor.registry import relocate as module
from tailor.registry.relocate import main, relocate

TABLES = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["storage_location", "source"],
}


@pytest.fixture
def moved(tmp_path):
    """A store with locations in /old/shop, one beside it, and the folder where the project is now."""
    store, new = tmp_path / "mlflow.db", tmp_path / "new shop"
    new.mkdir()
    with sqlite3.connect(store) as database:
        for table, columns in TABLES.items():
            database.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        database.execute("INSERT INTO experiments VALUES ('/old/shop/mlruns/1'), ('/old/shopping/mlruns/2')")
        database.execute("INSERT INTO runs VALUES ('file:///old/shop/mlruns/1/r/artifacts'), ('s3://old/shop/r')")
        database.execute("INSERT INTO logged_models VALUES ('/old/shop')")
        database.execute("INSERT INTO model_versions VALUES ('/old/shop/m', 'models:/m-1'), (NULL, '/old/shop/v')")
    database.close()
    return store, new


def rows(store, table):
    database = sqlite3.connect(store)
    found = database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
    database.close()
    return found


def copies(store):
    return list(store.parent.glob("mlflow.db.*.bak"))


def test_all_locations_in_the_old_folder_are_in_the_new_one(moved):
    store, new = moved
    before = {table: rows(store, table) for table in TABLES}
    assert sum(relocate(store, "/old/shop/", new).values()) == 5
    assert rows(store, "experiments") == [(f"{new}/mlruns/1",), ("/old/shopping/mlruns/2",)]
    assert rows(store, "runs") == [(f"{new.as_uri()}/mlruns/1/r/artifacts",), ("s3://old/shop/r",)]
    assert rows(store, "logged_models") == [(str(new),)]
    assert rows(store, "model_versions") == [(f"{new}/m", "models:/m-1"), (None, f"{new}/v")]
    (copy,) = copies(store)
    assert {table: rows(copy, table) for table in TABLES} == before


def test_what_cannot_be_repaired_is_left_as_it_was(moved, tmp_path, monkeypatch):
    store, new = moved
    before = store.read_bytes()
    with pytest.raises(BadInputError, match="no location of artifacts is in /elsewhere; experiments have /old/shop/ml"):
        relocate(store, "/elsewhere", new)
    with pytest.raises(BadInputError, match="nowhere: there is no such folder; NEW is the folder"):
        relocate(store, "/old/shop", tmp_path / "nowhere")
    with pytest.raises(BadInputError, match=r"no\.db: there is no such file"):
        relocate(tmp_path / "no.db", "/old/shop", new)
    monkeypatch.setattr(module, "_COLUMNS", (("experiments", "artifact_location"), ("runs", "no_such_column")))
    with pytest.raises(BadInputError, match="no such column"):
        relocate(store, "/old/shop", new)
    assert store.read_bytes() == before
    assert copies(store) == []


def test_what_is_no_store_of_mlflow_is_refused(tmp_path):
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("no database at all, " * 100)
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE things (name)")
    with pytest.raises(BadInputError, match=r"text\.db: this is no SQLite file"):
        relocate(text, "/old", tmp_path)
    with pytest.raises(BadInputError, match=r"other\.db: this is no store of MLflow"):
        relocate(other, "/old", tmp_path)


def test_a_store_in_use_is_not_touched(moved, monkeypatch):
    store, new = moved
    monkeypatch.setattr(module, "_WAIT_S", 0.05)
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BadInputError, match=r"database is locked; stop the runs and servers that use it"):
        relocate(store, "/old/shop", new)
    other.close()


def test_the_command_line_says_what_was_changed(moved, capsys):
    store, new = moved
    assert main(["/old/shop", str(new), "--store", str(store)]) == 0
    assert "experiments.artifact_location: 1 changed" in capsys.readouterr().out
    assert main(["/old/shop", str(new), "--store", str(store)]) == 1
    assert "no location of artifacts is in /old/shop" in capsys.readouterr().err
