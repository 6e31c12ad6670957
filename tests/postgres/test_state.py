"""The state in a PostgreSQL server, shared by processes on it. Run by `make test-postgres`."""

import subprocess
import sys

import pytest

from tailor.state.events import EventStore
from tailor.state.store import Imported, StateStore, models_of
from tailor.state.tables import StateError, write_transaction
from tests.conftest import environment

pgserver = pytest.importorskip("pgserver", reason="make test-postgres installs it")

PUTTING = """
import sys
from tailor.state.store import StateStore
store = StateStore.open(sys.argv[1], "shop")
for k in range(30):
    store.put([{"item_id": f"{sys.argv[2]}{k}", "title": "t"}], 1000)
    store.remove([f"{sys.argv[2]}{k}-gone"])
"""

APPENDING = """
import sys
from tailor.state.events import EventStore
store = EventStore.open(sys.argv[1], "shop")
for k in range(30):
    row = {"kind": "buy", "user_id": sys.argv[2], "item_id": str(k), "event_id": f"{sys.argv[2]}{k}"}
    store.append([row, {"kind": "buy", "user_id": "same", "item_id": str(k), "event_id": f"same{k}"}])
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    server = pgserver.get_server(tmp_path_factory.mktemp("server"))
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()


def test_processes_on_one_server_lose_nothing(address):
    """They open it at once, too: one makes the tables, and imports what was kept in a file."""
    processes = [
        subprocess.Popen([sys.executable, "-c", PUTTING, address, name], env=environment(), stderr=subprocess.PIPE)
        for name in "abc"
    ]
    for process in processes:
        assert process.wait(timeout=120) == 0, process.stderr.read().decode()
    state = StateStore.open(address, "shop").read()
    assert (len(state.items), len(state.removed), state.change) == (90, 90, 180)
    assert [item.item_id for item in state.items if item.item_id[0] == "b"] == [f"b{k}" for k in range(30)]


def test_what_is_written_is_read(address):
    store = StateStore.open(address, "books", Imported({"a": {"item_id": "a"}}, {"x"}, 1000.0))
    assert store.read().removed == {"x"}
    assert store.put([{"item_id": "ü'\"", "title": "鬼屋", "year": 0.5}, {"item_id": "x"}], 10) == 2
    store.keep_embeddings("e", {"a": ("t", b"\x00\xff")})
    again = StateStore.open(address, "books", Imported({"z": {"item_id": "z"}}, set(), 1.0)).read()
    assert [item.item_id for item in again.items] == ["a", "ü'\"", "x"]
    assert again.items[1].columns["title"] == "鬼屋"
    assert again.removed == set()
    assert store.embeddings("e", ["a"]) == {"a": ("t", b"\x00\xff")}
    assert "books" in models_of(address)


def test_processes_that_append_events_lose_nothing_and_share_no_place(address):
    processes = [
        subprocess.Popen([sys.executable, "-c", APPENDING, address, name], env=environment(), stderr=subprocess.PIPE)
        for name in "abc"
    ]
    for process in processes:
        assert process.wait(timeout=120) == 0, process.stderr.read().decode()
    store = EventStore.open(address, "shop")
    assert [event.place for batch in store.read() for event in batch] == list(range(1, 121))
    assert [event.item_id for event in store.of_user("b")] == [str(k) for k in range(30)]
    assert len(store.of_user("same")) == 30


def test_events_come_back_as_they_were_sent_and_are_forgotten(address):
    store = EventStore.open(address, "books")
    sent = {"kind": "exposure", "event_id": "ü", "occurred_at": 1.7e9 + 1 / 3, "user_id": "u", "item_id": "鬼"}
    sent |= {"rank": 3, "propensity": 0.1, "request_id": "r", "variant": "champion", "version": "2"}
    assert store.append([sent, {"kind": "buy", "user_id": "u", "item_id": "x"}]) == (2, 0)
    assert store.append([sent]) == (0, 1)
    assert {name: getattr(store.of_user("u")[0], name) for name in sent} == sent
    latest = store.latest_of_users(["u", "v"], ["buy"], 5)
    assert [event.item_id for event in latest["u"]] == ["x"]
    assert store.takers(["buy", "exposure"], since=0.0, least_rating=3.0) == {"x": 1, "鬼": 1}
    assert store.newest(["exposure"]) == sent["occurred_at"]
    assert store.forget(["u"]) == 2
    store.append([{"kind": "buy", "user_id": "u", "item_id": "y"}])
    assert [event.place for event in store.of_user("u")] == [3]


def test_who_has_little_patience_is_told_that_another_one_writes(address):
    store, other = (EventStore.open(address, "patience") for _ in range(2))
    store.append([{"kind": "view", "user_id": "u1", "item_id": "i1"}])
    with write_transaction(other.engine) as connection:
        other._begin(connection)
        with pytest.raises(StateError, match="could not be written: canceling statement due to lock timeout"):
            store.append([{"kind": "view", "user_id": "u1", "item_id": "i2"}], patience_s=0.05)
    store.append([{"kind": "view", "user_id": "u1", "item_id": "i3"}], patience_s=0.05)
    assert [event.item_id for event in store.of_user("u1")] == ["i1", "i3"]


def test_a_server_that_does_not_answer_is_one_sentence():
    with pytest.raises(StateError) as refused:
        StateStore.open("postgresql+psycopg://user:s3cret@127.0.0.1:9/shop", "shop")
    assert "user:***@127.0.0.1:9/shop could not be opened" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)
