"""The suppression list as a dataset: an empty one where there is no database, another content when it grows."""

import json

import pytest
from kedro.io import DataCatalog, DatasetError

from tailor.data.people import SUPPRESSION_KEY
from tailor.datasets import SuppressionsDataset
from tailor.datasets.content import content_hash
from tailor.serving.items import ItemStore
from tailor.state.events import EventStore
from tailor.state.suppressions import SuppressionStore


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    monkeypatch.setenv(SUPPRESSION_KEY, "k" * 32)
    return SuppressionsDataset(filepath=f"{tmp_path}/serving/shop.db", model="shop")


def hash_of(dataset):
    return content_hash(dataset, dataset.load)


def test_without_a_database_nobody_is_left_out_and_none_is_made(dataset, caplog):
    caplog.set_level("INFO")
    dataset.save([])
    assert len(DataCatalog({"suppressions": dataset}).load("suppressions")) == 0
    assert "Nobody has asked to be forgotten (neither " in caplog.text
    assert dataset.exists()
    assert not dataset.filepath.parent.exists()


def test_who_is_saved_is_left_out_and_a_run_of_before_is_stale(dataset, caplog):
    caplog.set_level("INFO")
    before = hash_of(dataset)
    dataset.save(["person-7"])
    assert "person-7" in dataset.load()
    assert hash_of(dataset) != before
    now = hash_of(dataset)
    dataset.save(["person-7"])
    assert hash_of(dataset) == now
    assert "person-7" not in caplog.text


def test_an_empty_list_is_the_same_whether_or_not_there_is_a_database(dataset):
    before = hash_of(dataset)
    SuppressionStore.open(f"sqlite:///{dataset.filepath}", "shop")
    assert dataset.filepath.is_file()
    assert hash_of(dataset) == before


def test_without_the_key_a_list_is_refused_not_passed_over(dataset, monkeypatch):
    dataset.save(["u7"])
    monkeypatch.delenv(SUPPRESSION_KEY)
    with pytest.raises(DatasetError, match="TAILOR_SUPPRESSION_KEY is not set"):
        dataset.load()


def test_an_address_of_the_environment_comes_first(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("TAILOR_STATE_URL", f"sqlite:///{tmp_path}/other.db")
    dataset.save(["u7"])
    assert (tmp_path / "other.db").is_file()
    assert not dataset.filepath.exists()
    assert "u7" in dataset.load()


def test_each_run_deletes_events_that_came_after_their_person_was_added(dataset, caplog):
    caplog.set_level("INFO")
    dataset.save(["u7"])
    events = EventStore.open(f"sqlite:///{dataset.filepath}", "shop")
    events.append([{"kind": "buy", "user_id": user, "item_id": "a"} for user in ("u7", "u8")])
    dataset.save([])  # a run that names nobody
    assert events.user_ids() == ["u8"]
    assert "1 events of its people are deleted" in caplog.text


def test_items_that_an_earlier_version_kept_are_taken_in_before_somebody_is_added(dataset):
    dataset.filepath.parent.mkdir()
    dataset.filepath.with_suffix(".json").write_text(json.dumps({"items": [{"item_id": "new"}], "removed": ["i1"]}))
    dataset.save(["u7"])
    store = ItemStore.open(dataset.filepath, "shop")
    assert (list(store.rows), store.removed) == (["new"], {"i1"})
    assert "u7" in dataset.load()
