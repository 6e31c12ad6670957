"""What is known beside the items: of users (age, gender, …) and of the moment (device, hour, …), as numbers.

One indicator per value, centred; a row is 0 where nothing is known, so that it is scored like the average one.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.config import SideFeatureOptions
from tailor.data.ids import IdMap
from tailor.data.lists import holds_lists
from tailor.errors import BadInputError, ConfigurationError, did_you_mean
from tailor.types import AnyArray, JsonObject

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class FeatureColumn:
    """One column: a value each, or intervals of a number, with the share of train rows in each."""

    name: str
    values: tuple[str, ...]
    """The values, or how the intervals are called."""
    edges: tuple[float, ...]
    """Inner borders of the intervals, rising; empty where the column has values."""
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, name: str, cells: pd.Series, options: SideFeatureOptions, missing: Sequence[str]) -> Self:
        """Read values or intervals, and the share of each, off train rows."""
        empty = {word.lower() for word in missing}
        texts = [None if text is None or text.strip().lower() in empty else text for text in _as_text(cells)]
        known = pd.Series(texts, dtype=object)
        numbers = pd.to_numeric(known, errors="coerce")
        if known.notna().any() and numbers[known.notna()].notna().all() and numbers.nunique() > options.bins:
            inner = np.quantile(numbers.dropna(), np.arange(1, options.bins) / options.bins)
            edges = tuple(np.unique(inner).astype(float).tolist())
            bounds = ["-inf", *(f"{edge:g}" for edge in edges), "inf"]
            values = tuple(f"[{low}, {high})" for low, high in itertools.pairwise(bounds))
            codes = np.searchsorted(edges, numbers.dropna(), side="right")
        else:
            counts = known.value_counts()
            edges, values = (), tuple(sorted(counts[counts >= options.min_rows].index))
            codes = pd.Index(values).get_indexer(pd.Index(known.dropna()))
        shares = np.bincount(codes[codes >= 0], minlength=len(values)) / max(int((codes >= 0).sum()), 1)
        return cls(name, values, edges, tuple(shares.tolist()))

    def codes(self, cells: pd.Series) -> Indices:
        """Return the index of each cell's value (n,), -1 where it is missing or was too rare."""
        if not self.edges:
            return np.asarray(pd.Index(self.values).get_indexer(pd.Index(_as_text(cells))), dtype=np.int64)
        numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isnan(numbers), -1, np.searchsorted(self.edges, numbers, side="right")).astype(np.int64)

    def transform(self, cells: pd.Series) -> Floats:
        """Return centred indicators (n, number of values)."""
        codes = self.codes(cells)
        if not self.shares:
            return np.zeros((len(codes), 0), np.float32)
        indicators = np.eye(len(self.values), dtype=np.float32)[codes] - np.array(self.shares, np.float32)
        indicators[codes < 0] = 0.0
        return indicators


