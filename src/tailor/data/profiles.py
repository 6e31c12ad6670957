"""What users tell of themselves (age, gender, occupation, …) as numbers: one indicator per value, centred.

A row is 0 where nothing is told, so that such a user is scored like the average one.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.errors import BadInputError, ConfigurationError, did_you_mean
from tailor.options import ProfileOptions

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ProfileColumn:
    """One column: a value each, or intervals of a number, with the share of train users in each."""

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
class ProfileSpace:
    """All columns of a catalogue."""

    columns: tuple[ProfileColumn, ...] = ()

    @classmethod
    def learn(cls, users: pd.DataFrame, options: ProfileOptions, missing: Sequence[str]) -> Self:
        """Read values, intervals and shares off the users with train rows.

        Args:
            users: the user table, with ``n_train``.
            options: columns, bins, min_users.
            missing: cell values (case-insensitive) that count as missing.

        Raises:
            ConfigurationError: the table has no such column.
        """
        known = users[users[c.N_TRAIN] > 0]
        for name in options.columns:
            if name not in users:
                raise ConfigurationError(
                    f"feature_engineering.profile.columns names '{name}'.{did_you_mean(name, list(users.columns))} "
                    f"The users have: {', '.join(users.columns)}."
                )
        return cls(tuple(_column(name, known[name], options, missing) for name in options.columns))

    @property
    def names(self) -> list[str]:
        """Names of the dimensions (q,)."""
        return [f"{column.name}={value}" for column in self.columns for value in column.values]  # noqa: PD011

    def encode(self, users: pd.DataFrame) -> Floats:
        """Return the profiles (n, q) of a table that has (some of) the columns."""
        absent = pd.Series([None] * len(users), dtype=object)
        parts = [column.encode(users.get(column.name, absent)) for column in self.columns]
        return np.hstack([np.zeros((len(users), 0), np.float32), *parts])

    def encode_told(self, told: Sequence[Mapping[str, Any]]) -> Floats:
        """Return the profiles (n, q) of what requests tell.

        Raises:
            BadInputError: a field is none of the columns.
        """
        known = [column.name for column in self.columns]
        for name in {name for row in told for name in row}:
            if name not in known:
                raise BadInputError(
                    f"Unknown profile field '{name}'.{did_you_mean(name, known)} "
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
        return cls(tuple(ProfileColumn(at["name"], *(tuple(at[key]) for key in lists)) for at in state["columns"]))


def rows(profiles: pd.DataFrame) -> Floats:
    """Return the numbers (U, q) of a table user_id, name=value, …"""
    return np.asarray(profiles.drop(columns=c.USER), dtype=np.float32)


def _text(values: pd.Series) -> list[str | None]:
    """Write values as text, whole numbers without a point, None where there is none."""

    def written(value: Any) -> str | None:
        if value is None or value is pd.NA or value != value:  # noqa: PLR0124  (NaN)
            return None
        return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)

    return [written(value) for value in values]


def _column(name: str, values: pd.Series, options: ProfileOptions, missing: Sequence[str]) -> ProfileColumn:
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
        edges, names = (), tuple(sorted(counts[counts >= options.min_users].index))
        codes = pd.Index(names).get_indexer(pd.Index(told.dropna()))
    shares = np.bincount(codes[codes >= 0], minlength=len(names)) / max(int((codes >= 0).sum()), 1)
    return ProfileColumn(name, names, edges, tuple(shares.tolist()))
