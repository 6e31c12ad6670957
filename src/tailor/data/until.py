"""A catalogue as it was at a date: rows after it do not exist.

They leave before repeated rows are joined and before anything is counted, so that popularity, buckets, cold items and
every split are those of the day. Items stay: one whose first row is after the date is an item without rows.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from tailor.errors import BadInputError

Until = float | str
#: How the report of the data calls rows that are left out, before the date.
LATER = "after "
_DAY = timedelta(days=1)


def read_until(value: object) -> Until:
    """Return a share of the rows, seconds since 1970 or an ISO date as it is given.

    Raises:
        ValueError: it is none of these; says what to write.
    """
    if isinstance(value, datetime) or hasattr(value, "isoformat"):
        value = value.isoformat()
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < np.inf:
        return float(value)
    if isinstance(value, str):
        try:
            _last_moment(value)
        except ValueError:
            pass
        else:
            return value
    raise ValueError(
        f"{value!r} is no date: write one such as '1998-03-01' or '1998-03-01T12:00:00', seconds since 1970, or a "
        "share of the rows, such as 0.8"
    )


def cutoff(times: pd.Series, until: Until) -> float:
    """Return the last moment that exists, in seconds since 1970.

    Args:
        times: of the rows, in seconds; at least one.
        until: an ISO date (UTC unless it says otherwise; a day without a time of day counts to its end), seconds (more
            than 1), or a share of the rows in time order: the time of the last of these. Rows of that second all stay.
    """
    if isinstance(until, str):
        return _last_moment(until)
    if until > 1:
        return until
    ordered = np.sort(times.to_numpy(dtype=np.float64))
    return float(ordered[max(int(np.ceil(round(until * len(ordered), 6))), 1) - 1])


def rows_after(times: pd.Series, until: Until, table: str) -> pd.Series:
    """Mark the rows after the date, bool, indexed like ``times``.

    Args:
        times: of the rows, in seconds; at least one.
        until: see :func:`cutoff`.
        table: name of the raw table behind "raw_", for errors.

    Raises:
        BadInputError: all of them are.
    """
    later = times > cutoff(times, until)
    if later.all():
        raise BadInputError(
            f"data_processing.cleaning.until = {until} is before the first row of raw_{table} "
            f"({as_date(float(times.min()))}): no row is left. Write a later date, or null for all rows."
        )
    return later


def as_date(seconds: float) -> str:
    """Write a time as a date in UTC, without parts of a second.

    >>> as_date(86_400.0 * 365)
    '1971-01-01 00:00:00 UTC'
    """
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=np.floor(seconds)):%Y-%m-%d %H:%M:%S} UTC"


def iso(seconds: float) -> str:
    """Write a time as an ISO date that is not before it, to the microsecond.

    >>> iso(86_400.5)
    '1970-01-02T00:00:00.500000+00:00'
    """
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=np.ceil(seconds * 1e6))).isoformat()


def _last_moment(text: str) -> float:
    """Return the last moment of an ISO date; raises ValueError where it is none."""
    date = datetime.fromisoformat(text)
    whole_day = len(text) <= len("1998-03-01")
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return float(np.nextafter((date + _DAY).timestamp(), 0)) if whole_day else date.timestamp()
