"""The state of items as a dataset: there where a server has left one or the environment names one."""

import json

import pytest
from kedro.io import DataCatalog, DatasetError

from tailor.datasets import ItemStateDataset
from tailor.datasets.content import content_hash
from tailor.serving.items import ItemStore


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    return ItemStateDataset(filepath=f"{tmp_path}/serving/shop.db", model="shop")


def hash_of(dataset):
    return content_hash(dataset, dataset.load)


def test_there_is_none_where_nothing_was_put(dataset):
    assert DataCatalog({"item_state": dataset}).load("item_state") is None
    assert dataset.exists()  # a run need not make it first
    assert not dataset.filepath.parent.exists()


def test_it_is_the_server_s_own_and_another_change_is_another_content(dataset):
    store = ItemStore.open(dataset.filepath.with_suffix(".json"), "shop")
    before = hash_of(dataset)
    store.state.remove(["a"])
    assert dataset.load().removed == {"a"}
    assert dataset.exists()
    assert hash_of(dataset) not in (before, "")
    assert hash_of(dataset) == hash_of(dataset)


def test_the_file_of_before_is_a_state_too(dataset):
    dataset.filepath.parent.mkdir()
    dataset.filepath.with_suffix(".json").write_text(json.dumps({"items": [], "removed": ["a"]}))
    assert dataset.load().removed == {"a"}


def test_an_address_of_the_environment_comes_first(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("TAILOR_STATE_URL", f"sqlite:///{tmp_path}/other.db")
    assert dataset.load().state.name.endswith("other.db")
    with pytest.raises(DatasetError, match="changed by PUT and DELETE of the server"):
        dataset.save("items")
