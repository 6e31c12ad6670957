"""Events in a database: stored once, all of a call or none, in the order they came, whatever is killed meanwhile."""

import itertools
import threading
import time

import pytest
import sqlalchemy as sa

from tailor.errors import BadInputError
from tailor.state import events as events_module
from tailor.state import tables
from tailor.state.events import KINDS, EventStore
from tailor.state.store import StateStore
from tailor.state.tables import StateError
from tests.unit.state.killing import killed_again_and_again


def buy(user, item, **columns):
    return {"kind": "buy", "user_id": user, "item_id": item, **columns}


@pytest.fixture
def address(tmp_path):
    return f"sqlite:///{tmp_path}/serving/shop.db"


@pytest.fixture
def store(address):
    return EventStore.open(address, "shop")


def read_all(store, *bounds):
    return [event for batch in store.read(*bounds) for event in batch]


def test_what_was_appended_is_read_in_its_order(store):
    assert store.last_place == 0
    assert store.append([buy("u", "a", event_id="1"), {"kind": "search", "words": "鬼屋 'x'", "user_id": "v"}]) == (
        2,
        0,
    )
    assert store.append([{"kind": "rate", "user_id": "u", "item_id": "b", "value": 0.5, "occurred_at": 0.0}]) == (1, 0)
    bought, searched, rated = read_all(store)
    assert [event.place for event in (bought, searched, rated)] == [1, 2, 3]
    assert (bought.event_id, bought.kind, bought.model) == ("1", "buy", "shop")
    assert (bought.user_id, bought.item_id) == ("u", "a")
    assert bought.occurred_at == bought.received_at
    assert abs(bought.received_at - time.time()) < 60
    assert (searched.words, searched.item_id, len(searched.event_id)) == ("鬼屋 'x'", None, 36)
    assert (rated.value, rated.occurred_at) == (0.5, 0.0)
    assert store.of_user("u") == [bought, rated]
    assert store.of_user("nobody") == []
    assert store.last_place == 3


def test_an_exposure_comes_back_as_it_was_sent(store):
    sent = {
        "kind": "exposure",
        "event_id": "e",
        "occurred_at": 12.25,
        "user_id": None,
        "item_id": "a",
        "value": None,
        "words": None,
        "request_id": "r",
        "rank": 3,
        "propensity": 0.125,
        "variant": "challenger",
        "version": "7",
    }
    store.append([sent])
    (event,) = read_all(store)
    assert {name: getattr(event, name) for name in sent} == sent


def test_an_event_that_is_sent_again_is_known(store):
    row = buy("u", "a", event_id="1")
    assert store.append([row, row]) == (1, 1)
    assert store.append([row, buy("u", "b", event_id="2")]) == (1, 1)
    assert store.append([row]) == (0, 1)
    assert [event.item_id for event in read_all(store)] == ["a", "b"]
    timed = buy("u", "a", event_id="3", occurred_at=1000.5)
    assert store.append([timed, timed]) == (1, 1)
    assert store.append([timed]) == (0, 1)


@pytest.mark.parametrize(
    "other", [{"item_id": "b"}, {"user_id": "v"}, {"kind": "like"}, {"value": 1.0}, {"occurred_at": 5.0}]
)
def test_another_event_under_a_known_id_is_refused_with_all_that_came_with_it(store, other):
    store.append([buy("u", "a", event_id="1")])
    with pytest.raises(BadInputError, match="event_id '1' is stored with another content: give each event its own"):
        store.append([buy("u", "c"), buy("u", "a", event_id="1") | other])
    with pytest.raises(BadInputError, match="event_id '2' is stored with another content"):
        store.append([buy("u", "a", event_id="2"), buy("u", "a", event_id="2") | other])
    assert len(read_all(store)) == 1
    assert store.last_place == 1


def test_what_no_event_has_is_refused(store):
    with pytest.raises(BadInputError, match="kind = 'bought' is no kind of event"):
        store.append([{"kind": "bought"}])
    with pytest.raises(BadInputError, match=r"Unknown column 'user' of an event\. Did you mean 'user_id'"):
        store.append([{"kind": "buy", "user": "u"}])
    with pytest.raises(BadInputError, match="Unknown column 'place' of an event"):
        store.append([{"kind": "buy", "place": 1}])
    assert store.append([{"kind": kind} for kind in KINDS]) == (9, 0)


