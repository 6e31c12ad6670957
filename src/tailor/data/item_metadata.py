"""What is known of items beside behaviour: titles, pieces of text, categories and numbers; one parquet file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.vocabulary import Vocabulary
from tailor.errors import BadInputError, did_you_mean

CATEGORIES = "categories"
_OWN = (c.ITEM, c.TITLE, c.PIECES, CATEGORIES)


@dataclass(frozen=True)
class Facts:
    """One row per item, in the order of the recommender's items."""

    table: pd.DataFrame
    """item_id, title, pieces and categories (JSON lists), and numeric columns, NaN where missing."""
    text: dict[str, Any] = field(default_factory=dict)
    """Options by which the texts were written; not part of the file."""

    @classmethod
    def build(cls, items: pd.DataFrame, pieces: pd.Series, categories: pd.DataFrame) -> Self:
        """Gather the facts.

        Args:
            items: the items table.
            pieces: JSON lists of text pieces, in its order.
            categories: long form, item_id and category.
        """
        listed = categories.groupby(c.ITEM, sort=False)[c.CATEGORY].agg(list)
        title = items[c.TITLE] if c.TITLE in items else items[c.ITEM]
        table = pd.DataFrame({c.ITEM: items[c.ITEM].astype("str"), c.TITLE: title.astype("string").fillna("")})
        table[c.PIECES] = pieces.to_numpy()
        table[CATEGORIES] = [json.dumps(listed.get(item, []), ensure_ascii=False) for item in items[c.ITEM]]
        internal = {*_OWN, c.N_TRAIN, c.BUCKET, c.PSEUDO_COLD}
        for name in (str(col) for col in items if str(col) not in internal and c.VECTOR_PREFIX not in str(col)):
            numbers = pd.to_numeric(items[name], errors="coerce").astype("float64")
            given = items[name].notna() & (items[name].astype("string").str.strip() != "")
            if given.any() and numbers[given].notna().mean() >= 0.9:
                table[name] = numbers
        return cls(table)

    @cached_property
    def titles(self) -> list[str]:
        """(n,)."""
        return self.table[c.TITLE].astype(str).tolist()

    @cached_property
    def pieces(self) -> list[list[str]]:
        """(n,) lists."""
        return [json.loads(cell) for cell in self.table[c.PIECES]]

    @cached_property
    def categories(self) -> list[list[str]]:
        """(n,) lists of names."""
        return [json.loads(cell) for cell in self.table[CATEGORIES]]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All categories, by name."""
        return Vocabulary(sorted({name for row in self.categories for name in row}))

    @cached_property
    def member(self) -> sparse.csr_matrix:
        """0/1 (n, C)."""
        place = {name: at for at, name in enumerate(self.vocabulary.names)}
        cells = [(row, place[name]) for row, names in enumerate(self.categories) for name in dict.fromkeys(names)]
        rows, cols = np.array(cells, dtype=np.int64).reshape(-1, 2).T
        shape = (len(self.table), len(place))
        return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, cols)), shape=shape)

    @property
    def numbers(self) -> list[str]:
        """Names of the numeric columns."""
        return [str(name) for name in self.table if name not in _OWN]

    def passing(self, filters: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Return the items (n,) that pass filters: ``categories`` (any of a list), numeric columns (min, max).

        Raises:
            BadInputError: a filter or category that the catalogue does not have, or bounds that are no numbers.
        """
        keep, known = np.ones(len(self.table), dtype=bool), [CATEGORIES, *self.numbers]
        for name, wanted in filters.items():
            if name == CATEGORIES:
                keep &= self._in(wanted)
            elif name in self.numbers:
                low, high = _bounds(name, wanted)
                column = self.table[name].to_numpy()
                keep &= (column >= low) & (column <= high)
            else:
                hint = did_you_mean(name, known)
                raise BadInputError(f"Unknown filter '{name}'.{hint} This catalogue has: {', '.join(known)}.")
        return keep

    def _in(self, wanted: Any) -> NDArray[np.bool_]:
        names = [wanted] if isinstance(wanted, str) else wanted
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise BadInputError(f"categories = {wanted!r}: a name or a list of names is needed")
        lower = {name.lower(): at for at, name in enumerate(self.vocabulary.names)}
        for name in names:
            if name.lower() not in lower:
                hint = did_you_mean(name, self.vocabulary.names)
                raise BadInputError(f"Unknown category '{name}'.{hint} Known: {', '.join(self.vocabulary.names)}.")
        chosen = [lower[name.lower()] for name in names]
        return np.asarray(self.member[:, chosen].sum(axis=1)).ravel() > 0

    def take(self, rows: NDArray[np.int64]) -> "Facts":
        """Return some of the items."""
        return Facts(self.table.iloc[rows].reset_index(drop=True))

    def joined(self, other: "Facts") -> "Facts":
        """Return the facts of more items behind these."""
        return Facts(pd.concat([self.table, other.table], ignore_index=True))

    def save(self, path: Path) -> None:
        """Write parquet."""
        self.table.to_parquet(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        return cls(pd.read_parquet(path))


def _bounds(name: str, wanted: Any) -> tuple[float, float]:
    if not isinstance(wanted, Mapping) or set(wanted) - {"min", "max"}:
        raise BadInputError(f"Filter {name} = {wanted!r}: write {{'min': number, 'max': number}}, either or both")
    try:
        low, high = float(wanted.get("min", -np.inf)), float(wanted.get("max", np.inf))
    except (TypeError, ValueError):
        raise BadInputError(f"Filter {name} = {wanted!r}: min and max must be numbers") from None
    if np.isnan(low) or np.isnan(high):
        raise BadInputError(f"Filter {name} = {wanted!r}: min and max must be numbers")
    return low, high
