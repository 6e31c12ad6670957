"""When items were taken: first, and on each of the last days; what is popular now and what is new."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.ids import IdMap
from tailor.data.interactions import taller
from tailor.data.times import are_dates

_DAY_S = 86_400.0
#: Days before the newest interaction that are counted one by one.
MAX_DAYS = 90


@dataclass(frozen=True, eq=False)
class ItemTimes:
    """Interactions of items by day."""

    until: float
    """Time of the newest interaction, seconds since 1970."""
    first: NDArray[np.float64]
    """Time of each item's first interaction (n_items,), NaN where it has none."""
    daily: sparse.csr_matrix
    """Interactions (n_items, MAX_DAYS); column d: from d + 1 to d days before ``end``."""
    end: float
    """Where the newest of the days ends: less than a day behind ``until``, so that whole days stay whole."""

    @classmethod
    def of(cls, interactions: pd.DataFrame, items: IdMap) -> Self | None:
        """Count interactions; None where their times are not known, or are places in an order.

        Args:
            interactions: item_id (of known items) and timestamp, seconds since 1970.
            items: of the catalogue.
        """
        if c.TIMESTAMP not in interactions or not interactions[c.TIMESTAMP].notna().any():
            return None
        rows, times = _timed(interactions, items)
        if not len(rows) or not are_dates(pd.Series(times)):
            return None
        until = float(times.max())
        return cls(until, _first(rows, times, len(items)), _daily(rows, times, len(items), until), until)

    def with_rows(self, interactions: pd.DataFrame, items: IdMap) -> "ItemTimes":
        """Return the times with more interactions; arguments as of :meth:`of`, and all items have a row here."""
        if c.TIMESTAMP not in interactions:
            return self
        rows, times = _timed(interactions, items)
        until = float(times.max(initial=self.until))
        n_days = max(0, int(np.ceil((until - self.end) / _DAY_S)))
        end = self.end + n_days * _DAY_S
        day = self.daily.tocoo()
        still = day.col + n_days < MAX_DAYS
        cells = (day.row[still], day.col[still] + n_days)
        known = sparse.csr_matrix((day.data[still], cells), shape=self.daily.shape)
        return ItemTimes(
            until,
            np.fmin(self.first, _first(rows, times, len(items))),
            sparse.csr_matrix(known + _daily(rows, times, len(items), end)),
            end,
        )

    def window(self, days: int, newest: float | None = None) -> NDArray[np.float64]:
        """Return how often each item was taken in the last days before the newest interaction (n_items,).

        Args:
            days: length of the window.
            newest: time of a later interaction, that the window ends with. Days are counted that lie in it as a whole.
        """
        later = ((self.until if newest is None else max(self.until, newest)) - self.end) / _DAY_S
        whole = max(0, int(np.floor(days - later)))
        return np.asarray(self.daily[:, :whole].sum(axis=1), dtype=np.float64).ravel()

    def extend(self, n_items: int) -> "ItemTimes":
        """Return the times of a larger catalogue; nobody has taken the items that joined."""
        n_new = n_items - len(self.first)
        first = np.append(self.first, np.full(n_new, np.nan))
        return replace(self, first=first, daily=taller(self.daily, n_items))

    def save(self, path: Path) -> None:
        """Write all as npz, without pickle."""
        cells = {name: getattr(self.daily, name) for name in ("data", "indices", "indptr")}
        np.savez(path, until=self.until, end=self.end, first=self.first, **cells)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            first = file["first"]
            parts = (file["data"], file["indices"], file["indptr"])
            daily = sparse.csr_matrix(parts, shape=(len(first), MAX_DAYS))
            return cls(float(file["until"]), first, daily, float(file["end"]))


def _timed(interactions: pd.DataFrame, items: IdMap) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return item numbers and times (n,) of the interactions whose time is known, of known items."""
    timed = interactions.dropna(subset=[c.TIMESTAMP])
    rows, times = items.indices(timed[c.ITEM]), timed[c.TIMESTAMP].to_numpy(dtype=np.float64)
    return rows[rows >= 0], times[rows >= 0]


def _first(rows: NDArray[np.int64], times: NDArray[np.float64], n_items: int) -> NDArray[np.float64]:
    first = np.full(n_items, np.inf)
    np.minimum.at(first, rows, times)
    return np.where(np.isfinite(first), first, np.nan)


def _daily(rows: NDArray[np.int64], times: NDArray[np.float64], n_items: int, end: float) -> sparse.csr_matrix:
    """Count interactions by item and day before ``end`` (n_items, MAX_DAYS)."""
    age = np.floor((end - times) / _DAY_S)
    recent = age < MAX_DAYS
    cells = (rows[recent], age[recent].astype(np.int64))
    return sparse.csr_matrix((np.ones(int(recent.sum())), cells), shape=(n_items, MAX_DAYS))
