"""Dates of items, of columns that a catalogue names."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.item_dates import DateOptions, expired, with_dates
from tailor.errors import BadInputError

ITEMS = pd.DataFrame({"item_id": ["a", "b", "c"], "year": [1999, 2001, None], "ends": ["2001-01-02", " ", None]})


def test_dates_are_seconds_in_columns_of_their_own():
    dated = with_dates(ITEMS, DateOptions(released="year", expires="ends"))
    day = 86_400.0
    np.testing.assert_array_equal(dated["expires_at"], [(31 * 365 + 8) * day + day, np.nan, np.nan])
    assert dated["released_at"].tolist()[:2] == [(29 * 365 + 7) * day, (31 * 365 + 8) * day]
    assert np.isnan(dated["released_at"][2])
    pd.testing.assert_frame_equal(dated[ITEMS.columns], ITEMS)


def test_nothing_that_is_named_changes_nothing():
    pd.testing.assert_frame_equal(with_dates(ITEMS, DateOptions()), ITEMS)


def test_a_column_without_any_date_is_empty():
    dated = with_dates(ITEMS.assign(ends=None), DateOptions(expires="ends"))
    assert dated["expires_at"].isna().all()
    assert dated["expires_at"].dtype == "float64"


def test_what_is_no_column_or_no_date_is_said():
    with pytest.raises(BadInputError, match=r"dates\.expires = 'end': items has no such column\. Did you mean 'ends'"):
        with_dates(ITEMS, DateOptions(expires="end"))
    with pytest.raises(BadInputError, match=r"items\.ends = 'never' is no date, in 1 rows: write 2026-12-31, or leave"):
        with_dates(ITEMS.assign(ends=["never", None, "2001-01-01"]), DateOptions(expires="ends"))


def test_an_item_has_ended_from_its_date_on():
    assert expired(np.array([9.0, 10.0, 11.0, np.nan]), now=10.0).tolist() == [True, True, False, False]
