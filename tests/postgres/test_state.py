"""The state in a PostgreSQL server, shared by processes on it. Run by `make test-postgres`."""

import subprocess
import sys

import pytest

from tailor.state.store import Imported, StateStore, models_of
from tailor.state.tables import StateError
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


def test_a_server_that_does_not_answer_is_one_sentence():
    with pytest.raises(StateError) as refused:
        StateStore.open("postgresql+psycopg://user:s3cret@127.0.0.1:9/shop", "shop")
    assert "user:***@127.0.0.1:9/shop could not be opened" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)
