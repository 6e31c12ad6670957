"""The suppression list in a database: who is in it, under which key, and how others notice."""

import threading

import pytest
import sqlalchemy as sa

from tailor.data.people import SUPPRESSION_KEY, SuppressionList
from tailor.errors import ConfigurationError
from tailor.state import tables
from tailor.state.events import EventStore
from tailor.state.store import StateStore
from tailor.state.suppressions import SuppressionStore
from tailor.state.tables import StateError

KEY = "k" * 32


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setenv(SUPPRESSION_KEY, KEY)
    return f"sqlite:///{tmp_path}/serving/shop.db"


@pytest.fixture
def store(address):
    return SuppressionStore.open(address, "shop")


def test_who_is_added_is_in_the_list_and_no_id_is_in_the_database(store, address):
    assert store.add(["person-7", "person-8"]) == 1
    assert store.read() == SuppressionList.of(["person-7", "person-8"], KEY.encode())
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(tables.suppressions)).all()
    assert "person" not in str(rows)
    assert KEY not in str(rows)
    assert len(SuppressionStore.open(address, "books").read()) == 0


def test_once_more_changes_nothing_and_a_new_person_is_a_change_of_the_state(store, address):
    state = StateStore.open(address, "shop")
    store.add(["u7"])
    assert state.change == 1
    before = store.digest()
    assert store.add(["u7", "u7"]) is None
    assert (state.change, store.digest()) == (1, before)
    assert store.add(["u7", "u8"]) == 2
    assert state.change == 2
    assert store.digest() != before


def test_an_empty_list_needs_no_key(store, monkeypatch):
    monkeypatch.delenv(SUPPRESSION_KEY)
    assert store.read() == SuppressionList()
    with pytest.raises(ConfigurationError, match=f"{SUPPRESSION_KEY} is not set.*make one with"):
        store.add(["u7"])


def test_a_list_of_another_key_is_refused_since_its_people_would_come_back(store, monkeypatch):
    store.add(["u7"])
    monkeypatch.delenv(SUPPRESSION_KEY)
    with pytest.raises(ConfigurationError, match="is not set"):
        store.read()
    assert len(store.digest()) == 16
    monkeypatch.setenv(SUPPRESSION_KEY, "x" * 32)
    for ask in (store.read, lambda: store.add(["u8"])):
        with pytest.raises(StateError, match="1 of 1 people in the suppression list of 'shop' were added with another"):
            ask()
    monkeypatch.setenv(SUPPRESSION_KEY, KEY)
    assert len(store.read()) == 1


def test_a_database_of_before_gets_the_list(address, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(tables, "MIGRATIONS", tables.MIGRATIONS[:2])
        StateStore.open(address, "shop").remove(["a"])
    store = SuppressionStore.open(address, "shop")
    assert store.add(["u7"]) == 2
    assert StateStore.open(address, "shop").read().removed == {"a"}


def test_events_are_deleted_by_every_name(store):
    events = EventStore(store.engine, "shop")
    events.append([{"kind": "buy", "user_id": user, "item_id": "a"} for user in ("u7", "pseudonym", "u8", None)])
    assert store.forget_events(["u7", "pseudonym"]) == 2
    assert events.user_ids() == ["u8"]


def test_events_that_came_late_are_found_by_hash(store):
    events, elsewhere = EventStore(store.engine, "shop"), EventStore(store.engine, "another shop")
    for log in (events, elsewhere):
        log.append([{"kind": "buy", "user_id": user, "item_id": "a"} for user in ("u7", "u7", "u8", None)])
    assert store.forget_all_events() == 0
    store.add(["u7"])
    assert store.forget_all_events() == 2
    assert events.user_ids() == ["u8"]
    assert sorted(elsewhere.user_ids()) == ["u7", "u8"]
    assert sum(len(batch) for batch in events.read()) == 2


def test_people_who_are_added_at_once_are_all_in_the_list(store, address):
    """Each process adds in one transaction; a change is counted for each of them, and for nobody twice."""
    problems = []

    def add(name):
        own = SuppressionStore.open(address, "shop")
        try:
            for k in range(10):
                own.add([f"{name}{k}", "somebody known to all"])
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=add, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert len(store.read()) == 31
    assert StateStore.open(address, "shop").change == 30
