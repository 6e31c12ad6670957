"""The suppression list as a dataset: an empty one where there is no database, another content when it grows."""

import pytest
from kedro.io import DataCatalog, DatasetError

from tailor.data.people import SUPPRESSION_KEY
from tailor.datasets import SuppressionsDataset
from tailor.datasets.content import content_hash
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
    assert "Suppression list: none" in caplog.text
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
