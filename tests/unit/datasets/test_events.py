"""Events as a table, and as the log of a policy where no file of one is given."""

import logging

import pytest
from kedro.io import DataCatalog, DatasetError

from tailor.data.people import SUPPRESSION_KEY
from tailor.datasets import EventsDataset, ItemStateDataset, PolicyLogDataset, SuppressionsDataset
from tailor.datasets.content import content_hash
from tailor.state import tables
from tailor.state.events import EventStore
from tailor.state.suppressions import SuppressionStore


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    return EventsDataset(filepath=f"{tmp_path}/serving/shop.db", model="shop")


@pytest.fixture
def policy_log(dataset, tmp_path):
    args = {"dtype": {"user_id": str, "item_id": str}}
    return PolicyLogDataset(
        filepath=f"{tmp_path}/raw/policy_log.csv", state=str(dataset.filepath), model="shop", load_args=args
    )


def store_of(dataset):
    dataset.filepath.parent.mkdir(exist_ok=True)
    return EventStore.open(f"sqlite:///{dataset.filepath}", "shop")


def drawn(request, item, propensity, rank=1, user="u1"):
    about = {"kind": "exposure", "user_id": user, "item_id": item, "request_id": request}
    return about | {"rank": rank, "propensity": propensity, "version": "3"}


def test_no_database_is_no_rows_and_none_is_made(dataset):
    table = DataCatalog({"events": dataset}).load("events")
    assert (len(table), table["kind"].tolist()) == (0, [])
    assert dataset.exists()
    assert not dataset.filepath.parent.exists()


def test_events_come_in_their_order_and_searches_stay_out(dataset):
    store = store_of(dataset)
    before = content_hash(dataset, dataset.load)
    store.append([drawn("r1", "i1", 0.5), {"kind": "search", "words": "space"}])
    store.append([{"kind": "click", "user_id": "u1", "item_id": "i1", "request_id": "r1"}])
    EventStore(store.engine, "another shop").append([drawn("r2", "i9", 0.1)])
    table = dataset.load()
    assert table["kind"].tolist() == ["exposure", "click"]
    assert table.loc[0, ["propensity", "rank", "version"]].tolist() == [0.5, 1, "3"]
    assert content_hash(dataset, dataset.load) != before


def test_events_of_who_asked_to_be_forgotten_are_left_out_and_counted(dataset, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv(SUPPRESSION_KEY, "k" * 32)
    store = store_of(dataset)
    store.append([drawn("r1", "i1", 0.5, user="person-7"), drawn("r2", "i1", 0.5), drawn("r3", "i2", 0.5, user=None)])
    before = content_hash(dataset, dataset.load)
    SuppressionStore.open(f"sqlite:///{dataset.filepath}", "shop").add(["person-7"])
    table = dataset.load()
    assert (table["request_id"].tolist(), table.index.tolist()) == (["r2", "r3"], [0, 1])
    assert "Events: 1 of people who are suppressed are left out" in caplog.text
    assert "person-7" not in caplog.text
    assert dataset._describe()["suppressed"]
    assert content_hash(dataset, dataset.load) != before


def test_the_environment_names_the_database(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("TAILOR_STATE_URL", f"sqlite:///{tmp_path}/shared.db")
    EventStore.open(f"sqlite:///{tmp_path}/shared.db", "shop").append([drawn("r1", "i1", 0.5)])
    assert len(dataset.load()) == 1


def test_what_was_drawn_is_the_log_where_there_is_no_file(dataset, policy_log, caplog):
    assert not policy_log.exists()  # the run says what belongs into the file
    store = store_of(dataset)
    store.append([drawn("r1", "i1", None), drawn("r1", "i2", None, rank=2)])
    assert policy_log.exists()
    with pytest.raises(DatasetError, match=r"the events hold no list that was drawn .* \(2 exposures of other lists\)"):
        policy_log.load()
    store.append([drawn("r2", "i1", 0.25), drawn("r2", "i2", 0.5, rank=2), drawn("r3", "i2", 0.5)])
    store.append([{"kind": "click", "user_id": "u1", "item_id": "i2", "request_id": "r3"}])
    with caplog.at_level(logging.INFO):
        assert policy_log.load().values.tolist() == [["u1", "i1", 0.0, 0.25], ["u1", "i2", 1.0, 0.5]]
    assert "2 drawn items at rank 1; 3 other exposures are left out" in caplog.text


def test_a_file_comes_before_the_events(dataset, policy_log):
    store_of(dataset).append([drawn("r1", "i1", 0.25)])
    by_events = policy_log._describe()
    with policy_log.location.writing() as path:
        path.write_text("user_id,item_id,reward,propensity\n7,3,1,0.5\n")
    assert policy_log.load()[["user_id", "item_id"]].values.tolist() == [["7", "3"]]
    assert policy_log._describe() != by_events


def test_neither_is_written(dataset, policy_log):
    with pytest.raises(DatasetError, match="not by a run"):
        dataset.save(dataset.load())
    with pytest.raises(DatasetError, match="read-only"):
        policy_log.save(dataset.load())


def test_what_is_read_leaves_no_connection_open(dataset, policy_log, monkeypatch):
    store_of(dataset).append([drawn("r1", "i1", 0.25)])
    opened, create = [], tables.sa.create_engine

    def create_engine(*args, **options):
        opened.append(create(*args, **options))
        return opened[-1]

    monkeypatch.setattr(tables.sa, "create_engine", create_engine)
    suppressions = SuppressionsDataset(filepath=str(dataset.filepath), model="shop")
    items = ItemStateDataset(filepath=str(dataset.filepath), model="shop")
    policy_log.load()
    assert policy_log.exists()
    suppressions.load()
    for each in (dataset, policy_log, suppressions, items):
        each._describe()
    assert len(opened) >= 7  # one for each call
    assert {engine.pool.checkedin() + engine.pool.checkedout() for engine in opened} == {0}


def test_whether_something_was_drawn_is_asked_without_reading_the_events(dataset, policy_log, monkeypatch):
    store = store_of(dataset)
    store.append([{"kind": "click", "user_id": "u1", "item_id": "i1"}])
    monkeypatch.setattr(EventStore, "read", lambda *_: pytest.fail("reads all events"))
    assert not policy_log.exists()
    EventStore(store.engine, "another shop").append([drawn("r1", "i1", 0.25)])
    assert not policy_log.exists()
    store.append([drawn("r1", "i1", 0.25)])
    assert policy_log.exists()
