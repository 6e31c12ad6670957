"""The state in a database: transactions, what each process sees of the others, what is said where it does not go."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from tailor.errors import BadInputError
from tailor.state import tables
from tailor.state.address import address_of
from tailor.state.store import Imported, StateStore, models_of
from tailor.state.tables import StateError
from tests.unit.state.killing import killed_again_and_again


def rows_of(*ids: str, **columns: object) -> list[dict[str, object]]:
    return [{"item_id": name, **columns} for name in ids]


@pytest.fixture
def address(tmp_path):
    return f"sqlite:///{tmp_path}/serving/shop.db"


@pytest.fixture
def store(address):
    return StateStore.open(address, "shop")


def ids_of(state):
    return [item.item_id for item in state.items]


def test_what_was_put_is_read_in_the_order_of_its_first_put(store):
    assert store.change == 0
    assert store.put(rows_of("b", "a", title="t"), 10) == 1
    assert store.put(rows_of("c", "b", title="other"), 10) == 2
    state = store.read()
    assert state.change == store.change == 2
    assert ids_of(state) == ["b", "a", "c"]
    assert [item.columns["title"] for item in state.items] == ["other", "t", "other"]
    assert ids_of(store.read(since=1)) == ["b", "c"]
    assert store.read(since=2).items == []
    assert abs(state.items[0].put_at - time.time()) < 60


def test_what_was_removed_comes_back_when_it_is_put(store):
    store.put(rows_of("a"), 10)
    assert store.remove(["a", "b"]) == 2
    assert store.remove(["b"]) == 3
    assert store.read().removed == {"a", "b"}
    store.put(rows_of("a"), 10)
    assert store.read().removed == {"b"}


def test_a_cell_is_what_was_sent(store):
    row = {"item_id": "ü'\"", "title": "鬼屋", "year": 2001, "score": 0.5, "none": None}
    store.put([row], 10)
    assert store.read().items[0].columns == row


def test_models_of_one_database_do_not_see_each_other(address, store):
    other = StateStore.open(address, "books")
    store.put(rows_of("a"), 1)
    other.put(rows_of("a", "b"), 2)
    other.remove(["x"])
    assert ids_of(store.read()) == ["a"]
    assert store.read().removed == set()
    assert (store.change, other.change) == (1, 2)
    assert models_of(address) == ["books", "shop"]


def test_many_ids_go_in_one_call(store, monkeypatch):
    monkeypatch.setattr(tables, "_IDS_AT_ONCE", 3)
    ids = [f"n{k}" for k in range(10)]
    store.put(rows_of(*ids), 100)
    store.remove(ids)
    store.put(rows_of(*ids[:7]), 100)
    assert ids_of(store.read()) == ids
    assert store.read().removed == set(ids[7:])


def test_too_many_leave_all_as_it_was(store):
    store.put(rows_of("a", "b"), 2)
    with pytest.raises(BadInputError, match="3 items added in all; at most 2: fit a model that knows them"):
        store.put(rows_of("b", "c", title="new"), 2)
    assert ids_of(store.read()) == ["a", "b"]
    assert store.change == 1
    assert "title" not in store.read().items[1].columns


def test_two_that_write_at_once_lose_nothing(address, store):
    """Each put is read, changed and written in one transaction: no acknowledged change is overwritten."""
    problems = []

    def put(name):
        own = StateStore.open(address, "shop")
        try:
            for k in range(20):
                own.put(rows_of(f"{name}{k}"), 1000)
                own.remove([f"{name}{k}-gone"])
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=put, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    state = store.read()
    assert len(state.items) == 60
    assert len(state.removed) == 60
    assert state.change == 120
    assert [item.item_id for item in state.items if item.item_id[0] == "a"] == [f"a{k}" for k in range(20)]


def test_processes_that_open_a_new_state_at_once_make_it_once(address):
    before, problems = Imported({"a": {"item_id": "a"}}, {"i1"}, 1000.0), []
    ready = threading.Barrier(6)

    def begin():
        ready.wait()
        try:
            StateStore.open(address, "shop", before).put(rows_of("b"), 10)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    state = StateStore.open(address, "shop").read()
    assert (ids_of(state), state.change) == (["a", "b"], 7)


def test_a_file_of_before_is_imported_once(address):
    before = Imported({"a": {"item_id": "a", "title": "x"}}, {"i1"}, 1000.0)
    state = StateStore.open(address, "shop", before).read()
    assert (ids_of(state), state.removed, state.change) == (["a"], {"i1"}, 1)
    assert state.items[0].put_at == 1000
    store = StateStore.open(address, "shop", Imported({"b": {"item_id": "b"}}, set(), 2000.0))
    assert ids_of(store.read()) == ["a"]


def test_whoever_opens_a_state_first_keeps_nobody_from_importing(address):
    StateStore.open(address, "shop")
    store = StateStore.open(address, "shop", Imported({"a": {"item_id": "a"}}, set(), 1000.0))
    assert ids_of(store.read()) == ["a"]


def test_an_older_database_is_brought_forward_and_keeps_what_it_has(address, store, monkeypatch):
    store.put(rows_of("a"), 10)
    n_known = len(tables.MIGRATIONS)

    def second(operations):
        operations.create_table("later", sa.Column("x", sa.Text, primary_key=True))

    monkeypatch.setattr(tables, "MIGRATIONS", [*tables.MIGRATIONS, second])
    again = StateStore.open(address, "shop")
    assert ids_of(again.read()) == ["a"]
    assert "later" in sa.inspect(again.engine).get_table_names()
    with again.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version FROM state_version")).scalars().all() == [n_known + 1]
    monkeypatch.setattr(tables, "MIGRATIONS", tables.MIGRATIONS[:1])
    with pytest.raises(
        StateError, match=rf"A later Tailor made the tables of .* \(version {n_known + 1}, this one knows 1\)"
    ):
        StateStore.open(address, "shop")


def test_a_database_of_the_first_version_opens(address, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(tables, "MIGRATIONS", tables.MIGRATIONS[:1])
        StateStore.open(address, "shop").put(rows_of("a"), 10)
    again = StateStore.open(address, "shop")
    assert ids_of(again.read()) == ["a"]
    assert again.embeddings("e", ["a"]) == {}


def test_embeddings_are_kept_by_encoder_and_are_no_change(store):
    store.keep_embeddings("e", {"a": ("t", b"12"), "b": ("u", b"34")})
    store.keep_embeddings("f", {"b": ("u", b"56")})
    assert store.embeddings("e", ["a", "b", "c"]) == {"a": ("t", b"12")}
    assert store.embeddings("f", ["a", "b", "c"]) == {"b": ("u", b"56")}
    assert store.embeddings("f", ["a"]) == {}
    assert store.change == 0


def test_a_migration_that_fails_leaves_the_database_as_it_was(address, store, monkeypatch):
    def second(operations):
        operations.create_table("half", sa.Column("x", sa.Integer))
        operations.execute("INSERT INTO nowhere VALUES (1)")

    monkeypatch.setattr(tables, "MIGRATIONS", [*tables.MIGRATIONS, second])
    with pytest.raises(StateError, match="could not be opened: no such table: nowhere"):
        StateStore.open(address, "shop")
    monkeypatch.undo()
    assert "half" not in sa.inspect(StateStore.open(address, "shop").engine).get_table_names()


def test_the_tables_of_today_are_what_the_migrations_make(store):
    made = sa.inspect(store.engine)
    assert set(made.get_table_names()) == set(tables.metadata.tables)
    for name, table in tables.metadata.tables.items():
        assert [column["name"] for column in made.get_columns(name)] == [column.name for column in table.columns]


def test_a_full_disk_is_one_sentence_and_changes_nothing(address, store):
    store.put(rows_of("a"), 10)

    @sa.event.listens_for(store.engine, "connect")
    def small(connection, _):
        connection.execute("PRAGMA max_page_count=12")

    store.engine.dispose()
    with pytest.raises(StateError, match=r"could not be written: database or disk is full\. Free space there;") as full:
        for k in range(100):
            store.put([{"item_id": f"x{k}", "title": "t" * 1000} for k in range(k * 10, k * 10 + 10)], 10_000)
    assert full.value.disk_full
    kept = store.read()
    assert kept.items[0].item_id == "a"
    assert (len(kept.items) - 1) % 10 == 0  # no call by half
    assert kept.change == 1 + (len(kept.items) - 1) // 10


def test_what_cannot_be_opened_is_said_in_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "no.db").write_bytes(b"no database" * 1000)
    for address, words in (
        (f"sqlite:///{tmp_path}/no.db", "could not be opened: file is not a database"),
        ("nonsense", "TAILOR_STATE_URL is no address of a database that can be used here"),
        ("nosuch://x/y", "TAILOR_STATE_URL is no address of a database that can be used here"),
        (f"sqlite:///{tmp_path}/no.db/deeper/a.db", "The state cannot be kept in"),
    ):
        with pytest.raises(StateError, match=words) as refused:
            StateStore.open(address, "shop")
        assert "\n" not in str(refused.value)
        assert not refused.value.disk_full
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    assert address_of(Path("data/a.db")) == "sqlite:///data/a.db"
    monkeypatch.setenv("TAILOR_STATE_URL", "postgresql://u@h/d")
    assert address_of(Path("data/a.db")) == "postgresql://u@h/d"


def test_a_password_is_never_said():
    engine = sa.create_engine("sqlite://", module=sqlite3)
    engine.url = sa.engine.make_url("postgresql://user:s3cret@host/shop")
    with pytest.raises(StateError) as refused, tables.explained(engine, "read"):
        raise sa.exc.OperationalError("x", {}, sqlite3.OperationalError("gone\nmore"))
    assert "s3cret" not in str(refused.value)
    assert "user:***@host/shop could not be read: gone. See that it runs" in str(refused.value)


PUTTING = """
import sys
from tailor.state.store import StateStore
store = StateStore.open(sys.argv[1], "shop")
n = len(store.read().items)
while True:
    store.put([{"item_id": str(n + k), "title": "t" * 2000} for k in range(50)], 10**6)
    n += 50
    print(n, flush=True)
"""


def test_a_process_killed_while_it_puts_has_stored_all_that_it_acknowledged_and_no_call_by_half(address):
    for acknowledged in killed_again_and_again(PUTTING, address):
        stored = len(StateStore.open(address, "shop").read().items)
        assert stored >= acknowledged > 0
        assert stored % 50 == 0
