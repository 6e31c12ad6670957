"""Dates are told from places in an order."""

import pandas as pd
import pytest

from tailor.data.times import PLACES, are_dates


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1, 2, 300], False),
        ([0.0, PLACES - 1], False),
        ([0.0, PLACES], True),
        ([-1.0, 5.0], True),  # December 1969
        ([1.3e9, 1.4e9], True),
        ([1.3e12, 1.4e12], False),  # milliseconds
        ([-1e10, 1.4e9], False),  # before 1800
    ],
)
def test_dates_are_seconds_that_are_no_places(times, expected):
    assert are_dates(pd.Series(times, dtype=float)) is expected