@dataclass(frozen=True)
class FeatureEncoder:
    """All columns of a table, fitted on train rows."""

    columns: tuple[FeatureColumn, ...] = ()

    @classmethod
    def fit(cls, rows: pd.DataFrame, options: SideFeatureOptions, missing: Sequence[str], where: str) -> Self:
        """Read values, intervals and shares off train rows.

        Args:
            rows: users with train rows, or train interactions.
            options: columns, bins, min_rows.
            missing: cell values (case-insensitive) that count as missing.
            where: the option's path, for the error.

        Raises:
            ConfigurationError: the table has no such column, or its cells are lists.
        """
        for name in options.columns:
            if name not in rows:
                raise ConfigurationError(
                    f"{where}.columns names '{name}'.{did_you_mean(name, list(rows.columns))} "
                    f"There are: {', '.join(rows.columns)}."
                )
            if holds_lists(rows[name]):
                raise ConfigurationError(
                    f"{where}.columns names '{name}', whose cells are lists: a column of one value per cell is needed."
                )
        return cls(tuple(FeatureColumn.fit(name, rows[name], options, missing) for name in options.columns))

    def transform(self, table: pd.DataFrame) -> Floats:
        """Return the numbers (n, q) of a table that has (some of) the columns."""
        absent = pd.Series([None] * len(table), dtype=object)
        parts = [column.transform(table.get(column.name, absent)) for column in self.columns]
        return np.hstack([np.zeros((len(table), 0), np.float32), *parts])

    def transform_requests(self, rows: Sequence[Mapping[str, object]], field: str) -> Floats:
        """Return the numbers (n, q) of what requests say; ``field``: profile or context, for the error.

        Raises:
            BadInputError: a name is none of the columns.
        """
        known = [column.name for column in self.columns]
        for name in {name for row in rows for name in row}:
            if name not in known:
                raise BadInputError(
                    f"Unknown {field} field '{name}'.{did_you_mean(name, known)} "
                    f"This model knows: {', '.join(known) or 'none'}."
                )
        return self.transform(pd.DataFrame([dict(row) for row in rows], columns=known, dtype=object))

    @property
    def width(self) -> int:
        """q."""
        return sum(len(column.values) if column.shares else 0 for column in self.columns)

    def state(self) -> JsonObject:
        """Return plain values."""
        return {"columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_state(cls, state: JsonObject) -> Self:
        """Undo :meth:`state`."""
        lists = ("values", "edges", "shares")
        columns = (FeatureColumn(entry["name"], *(tuple(entry[key]) for key in lists)) for entry in state["columns"])
        return cls(tuple(columns))


@dataclass(frozen=True)
class SideFeatures:
    """What is known of users, and of the moments they acted in."""

    profiles: Floats
    """(U, q)."""
    context_users: Indices
    """Row in the user table of each interaction whose context is known (N,)."""
    context_items: Indices
    """Likewise, in the item table (N,)."""
    contexts: Floats
    """Their contexts (N, r)."""
    validation_contexts: Floats
    """Mean context of each user's validation rows (U, r): in what moments lists would have been asked for."""

    @classmethod
    def nothing(cls, n_users: int) -> Self:
        """Return the side features of a catalogue that has none."""
        none, nowhere = np.zeros((n_users, 0), np.float32), np.zeros(0, np.int64)
        return cls(none, nowhere, nowhere, np.zeros((0, 0), np.float32), none)

    @classmethod
    def gather(
        cls,
        encoders: tuple[FeatureEncoder, FeatureEncoder],
        users: pd.DataFrame,
        items: pd.DataFrame,
        interactions: pd.DataFrame,
        splits: Collection[str] = (c.TRAIN, c.VALIDATION),
    ) -> Self:
        """Encode the tables.

        Args:
            encoders: of profiles and of contexts.
            users: the user table (U rows).
            items: the item table.
            interactions: rows with user_id, item_id, split and context columns.
            splits: labels of the rows whose contexts are gathered.
        """
        of_users, of_contexts = encoders
        known = interactions[interactions[c.SPLIT].isin(splits)]
        if not of_contexts.columns:
            known = known.iloc[:0]
        user, item = IdMap(users[c.USER]).indices(known[c.USER]), IdMap(items[c.ITEM]).indices(known[c.ITEM])
        contexts = of_contexts.transform(known)
        late = np.flatnonzero(known[c.SPLIT] == c.VALIDATION)
        counts = np.bincount(user[late], minlength=len(users))
        cells = (np.ones(len(late), np.float32), (user[late], np.arange(len(late))))
        sums = sparse.csr_matrix(cells, shape=(len(users), len(late))) @ contexts[late]
        means = np.asarray(sums / np.maximum(counts, 1)[:, None], dtype=np.float32)
        return cls(of_users.transform(users), user, item, contexts, means)

    def arrays(self) -> dict[str, AnyArray]:
        """Return the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _as_text(cells: pd.Series) -> list[str | None]:
    """Write cells as text, whole numbers without a point, None where there is none."""

    def written(cell: object) -> str | None:
        if cell is None or cell is pd.NA or cell != cell:  # noqa: PLR0124  (NaN)
            return None
        return str(int(cell)) if isinstance(cell, (float, np.floating)) and float(cell).is_integer() else str(cell)

    return [written(cell) for cell in cells]
