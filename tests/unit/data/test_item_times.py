"""Interactions of items by day."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.ids import IdMap
from tailor.data.item_times import MAX_DAYS, ItemTimes

DAY = 86_400.0
ITEMS = IdMap(["a", "b", "c"])


def rows(*pairs):
    return pd.DataFrame(pairs, columns=["item_id", "timestamp"])


@pytest.fixture
def times():
    """On days 100, 99, 98.5 and 0: a, a, b, b."""
    return ItemTimes.of(rows(("a", 100 * DAY), ("a", 99 * DAY), ("b", 98.5 * DAY), ("b", 0.0)), ITEMS)


def test_what_was_taken_in_the_last_days_is_counted(times):
    assert times.until == 100 * DAY
    assert times.window(1).tolist() == [1, 0, 0]
    assert times.window(2).tolist() == [2, 1, 0]
    assert times.window(MAX_DAYS).tolist() == [2, 1, 0]  # the row of day 0 lies before
    np.testing.assert_array_equal(times.first, [99 * DAY, 0, np.nan])


def test_a_later_event_moves_the_window(times):
    assert times.window(2, newest=101 * DAY).tolist() == [1, 0, 0]
    assert times.window(2, newest=102 * DAY).tolist() == [0, 0, 0]
    assert times.window(2, newest=0.0).tolist() == [2, 1, 0]


def test_rows_without_times_or_of_unknown_items_do_not_count():
    timed = ItemTimes.of(rows(("a", DAY), ("b", np.nan), ("ghost", 9 * DAY)), ITEMS)
    assert (timed.until, timed.window(1).tolist()) == (DAY, [1, 0, 0])
    assert ItemTimes.of(rows(("a", DAY)).drop(columns="timestamp"), ITEMS) is None
    assert ItemTimes.of(rows(("a", np.nan)), ITEMS) is None


def test_they_go_to_disk_and_grow(times, tmp_path):
    times.save(tmp_path / "t.npz")
    grown = ItemTimes.load(tmp_path / "t.npz").extend(5)
    assert grown.window(2).tolist() == [2, 1, 0, 0, 0]
    assert np.isnan(grown.first[2:]).all()
    assert grown.first[:2].tolist() == [99 * DAY, 0]


def test_rows_of_unknown_items_alone_are_no_times():
    assert ItemTimes.of(rows(("ghost", DAY)), ITEMS) is None


def test_rows_that_come_count_by_their_day_and_date_what_nobody_had_taken(times, tmp_path):
    later = times.with_rows(rows(("c", 101.25 * DAY), ("a", 100.5 * DAY), ("b", np.nan), ("ghost", 200 * DAY)), ITEMS)
    assert later.until == 101.25 * DAY
    np.testing.assert_array_equal(later.first, [99 * DAY, 0, 101.25 * DAY])
    # Days end at 102: c and a of the days to 102 and 101, a of the one to 100, a and b of the one to 99.
    assert later.window(1).tolist() == [0, 0, 1]
    assert later.window(2).tolist() == [1, 0, 1]
    assert later.window(4).tolist() == [3, 1, 1]
    later.save(tmp_path / "t.npz")
    assert ItemTimes.load(tmp_path / "t.npz").window(4).tolist() == [3, 1, 1]
    assert times.with_rows(rows(("a", DAY)).drop(columns="timestamp"), ITEMS) is times


def test_many_small_updates_age_nothing_faster_than_one(times):
    """Of 48 updates, one each hour, days stay days."""
    by_hour = times
    for hour in range(1, 49):
        by_hour = by_hour.with_rows(rows(("c", 100 * DAY + hour * DAY / 24)), ITEMS)
    at_once = times.with_rows(rows(*[("c", 100 * DAY + hour * DAY / 24) for hour in range(1, 49)]), ITEMS)
    for days in (1, 2, 3, 5, MAX_DAYS):
        assert by_hour.window(days).tolist() == at_once.window(days).tolist()
    assert by_hour.window(4).tolist() == [2, 1, 48]
