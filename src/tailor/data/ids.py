"""From external ids to rows and back: the one place where ids are looked up."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor.appending import append


class IdMap:
    """Ids of users or items in the order of their table; the row number of an id is its internal one.

    Example:
        >>> ids = IdMap(["i3", "i7"])
        >>> ids.indices(["i7", "unknown"])
        array([ 1, -1])
    """

    def __init__(self, ids: Iterable[object]) -> None:
        """Take the ids, each once.

        Args:
            ids: strings (n,).
        """
        self.ids: NDArray[np.object_] = np.asarray(list(ids), dtype=object)

    def __len__(self) -> int:
        """Return n."""
        return len(self.ids)

    def __contains__(self, external: object) -> bool:
        """Tell whether an id is known."""
        return external in self._row_of

    @cached_property
    def _row_of(self) -> dict[object, int]:
        return {external: row for row, external in enumerate(self.ids.tolist())}

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.ids)

    def index(self, external: object) -> int:
        """Return the row of one id, -1 where it is unknown."""
        return self._row_of.get(external, -1)

    def indices(self, external: Iterable[object]) -> NDArray[np.int64]:
        """Return the rows of ids (k,), -1 where unknown."""
        if isinstance(external, (pd.Series, pd.Index, np.ndarray)):
            return np.asarray(self._index.get_indexer(pd.Index(np.asarray(external, dtype=object))), dtype=np.int64)
        return np.fromiter((self._row_of.get(one, -1) for one in external), dtype=np.int64)

    def extend(self, external: Iterable[object]) -> "IdMap":
        """Return the ids with more behind them."""
        more = IdMap(external)
        grown = IdMap([])
        grown.ids = append(self.ids, more.ids)
        if "_row_of" in self.__dict__:
            behind = {one: row for row, one in enumerate(more.ids.tolist(), start=len(self))}
            grown.__dict__["_row_of"] = self._row_of | behind
        return grown
