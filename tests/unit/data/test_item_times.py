"""Interactions of items by day."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.ids import IdMap
from tailor.data.item_times import MAX_DAYS, ItemTimes

ITEMS = IdMap(["a", "b", "c"])


def day(number):
    """Return a day as seconds since 1970; day 0 is in January 2011."""
    return (15_000 + number) * 86_400.0


def rows(*pairs):
    return pd.DataFrame(pairs, columns=["item_id", "timestamp"])


@pytest.fixture
def times():
    """On days 100, 99, 98.5 and 0: a, a, b, b."""
    return ItemTimes.of(rows(("a", day(100)), ("a", day(99)), ("b", day(98.5)), ("b", day(0))), ITEMS)


def test_what_was_taken_in_the_last_days_is_counted(times):
    assert times.until == day(100)
    assert times.window(1).tolist() == [1, 0, 0]
    assert times.window(2).tolist() == [2, 1, 0]
    assert times.window(MAX_DAYS).tolist() == [2, 1, 0]  # the row of day 0 lies before
    np.testing.assert_array_equal(times.first, [day(99), day(0), np.nan])


def test_a_later_event_moves_the_window(times):
    assert times.window(2, newest=day(101)).tolist() == [1, 0, 0]
    assert times.window(2, newest=day(102)).tolist() == [0, 0, 0]
    assert times.window(2, newest=day(0)).tolist() == [2, 1, 0]


def test_rows_without_times_or_of_unknown_items_do_not_count():
    timed = ItemTimes.of(rows(("a", day(1)), ("b", np.nan), ("ghost", day(9))), ITEMS)
    assert (timed.until, timed.window(1).tolist()) == (day(1), [1, 0, 0])
    assert ItemTimes.of(rows(("a", day(1))).drop(columns="timestamp"), ITEMS) is None
    assert ItemTimes.of(rows(("a", np.nan)), ITEMS) is None


def test_they_go_to_disk_and_grow(times, tmp_path):
    times.save(tmp_path / "t.npz")
    grown = ItemTimes.load(tmp_path / "t.npz").extend(5)
    assert grown.window(2).tolist() == [2, 1, 0, 0, 0]
    assert np.isnan(grown.first[2:]).all()
    assert grown.first[:2].tolist() == [day(99), day(0)]


def test_places_in_an_order_are_no_times():
    assert ItemTimes.of(rows(("a", 1), ("b", 2), ("c", 300)), ITEMS) is None


def test_rows_of_unknown_items_alone_are_no_times():
    assert ItemTimes.of(rows(("ghost", day(1))), ITEMS) is None


def test_rows_that_come_count_by_their_day_and_date_what_nobody_had_taken(times, tmp_path):
    later = times.with_rows(rows(("c", day(101.25)), ("a", day(100.5)), ("b", np.nan), ("ghost", day(200))), ITEMS)
    assert later.until == day(101.25)
    np.testing.assert_array_equal(later.first, [day(99), day(0), day(101.25)])
    # Days end at 102: c and a of the days to 102 and 101, a of the one to 100, a and b of the one to 99.
    assert later.window(1).tolist() == [0, 0, 1]
    assert later.window(2).tolist() == [1, 0, 1]
    assert later.window(4).tolist() == [3, 1, 1]
    later.save(tmp_path / "t.npz")
    assert ItemTimes.load(tmp_path / "t.npz").window(4).tolist() == [3, 1, 1]
    assert times.with_rows(rows(("a", day(1))).drop(columns="timestamp"), ITEMS) is times


def test_many_small_updates_age_nothing_faster_than_one(times):
    """Of 48 updates, one each hour, days stay days."""
    by_hour = times
    for hour in range(1, 49):
        by_hour = by_hour.with_rows(rows(("c", day(100 + hour / 24))), ITEMS)
    at_once = times.with_rows(rows(*[("c", day(100 + hour / 24)) for hour in range(1, 49)]), ITEMS)
    for days in (1, 2, 3, 5, MAX_DAYS):
        assert by_hour.window(days).tolist() == at_once.window(days).tolist()
    assert by_hour.window(4).tolist() == [2, 1, 48]
