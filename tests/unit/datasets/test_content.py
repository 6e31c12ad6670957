"""Hashes of what datasets hold."""

import os

import pandas as pd
import pytest
from kedro.io import AbstractDataset
from kedro_datasets.pandas import ParquetDataset as KedroParquet

from tailor.datasets import AbsentDataset, ListsDataset, PlantedDataset, TextTableDataset, WheelMemberDataset
from tailor.datasets.content import content_hash, file_hash, table_hash, value_hash
from tailor.datasets.location import Location


def never():
    raise AssertionError("the data were loaded")


def text_table(path, text, **options):
    with Location.parse(path).writing() as aside:
        aside.write_text(text)
    return TextTableDataset(filepath=path, **options)


def test_a_file_is_hashed_by_content_not_by_place_or_time(root):
    first = content_hash(text_table(f"{root}/a.csv", "x\n1\n"), never)
    assert content_hash(text_table(f"{root}/a.csv", "x\n2\n"), never) != first
    assert content_hash(text_table(f"{root}/a.csv", "x\n1\n"), never) == first
    assert content_hash(text_table(f"{root}/other.csv", "x\n1\n"), never) == first
    assert content_hash(text_table(f"{root}/a.csv", "x\n1\n", load_args={"sep": ";"}), never) != first
    assert content_hash(TextTableDataset(filepath=f"{root}/none.csv"), never) != first


def test_a_touched_file_has_the_same_hash(tmp_path):
    dataset = text_table(str(tmp_path / "a.csv"), "x\n1\n")
    before = content_hash(dataset, never)
    os.utime(tmp_path / "a.csv", (1, 1))
    assert content_hash(dataset, never) == before


def test_a_dataset_of_kedro_is_hashed_by_its_file(tmp_path):
    path = tmp_path / "a.parquet"
    hashes = []
    for values in ([1], [2], [1]):
        pd.DataFrame({"x": values}).to_parquet(path)
        hashes.append(content_hash(KedroParquet(filepath=str(path)), never))
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_stamp_of_the_file_system_saves_reading(root, monkeypatch):
    if not root.startswith("memory"):
        return
    dataset = text_table(f"{root}/a.csv", "x\n1\n")
    fs = dataset.location.fs
    plain = type(fs).info
    monkeypatch.setattr(type(fs), "info", lambda self, path, **more: plain(self, path, **more) | {"ETag": "abc"})
    monkeypatch.setattr(type(fs), "open", lambda *args, **more: never())
    assert content_hash(dataset, never) == content_hash(dataset, never)


class TableOfADatabase(AbstractDataset):
    """A table that lies in no file."""

    def __init__(self, rows):
        self._rows = rows

    def load(self):
        return pd.DataFrame({"user_id": self._rows, "note": pd.Series([None] * len(self._rows), dtype=object)})

    def save(self, data):
        raise NotImplementedError

    def _describe(self):
        return {"table": "orders"}


def test_a_table_of_a_database_is_hashed_by_its_cells():
    hashes = [content_hash(table, table.load) for table in map(TableOfADatabase, (["a"], ["b"], ["a"]))]
    assert hashes[0] == hashes[2] != hashes[1]


def test_fabricated_and_absent_tables_are_hashed_by_their_options():
    assert content_hash(PlantedDataset(table="items", seed=0), never) == content_hash(
        PlantedDataset(table="items", seed=0), never
    )
    assert content_hash(PlantedDataset(table="items", seed=0), never) != content_hash(
        PlantedDataset(table="items", seed=1), never
    )
    assert content_hash(AbsentDataset(columns=["a"]), never) != content_hash(AbsentDataset(columns=["b"]), never)


def test_a_member_of_a_wheel_is_hashed_before_and_after_it_is_fetched(tmp_path):
    def member(sha256):
        return WheelMemberDataset(filepath=str(tmp_path / "t.csv"), requirement="x==1", sha256=sha256, member="t")

    assert content_hash(member("aa"), never) != content_hash(member("bb"), never)


def test_a_registered_model_is_asked_for_its_identity(monkeypatch):
    class Registered(TableOfADatabase):
        model_uri = "models:/shop@champion"

    from types import SimpleNamespace

    import mlflow

    versions = iter(["one", "two"])
    monkeypatch.setattr(mlflow.models, "get_model_info", lambda uri: SimpleNamespace(model_uuid=next(versions)))
    assert content_hash(Registered([]), never) != content_hash(Registered([]), never)

    def refuse(uri):
        raise mlflow.MlflowException("no such model")

    monkeypatch.setattr(mlflow.models, "get_model_info", refuse)
    assert content_hash(Registered([]), never) == content_hash(Registered([]), never)


@pytest.mark.parametrize(("one", "other", "same"), [({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), ([1], [1.5], False)])
def test_values_are_hashed_as_json(one, other, same):
    assert (value_hash(one) == value_hash(other)) == same


def safetensors(path, header, numbers=b"\0\1"):
    text = header.encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    return file_hash(Location.parse(str(path)))


def test_the_order_of_metadata_in_a_safetensors_file_is_no_content(tmp_path):
    path = tmp_path / "a.safetensors"
    first = safetensors(path, '{"__metadata__": {"a": "1", "b": "2"}}')
    assert safetensors(path, '{"__metadata__": {"b": "2", "a": "1"}}') == first
    assert safetensors(path, '{"__metadata__": {"b": "2", "a": "3"}}') != first
    assert safetensors(path, '{"__metadata__": {"a": "1", "b": "2"}}', b"\1\1") != first
    damaged = safetensors(path, "no header")
    assert safetensors(path, "no headed") != damaged


def test_an_empty_folder_has_a_hash(root):
    dataset = ListsDataset(filepath=f"{root}/lists")
    dataset.save({})
    assert content_hash(dataset, never) == content_hash(dataset, never)
    assert dataset.load() == {}


def test_a_folder_is_hashed_by_names_and_content(tmp_path):
    hashes = []
    for place, name, text in (("a", "x", "1"), ("b", "x", "1"), ("c", "y", "1"), ("d", "x", "2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / name).write_text(text)
        hashes.append(file_hash(Location.parse(str(tmp_path / place))))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_a_table_is_hashed_by_cells_and_types():
    table = pd.DataFrame({"x": [1, 2]})
    assert table_hash(table) == table_hash(table.copy())
    assert len({table_hash(t) for t in (table, table.astype(float), table.rename(columns={"x": "y"}), table[:1])}) == 4
