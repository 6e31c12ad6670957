"""What users did since the fit: it joins their histories, and what they turned down is listed no more."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.config import parse
from tailor.errors import ConfigurationError
from tailor.serving.events import EventOptions, StoredEvents, UserEvents
from tailor.serving.items import ItemStore
from tailor.serving.schema import Request, Settings
from tailor.state.events import Event, EventStore
from tailor.state.tables import StateError
from tests.unit.serving.conftest import listed, scores_of


def did(kind, item, place=1, **columns):
    return Event("shop", f"e{place}", place, 0.0, 0.0, kind, "u", item, **columns)


@pytest.fixture
def store(tmp_path):
    return ItemStore.open(tmp_path / "shop.json")


@pytest.fixture
def events(store):
    return store.events.store


@pytest.fixture
def model(served, store):
    return store.apply(served)


def buy(user, item, kind="buy", **columns):
    return {"kind": kind, "user_id": user, "item_id": item, **columns}


def test_what_weighs_enough_joins_the_history_in_the_order_of_the_latest_event():
    rows = [did("cart", "a"), did("view", "b"), did("like", "c"), did("click", "d"), did("view", "a"), did("buy", "e")]
    read = UserEvents.of([*rows, did("cart", "c")], EventOptions())
    assert dict(zip(read.history, read.weights, strict=True)) == {"a": 0.6, "e": 1.0, "c": 1.0}
    assert read.history == ("a", "e", "c")
    assert (read.bought, read.not_for_him) == (frozenset("e"), frozenset())


def test_weights_and_the_least_are_options():
    options = EventOptions(weights={"view": 0.3, "buy": 0.1}, least=0.3)
    read = UserEvents.of([did("view", "a"), did("buy", "b"), did("cart", "c")], options)
    assert (read.history, read.weights, read.bought) == (("a",), (0.3,), frozenset("b"))


@pytest.mark.parametrize(("least", "expected"), [(4.0, ("b", "c")), (None, ("a", "b", "c")), (4.5, ("c",))])
def test_a_rating_speaks_for_an_item_from_the_threshold_on(least, expected):
    rows = [did("rate", item, value=value) for item, value in (("a", 3.5), ("b", 4.0), ("c", 5.0))]
    assert UserEvents.of(rows, EventOptions(least_rating=least)).history == expected


def test_of_turning_down_and_taking_the_later_event_counts():
    down = UserEvents.of([did("like", "a"), did("not_for_me", "a"), did("view", "a")], EventOptions())
    assert (down.history, down.not_for_him) == ((), frozenset("a"))
    taken = UserEvents.of([did("not_for_me", "a"), did("cart", "a")], EventOptions())
    assert (taken.history, taken.not_for_him) == (("a",), frozenset())


def test_a_known_user_is_answered_as_if_the_request_named_the_events(served, model, events, known):
    taken = listed(served, Request(known), k=3).item_ids[:2]
    events.append([buy(known, taken[0]), buy(known, taken[1], "cart")])
    answer = listed(model, Request(known))
    expected = listed(served, Request(known, history=taken, weights=[1.0, 0.6]))
    assert answer.item_ids == expected.item_ids
    np.testing.assert_array_equal(answer.scores, expected.scores)
    assert (answer.path, expected.path) == ("known_user", "fold_in")
    assert not set(taken) & set(answer.item_ids)
    assert answer.unknown_history == 0


def test_a_new_user_with_events_is_a_user_with_that_history(served, model, events):
    assert listed(model, Request("new")).path == "popular"
    events.append([buy("new", "i3"), buy("new", "ghost"), buy("new", "i7", "like"), buy("new", "i9", "view")])
    answer = listed(model, Request("new"))
    expected = listed(served, Request(history=["i3", "i7"]))
    assert (answer.item_ids, answer.scores) == (expected.item_ids, expected.scores)
    assert (answer.path, answer.unknown_history) == ("known_user", 0)


def test_what_a_request_says_comes_behind_the_events(served, model, events):
    events.append([buy("new", "i3"), buy("new", "i7"), buy("new", "i5", "cart")])
    request = Request("new", history=["i3", "i11"], weights=[0.5, 1.0])
    expected = Request(history=["i7", "i5", "i3", "i11"], weights=[1.0, 0.6, 0.5, 1.0])
    answer = listed(model, request, half_life=2.0)
    assert answer.scores == listed(served, expected, half_life=2.0).scores
    assert answer.path == "fold_in"


def test_one_user_s_events_are_nobody_else_s(served, model, events, known):
    events.append([buy("new", "i3")])
    for request in (Request(known), Request(), Request("other")):
        assert listed(model, request) == listed(served, request)
    several = model.recommend([Request(), Request("new"), Request(known)], Settings(k=10))
    for answer, request in zip(several, (Request(), Request("new"), Request(known)), strict=True):
        alone = listed(model, request)
        assert (answer.item_ids, answer.path) == (alone.item_ids, alone.path)
        np.testing.assert_allclose(answer.scores, alone.scores, rtol=1e-5)


def test_what_is_not_for_him_is_listed_no_more_and_what_was_bought_is_known(model, events):
    first, second, *_ = listed(model, Request("new")).item_ids
    events.append([buy("new", first, "not_for_me"), buy("new", second, "view")])
    assert first not in listed(model, Request("new"), k=1000).item_ids
    assert second in listed(model, Request("new"), k=1000).item_ids
    assert first not in listed(model, Request("new"), k=1000, exclude_seen=False).item_ids
    events.append([buy("new", second)])
    assert second not in listed(model, Request("new"), k=1000).item_ids
    assert second in listed(model, Request("new"), k=1000, exclude_seen=False).item_ids
    events.append([buy("new", first, "cart")])
    assert first in listed(model, Request("new"), k=1000, exclude_seen=False).item_ids


def test_a_purchase_that_weighs_little_is_known_all_the_same(served, store, events):
    light = store.apply(replace(served, about=served.about | {"events": {"weights": {"buy": 0.1}}}))
    events.append([buy("new", "i3")])
    answer = listed(light, Request("new"), k=1000)
    assert answer.path == "popular"
    assert "i3" not in answer.item_ids
    assert "i3" in listed(light, Request("new"), k=1000, exclude_seen=False).item_ids


def test_events_on_an_item_that_was_put_count(served, store, events, names):
    model = store.put(store.apply(served), [{"item_id": "fresh", "title": "Fresh", "genre": names[0]}])
    events.append([buy("new", "fresh")])
    assert listed(model, Request("new")).scores == listed(model, Request(history=["fresh"])).scores


def test_what_an_update_has_taken_in_does_not_come_later_again(served, store, events, known, history):
    """Neither does its item lose its position in the history; an event after the update moves it to the end."""
    events.append([buy(known, history[0]), buy(known, "i3")])
    updated = store.apply(replace(served, about=served.about | {"events_until": 2}))
    fresh = [] if "i3" in history else ["i3"]
    expected = listed(served, Request(known, history=fresh))
    assert listed(updated, Request(known)).scores == expected.scores
    events.append([buy(known, history[0])])
    moved = listed(served, Request(known, history=[*fresh, history[0]]))
    assert listed(updated, Request(known)).scores == moved.scores


def test_another_process_s_events_are_in_the_next_answer(served, model, tmp_path):
    other = ItemStore.open(tmp_path / "shop.json")
    before = scores_of(model, Request("new"))
    other.events.store.append([buy("new", "i3")])
    after = scores_of(model, Request("new"))
    assert (after - before).abs().max() > 1e-3


def test_only_the_latest_events_of_a_user_are_read(model, events, monkeypatch):
    monkeypatch.setattr("tailor.serving.events.MAX_EVENTS", 2)
    events.append([buy("new", f"i{k}") for k in (3, 5, 7)])
    assert listed(model, Request("new")).scores == listed(model, Request(history=["i5", "i7"])).scores


def test_answers_go_on_without_a_database_and_the_log_says_so(served, model, events, monkeypatch, caplog):
    events.append([buy("new", "i3")])
    clock = [100.0]
    monkeypatch.setattr("tailor.serving.events.time.monotonic", lambda: clock[0])
    with monkeypatch.context() as patched:
        asked = []

        def fail(*_):
            asked.append(1)
            raise StateError("The state could not be read: gone.")

        patched.setattr(EventStore, "latest_of_users", fail)
        for _ in range(3):
            assert listed(model, Request("new")).path == "popular"
        assert len(asked) == 1
        assert caplog.text.count("Answers are without events: The state could not be read: gone.") == 1
    clock[0] += 1
    assert listed(model, Request("new")).path == "known_user"


def test_a_batch_reads_up_to_a_place(store, events):
    events.append([buy("u", "a"), buy("u", "b")])
    log = StoredEvents(store.state, until_place=1)
    assert [event.item_id for event in log.latest(["u"])["u"]] == ["a"]


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ConfigurationError, match=r"events\.weights\.search"):
        parse(EventOptions, {"weights": {"search": 1.0}}, "events")
    with pytest.raises(ConfigurationError, match=r"events\.least"):
        parse(EventOptions, {"least": 0}, "events")
