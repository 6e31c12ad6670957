"""Lists that are the same for everybody: what is trending, what is new."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.data.item_metadata import ItemMetadata
from tailor.data.item_times import ItemTimes
from tailor.errors import BadInputError
from tailor.serving.items import ItemStore, put, read_items
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request
from tailor.serving.update import with_interactions
from tests.unit.serving.conftest import Planted, listed

DAY = 86_400.0


@pytest.fixture
def timed(served):
    """i5 was taken three times on the last day, i7 twice two days before, i9 ten times long ago."""
    pairs = [("i5", 100.0)] * 3 + [("i7", 98.0)] * 2 + [("i9", 50.0)] * 10
    rows = pd.DataFrame([(item, (15_000 + day) * DAY) for item, day in pairs], columns=["item_id", "timestamp"])
    return replace(served, item_times=ItemTimes.of(rows, served.items))


def test_what_was_taken_lately_leads_and_of_equal_ones_the_more_popular(timed):
    popularity = np.bincount(timed.histories.history.indices, minlength=len(timed.items))
    answer = listed(timed, Request(), rank_by="trending", window_days=7)
    assert answer.path == "trending"
    assert answer.item_ids[:2] == ["i5", "i7"]
    rest = timed.item_indices(answer.item_ids[2:])
    assert (np.diff(popularity[rest]) <= 0).all()
    assert listed(timed, Request(), rank_by="trending", window_days=90).item_ids[0] == "i9"
    assert "i7" not in listed(timed, Request(), rank_by="trending", window_days=1, k=1).item_ids
    assert answer.scores[0] == pytest.approx(3 + popularity[5] / (popularity.max() + 1), rel=1e-6)


def test_events_count_each_user_once_and_move_the_window(timed, tmp_path):
    store = ItemStore.open(tmp_path / "shop.json")
    model = store.apply(timed)
    rows = [{"kind": "buy", "user_id": f"u{k}", "item_id": "i11", "occurred_at": 15_105 * DAY} for k in range(2)]
    noise = [{"kind": "buy", "user_id": "robot", "item_id": "i13", "occurred_at": 15_105 * DAY}] * 50
    views = [{"kind": "view", "user_id": f"v{k}", "item_id": "i15", "occurred_at": 15_105 * DAY} for k in range(9)]
    store.events.store.append([*rows, *noise, *views])
    assert listed(model, Request(), rank_by="trending", window_days=7, k=3).item_ids == ["i5", "i11", "i13"]
    # Day 100 lies not in the last three before the newest event, of day 105.
    assert listed(model, Request(), rank_by="trending", window_days=3, k=2).item_ids == ["i11", "i13"]


def test_what_is_trending_needs_times_or_events(served, tmp_path):
    with pytest.raises(BadInputError, match="rank_by = trending: nothing is known of when items were taken"):
        listed(served, Request(), rank_by="trending")
    store = ItemStore.open(tmp_path / "shop.json")
    model = store.apply(served)
    store.events.store.append([{"kind": "like", "item_id": "i11"}])
    assert listed(model, Request(), rank_by="trending", k=1).item_ids == ["i11"]


def test_newest_goes_by_the_release_date_else_by_the_first_interaction(served, timed):
    by_first = listed(timed, Request(), rank_by="newest", k=3)
    assert (by_first.item_ids, by_first.path) == (["i5", "i7", "i9"], "newest")
    released = np.full(len(served.items), np.nan)
    released[[9, 3, 7]] = 1.7e9, 1.7e9 + 1, 1.7e9 + 2  # a second counts
    table = served.known_metadata.table.assign(released_at=released)
    about = served.about | {"dates": {"released": "out"}}
    dated = replace(timed, metadata=ItemMetadata(table, served.known_metadata.text), about=about)
    assert listed(dated, Request(), rank_by="newest", k=3).item_ids == ["i7", "i3", "i9"]
    row = {"item_id": "fresh", "title": "Fresh", "genre": "", "out": "2100-01-01"}
    assert listed(put(dated, read_items(dated, [row])), Request(), rank_by="newest", k=1).item_ids == ["fresh"]
    with pytest.raises(BadInputError, match="rank_by = newest: neither"):
        listed(served, Request(), rank_by="newest")


def test_what_is_known_filters_pins_and_explanations_hold(timed, known):
    request = Request(history=["i5"], exclude=["i7"], pins=[{"item_id": "i3", "rank": 2}])
    answer = listed(timed, request, rank_by="trending", window_days=90, explain=True)
    assert answer.item_ids[:2] == ["i9", "i3"]
    assert not {"i5", "i7"} & set(answer.item_ids)
    assert answer.explanations == []
    assert answer.reasons == []


def test_times_travel_with_the_package(timed, tmp_path):
    replace(timed, encoder_of=lambda: Planted({"x": np.ones(2)})).save(tmp_path / "p")
    again = Recommender.load(tmp_path / "p")
    asked = {"rank_by": "trending", "window_days": 90}
    assert listed(again, Request(), **asked).item_ids == listed(timed, Request(), **asked).item_ids


def test_events_that_an_update_took_in_count_once(timed, tmp_path):
    """The update counts them among the interactions; anonymous ones, which it leaves out, count as events on."""
    store = ItemStore.open(tmp_path / "shop.json")
    buy = {"kind": "buy", "item_id": "i5", "occurred_at": 15_100 * DAY}
    store.events.store.append([buy | {"user_id": "u1"}, buy | {"user_id": "u2"}, buy])
    before = listed(store.apply(timed), Request(), rank_by="trending", window_days=7)
    assert int(before.scores[0]) == 3 + 3
    rows = pd.DataFrame({"user_id": ["u1", "u2"], "item_id": "i5", "timestamp": 15_100 * DAY})
    update = with_interactions(timed, rows, 1).until(store.events.store.last_place)
    after = listed(store.apply(update.recommender), Request(), rank_by="trending", window_days=7)
    assert after.item_ids[0] == "i5"
    assert int(after.scores[0]) == 3 + 3