def test_models_of_one_database_do_not_see_each_other(address, store):
    other = EventStore.open(address, "books")
    store.append([buy("u", "a", event_id="1")])
    assert other.append([buy("u", "b", event_id="1"), buy("u", "c")]) == (2, 0)
    assert (store.last_place, other.last_place) == (1, 2)
    assert other.forget(["u"]) == 2
    assert [event.item_id for event in store.of_user("u")] == ["a"]


def test_long_reads_come_in_batches_between_two_places(store, monkeypatch):
    monkeypatch.setattr(events_module, "_EVENTS_AT_ONCE", 3)
    monkeypatch.setattr(tables, "_IDS_AT_ONCE", 2)
    store.append([buy("u", str(k), event_id=str(k)) for k in range(1, 11)])
    assert [len(batch) for batch in itertools.islice(store.read(), 9)] == [3, 3, 3, 1]
    assert [event.item_id for event in read_all(store, 4, 8)] == ["5", "6", "7", "8"]
    assert read_all(store, 10) == []
    assert store.append([buy("u", str(k), event_id=str(k)) for k in range(5, 15)]) == (4, 6)


def test_a_read_ends_although_events_go_on_coming(store, monkeypatch):
    monkeypatch.setattr(events_module, "_EVENTS_AT_ONCE", 2)
    store.append([buy("u", str(k)) for k in range(4)])
    batches = store.read()
    n_read = 0
    for batch in itertools.islice(batches, 5):
        n_read += len(batch)
        store.append([buy("u", "more")])
    assert n_read == 4


def test_the_latest_of_each_kind_are_read_of_many_users_at_once(store, monkeypatch):
    monkeypatch.setattr(tables, "_IDS_AT_ONCE", 2)
    for user in "uvw":
        store.append([buy(user, f"{user}{k}") for k in range(4)])
        store.append([{"kind": "like", "user_id": user, "item_id": f"{user}-liked"}])
        store.append([{"kind": "exposure", "user_id": user, "item_id": "x"}])
    latest = store.latest_of_users(["w", "u", "nobody", "w"], ["buy", "like"], 2)
    assert {user: [event.item_id for event in listed] for user, listed in latest.items()} == {
        "u": ["u2", "u3", "u-liked"],
        "w": ["w2", "w3", "w-liked"],
    }
    before = store.latest_of_users(["u", "w"], ["buy"], 2, until_place=3)
    assert {user: [event.item_id for event in listed] for user, listed in before.items()} == {"u": ["u1", "u2"]}


def test_each_user_takes_an_item_once_and_anonymous_events_count_one_by_one(store):
    assert store.newest(["buy"]) is None
    rows = [buy("u", "a", occurred_at=10.0), buy("u", "a", occurred_at=20.0), buy("v", "a", occurred_at=20.0)]
    rows += [buy(None, "b", occurred_at=20.0), buy(None, "b", occurred_at=20.0), buy("u", "c", occurred_at=5.0)]
    rows += [{"kind": "rate", "user_id": "u", "item_id": "d", "value": value, "occurred_at": 20.0} for value in (2, 4)]
    rows += [{"kind": "view", "user_id": "u", "item_id": "e", "occurred_at": 99.0}]
    store.append(rows)
    assert store.takers(["buy"], since=5.0) == {"a": 2, "b": 2}
    assert store.takers(["buy"], since=5.0, since_place=store.last_place) == {"b": 2}  # of anonymous visitors
    assert store.takers(["buy", "rate"], since=15.0, least_rating=3.0) == {"a": 2, "b": 2, "d": 1}
    assert store.takers(["buy", "rate"], since=15.0, least_rating=4.5) == {"a": 2, "b": 2}
    assert store.newest(["buy", "rate"]) == 20.0
    store.append([buy("u", "a", occurred_at=4e9)])
    assert abs(store.newest(["buy"]) - time.time()) < 60  # a clock that is wrong moves no window


