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
    """Interactions (n_items, MAX_DAYS); column d: from d + 1 to d days before ``until``."""

    @classmethod
    def of(cls, interactions: pd.DataFrame, items: IdMap) -> Self | None:
        """Count interactions; None where their times are not known.

        Args:
            interactions: item_id (of known items) and timestamp, seconds since 1970.
            items: of the catalogue.
        """
        if c.TIMESTAMP not in interactions or not interactions[c.TIMESTAMP].notna().any():
            return None
        timed = interactions.dropna(subset=[c.TIMESTAMP])
        rows, times = items.indices(timed[c.ITEM]), timed[c.TIMESTAMP].to_numpy(dtype=np.float64)
        rows, times = rows[rows >= 0], times[rows >= 0]
        until = float(times.max())
        first = np.full(len(items), np.inf)
        np.minimum.at(first, rows, times)
        age = np.floor((until - times) / _DAY_S)
        recent = age < MAX_DAYS
        cells = (rows[recent], age[recent].astype(np.int64))
        daily = sparse.csr_matrix((np.ones(int(recent.sum())), cells), shape=(len(items), MAX_DAYS))
        return cls(until, np.where(np.isfinite(first), first, np.nan), daily)

    def window(self, days: int, newest: float | None = None) -> NDArray[np.float64]:
        """Return how often each item was taken in the last days before the newest interaction (n_items,).

        Args:
            days: length of the window.
            newest: time of a later interaction, that the window ends with; of its days only those are counted whole
                that lie before ``until``.
        """
        later = 0.0 if newest is None else max(0.0, newest - self.until) / _DAY_S
        whole = max(0, int(np.floor(days - later)))
        return np.asarray(self.daily[:, :whole].sum(axis=1), dtype=np.float64).ravel()

    def extend(self, n_items: int) -> "ItemTimes":
        """Return the times of a larger catalogue; nobody has taken the items that joined."""
        n_new = n_items - len(self.first)
        shape = (n_items, self.daily.shape[1])
        indptr = np.append(self.daily.indptr, np.full(n_new, self.daily.indptr[-1]))
        daily = sparse.csr_matrix((self.daily.data, self.daily.indices, indptr), shape=shape)
        return replace(self, first=np.append(self.first, np.full(n_new, np.nan)), daily=daily)

    def save(self, path: Path) -> None:
        """Write all as npz, without pickle."""
        cells = {name: getattr(self.daily, name) for name in ("data", "indices", "indptr")}
        np.savez(path, until=self.until, first=self.first, **cells)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            first = file["first"]
            parts = (file["data"], file["indices"], file["indptr"])
            return cls(float(file["until"]), first, sparse.csr_matrix(parts, shape=(len(first), MAX_DAYS)))
