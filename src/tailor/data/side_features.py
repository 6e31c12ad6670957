"""What is told beside the items: of users (age, gender, …) and of the moment (device, hour, …), as numbers.

One indicator per value, centred; a row is 0 where nothing is told, so that it is scored like the average one.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.errors import BadInputError, ConfigurationError, did_you_mean
from tailor.options import SideFeatureOptions

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureColumn:
    """One column: a value each, or intervals of a number, with the share of train rows in each."""

    name: str
    values: tuple[str, ...]
    """The values, or how the intervals are called."""
    edges: tuple[float, ...]
    """Inner borders of the intervals, rising; empty where the column has values."""
    shares: tuple[float, ...]

    def codes(self, values: pd.Series) -> NDArray[np.int64]:
        """Return the place of each value (n,), -1 where it is missing or was too rare."""
        if not self.edges:
            return np.asarray(pd.Index(self.values).get_indexer(pd.Index(_text(values))), dtype=np.int64)
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isnan(numbers), -1, np.searchsorted(self.edges, numbers, side="right")).astype(np.int64)

    def encode(self, values: pd.Series) -> Floats:
        """Return centred indicators (n, number of values)."""
        codes = self.codes(values)
        if not self.shares:
            return np.zeros((len(codes), 0), np.float32)
        out = np.eye(len(self.values), dtype=np.float32)[codes] - np.array(self.shares, np.float32)
        out[codes < 0] = 0.0
        return out


@dataclass(frozen=True)
class FeatureEncoder:
    """All columns of a catalogue."""

    columns: tuple[FeatureColumn, ...] = ()

    @classmethod
    def learn(cls, rows: pd.DataFrame, options: SideFeatureOptions, missing: Sequence[str], where: str) -> Self:
        """Read values, intervals and shares off train rows.

        Args:
            rows: users with train rows, or train interactions.
            options: columns, bins, min_rows.
            missing: cell values (case-insensitive) that count as missing.
            where: the option's path, for the error.

        Raises:
            ConfigurationError: the table has no such column.
        """
        for name in options.columns:
            if name not in rows:
                raise ConfigurationError(
                    f"{where}.columns names '{name}'.{did_you_mean(name, list(rows.columns))} "
                    f"There are: {', '.join(rows.columns)}."
                )
        return cls(tuple(_column(name, rows[name], options, missing) for name in options.columns))

    def encode(self, table: pd.DataFrame) -> Floats:
        """Return the numbers (n, q) of a table that has (some of) the columns."""
        absent = pd.Series([None] * len(table), dtype=object)
        parts = [column.encode(table.get(column.name, absent)) for column in self.columns]
        return np.hstack([np.zeros((len(table), 0), np.float32), *parts])

    def encode_side_features(self, told: Sequence[Mapping[str, Any]], what: str) -> Floats:
        """Return what requests tell (n, q); ``what``: profile or context, for the error.

        Raises:
            BadInputError: a field is none of the columns.
        """
        known = [column.name for column in self.columns]
        for name in {name for row in told for name in row}:
            if name not in known:
                raise BadInputError(
                    f"Unknown {what} field '{name}'.{did_you_mean(name, known)} "
                    f"This model knows: {', '.join(known) or 'none'}."
                )
        return self.encode(pd.DataFrame([dict(row) for row in told], columns=known, dtype=object))

    def state(self) -> dict[str, Any]:
        """Return plain values."""
        return {"columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Undo :meth:`state`."""
        lists = ("values", "edges", "shares")
        return cls(tuple(FeatureColumn(at["name"], *(tuple(at[key]) for key in lists)) for at in state["columns"]))


@dataclass(frozen=True)
class SideFeatures:
    """What is told of users, and of the moments they acted in."""

    profiles: Floats
    """(U, q)."""
    users: NDArray[np.int64]
    """Of each interaction whose context is told (N,)."""
    items: NDArray[np.int64]
    """Likewise (N,)."""
    moments: Floats
    """Their contexts (N, r)."""
    asked: Floats
    """Mean context of each user's validation rows (U, r): in what moments lists would have been asked for."""

    @classmethod
    def nothing(cls) -> Self:
        """Of nobody, at no time."""
        none, nowhere = np.zeros((0, 0), np.float32), np.zeros(0, np.int64)
        return cls(none, nowhere, nowhere, none, none)

    @classmethod
    def gather(
        cls,
        spaces: tuple[FeatureEncoder, FeatureEncoder],
        users: pd.DataFrame,
        items: pd.DataFrame,
        interactions: pd.DataFrame,
    ) -> Self:
        """Encode the tables.

        Args:
            spaces: of profiles and of contexts.
            users: the user table (U rows).
            items: the item table.
            interactions: rows with user_id, item_id, split and context columns.
        """
        of_users, of_moments = spaces
        known = interactions[interactions[c.SPLIT].isin([c.TRAIN, c.VALIDATION])]
        if not of_moments.columns:
            known = known.iloc[:0]
        user = pd.Index(users[c.USER]).get_indexer(pd.Index(known[c.USER])).astype(np.int64)
        item = pd.Index(items[c.ITEM]).get_indexer(pd.Index(known[c.ITEM])).astype(np.int64)
        moments = of_moments.encode(known)
        late = np.asarray(known[c.SPLIT] == c.VALIDATION)
        counts = np.bincount(user[late], minlength=len(users))
        cells = (np.ones(int(late.sum()), np.float32), (user[late], np.arange(int(late.sum()))))
        sums = sparse.csr_matrix(cells, shape=(len(users), int(late.sum()))) @ moments[late]
        asked = np.asarray(sums / np.maximum(counts, 1)[:, None], dtype=np.float32)
        return cls(of_users.encode(users), user, item, moments, asked)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _text(values: pd.Series) -> list[str | None]:
    """Write values as text, whole numbers without a point, None where there is none."""

    def written(value: Any) -> str | None:
        if value is None or value is pd.NA or value != value:  # noqa: PLR0124  (NaN)
            return None
        return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)

    return [written(value) for value in values]


def _column(name: str, values: pd.Series, options: SideFeatureOptions, missing: Sequence[str]) -> FeatureColumn:
    empty = {word.lower() for word in missing}
    told = pd.Series([None if v is None or v.strip().lower() in empty else v for v in _text(values)], dtype=object)
    numbers = pd.to_numeric(told, errors="coerce")
    if told.notna().any() and numbers[told.notna()].notna().all() and numbers.nunique() > options.bins:
        inner = np.quantile(numbers.dropna(), np.arange(1, options.bins) / options.bins)
        edges = tuple(np.unique(inner).astype(float).tolist())
        bounds = ["-inf", *(f"{edge:g}" for edge in edges), "inf"]
        names = tuple(f"[{low}, {high})" for low, high in itertools.pairwise(bounds))
        codes = np.searchsorted(edges, numbers.dropna(), side="right")
    else:
        counts = told.value_counts()
        edges, names = (), tuple(sorted(counts[counts >= options.min_rows].index))
        codes = pd.Index(names).get_indexer(pd.Index(told.dropna()))
    shares = np.bincount(codes[codes >= 0], minlength=len(names)) / max(int((codes >= 0).sum()), 1)
    return FeatureColumn(name, names, edges, tuple(shares.tolist()))
