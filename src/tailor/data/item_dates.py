"""When items came out and when they end, of columns that a catalogue names."""

import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor.config import Options
from tailor.data.cells import read_times
from tailor.errors import BadInputError, did_you_mean

#: Columns of the items' metadata: seconds since 1970, NaN where nothing is known.
RELEASED, EXPIRES = "released_at", "expires_at"


class DateOptions(Options):
    """Columns of the items table that hold dates (ISO dates, years, seconds since 1970)."""

    released: str | None = None
    """When an item came out: what the scenario `newest` goes by; null: its first interaction."""
    expires: str | None = None
    """From when on an item is listed no more; null, or an empty cell: it never ends."""

    @property
    def columns(self) -> dict[str, str]:
        """Names that are given, by the column of the metadata that is made of them."""
        named = {RELEASED: self.released, EXPIRES: self.expires}
        return {ours: theirs for ours, theirs in named.items() if theirs is not None}


def with_dates(items: pd.DataFrame, options: DateOptions, where: str = "items") -> pd.DataFrame:
    """Return a table of items with its dates as seconds, in columns of their own.

    Args:
        items: raw cells.
        options: which columns hold dates.
        where: the table, for errors.

    Raises:
        BadInputError: a column does not exist, or has a cell that is no date.
    """
    added = {}
    for ours, theirs in options.columns.items():
        option = "released" if ours == RELEASED else "expires"
        if theirs not in items:
            hint = did_you_mean(theirs, [str(name) for name in items])
            raise BadInputError(f"feature_engineering.dates.{option} = '{theirs}': {where} has no such column.{hint}")
        cells = items[theirs].where(items[theirs].astype("string").str.strip().fillna("") != "")
        seconds = read_times(cells, f"{where}.{theirs}").cells if cells.notna().any() else cells.astype("float64")
        unread = cells.notna() & seconds.isna()
        if unread.any():
            raise BadInputError(
                f"{where}.{theirs} = '{str(cells[unread].iloc[0])[:50]}' is no date, in {int(unread.sum())} rows: "
                "write 2026-12-31, or leave the cell empty."
            )
        added[ours] = seconds.astype("float64")
    return items.assign(**added)


def expired(expires: NDArray[np.float64], now: float | None = None) -> NDArray[np.bool_]:
    """Mark the items (n,) that have ended.

    Args:
        expires: seconds since 1970 (n,), NaN where an item never ends.
        now: seconds since 1970; None: the clock.
    """
    return np.asarray(expires <= (time.time() if now is None else now))