def test_places_of_forgotten_events_are_not_given_again(store):
    """Whoever has read up to a place misses nothing that comes later."""
    store.append([buy("u", "a"), buy("v", "b"), buy("u", "c")])
    assert store.forget(["u", "nobody"]) == 2
    assert store.of_user("u") == []
    store.append([buy("w", "d")])
    assert [event.place for event in read_all(store)] == [2, 4]


def test_threads_that_append_at_once_lose_nothing_and_share_no_place(address, store):
    problems = []

    def append(name):
        own = EventStore.open(address, "shop")
        try:
            for k in range(20):
                own.append([buy(name, f"{k}"), buy(name, "same", event_id=f"same-{name}")])
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=append, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    places = [event.place for event in read_all(store)]
    assert places == list(range(1, 64))


def test_a_database_without_events_is_brought_forward(address, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(tables, "MIGRATIONS", tables.MIGRATIONS[:2])
        StateStore.open(address, "shop").put([{"item_id": "a"}], 10)
    store = EventStore.open(address, "shop")
    assert store.append([buy("u", "a")]) == (1, 0)
    assert [item.item_id for item in StateStore.open(address, "shop").read().items] == ["a"]


def test_what_is_asked_at_every_request_goes_by_an_index(store):
    asked = []

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def remember(connection, cursor, statement, parameters, context, executemany):
        asked.append((statement, parameters))

    store.latest_of_users(["u"], ["buy"], 10)
    store.takers(["buy"], 5.0)
    list(store.read(3))
    plans = []
    with store.engine.connect() as connection:
        for statement, parameters in [one for one in asked if "FROM events" in one[0]]:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            plans += [row[-1] for row in plan if row[-1].startswith("SEARCH events")]
    for column in ("user_id=?", "occurred_at>?", "place>?"):
        assert any(f"model=? AND {column}" in plan for plan in plans), (column, plans)


def test_who_has_little_patience_is_told_that_another_one_writes(address, store):
    """And whoever comes next on the same connection has the usual patience."""
    other = EventStore.open(address, "shop")
    with tables.write_transaction(other.engine), pytest.raises(StateError, match="written: database is locked"):
        store.append([{"kind": "view", "user_id": "u1", "item_id": "i1"}], patience_s=0.01)
    with tables.write_transaction(store.engine) as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    store.append([{"kind": "view", "user_id": "u1", "item_id": "i1"}], patience_s=0.01)
    assert len(store.of_user("u1")) == 1


def test_a_full_disk_is_one_sentence_and_stores_no_call_by_half(store):
    store.append([buy("u", "a")])

    @sa.event.listens_for(store.engine, "connect")
    def small(connection, _):
        connection.execute("PRAGMA max_page_count=40")

    store.engine.dispose()
    with pytest.raises(StateError, match=r"could not be written: database or disk is full\. Free space there;") as full:
        for _ in range(200):
            store.append([{"kind": "search", "words": "w" * 500} for _ in range(10)])
    assert full.value.disk_full
    assert full.value.http_status == 507
    n_stored = len(read_all(store))
    assert n_stored > 1
    assert (n_stored - 1) % 10 == 0
    assert store.last_place == n_stored


APPENDING = """
import sys
from tailor.state.events import EventStore
from tailor.state.store import StateStore
store, items = EventStore.open(sys.argv[1], "shop"), StateStore.open(sys.argv[1], "shop")
n, n_items = store.last_place, len(items.read().items)
while True:
    rows = [{"kind": "buy", "user_id": "u", "item_id": "t" * 500, "event_id": f"{n + k}"} for k in range(50)]
    items.put([{"item_id": f"{n_items + k}", "title": "t" * 500} for k in range(5)], 10**6)
    store.append(rows)
    n, n_items = n + 50, n_items + 5
    print(n, flush=True)
"""


def test_a_process_killed_while_it_appends_has_stored_all_that_it_acknowledged_and_no_call_by_half(address):
    for acknowledged in killed_again_and_again(APPENDING, address):
        places = [event.place for event in read_all(EventStore.open(address, "shop"))]
        assert len(places) >= acknowledged > 0
        assert len(places) % 50 == 0
        assert places == list(range(1, len(places) + 1))
        n_items = len(StateStore.open(address, "shop").read().items)
        assert n_items % 5 == 0
        assert n_items * 10 >= acknowledged
