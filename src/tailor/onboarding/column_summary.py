"""What a column of a raw table looks like: its kind, how full it is, how many values it has."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
import pandas as pd

Kind = Literal["empty", "number", "time", "list", "vector", "text"]
#: Cells that patterns are tried on.
_PROBED: Final = 5_000
#: Share of the cells that make a column what it is.
MOST: Final = 0.95
_MONTH: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE: Final = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}.*|\d{{1,2}}[-/. ]\d{{1,2}},?[-/. ]\s*\d{{4}}.*"
    rf"|(?:\w{{3,9}},? )?(?:\d{{1,2}}[- ])?(?:{_MONTH})\w*[- .]+\d{{1,4}}.*",
    re.IGNORECASE,
)
_AMBIGUOUS: Final = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.]\d{4}.*")
_LIST: Final = re.compile(r"\[.*\]", re.DOTALL)
_VECTOR: Final = re.compile(
    r"\[?\s*[+-]?\d+(\.\d+)?(e[+-]?\d+)?([,\s]+[+-]?\d+(\.\d+)?(e[+-]?\d+)?){7,}\s*\]?", re.IGNORECASE
)
_ADDRESS: Final = re.compile(
    r"https?://.*|.*\.(jpe?g|png|gif|webp)|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,}", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class ColumnSummary:
    """One column, from the rows that were looked at."""

    name: str
    texts: pd.Series
    """The cells that are not empty, as stripped text; whole floats without their ".0" (m,)."""
    n: int
    """Rows."""
    kind: Kind

    @classmethod
    def of(cls, name: str, cells: pd.Series) -> "ColumnSummary":
        """Look at a column.

        Args:
            name: of the column.
            cells: any dtype (n,).
        """
        texts = _as_texts(cells)
        return cls(name, texts, len(cells), _kind(cells, texts))

    @property
    def share_filled(self) -> float:
        """Share of the rows that have a value."""
        return len(self.texts) / max(self.n, 1)

    @cached_property
    def distinct(self) -> frozenset[str]:
        """The distinct values."""
        return frozenset(self.texts.unique())

    @property
    def n_distinct(self) -> int:
        """How many distinct values there are."""
        return len(self.distinct)

    @property
    def share_distinct(self) -> float:
        """Distinct values per filled row."""
        return self.n_distinct / max(len(self.texts), 1)

    @cached_property
    def numbers(self) -> pd.Series:
        """The cells as numbers, without those that are none (at most m,)."""
        if self.kind not in ("number", "text"):
            return pd.Series(dtype="float64")
        numbers = pd.to_numeric(self.texts, errors="coerce").astype("float64")
        return numbers[np.isfinite(numbers)]

    @property
    def whole(self) -> bool:
        """Whether all numbers are whole."""
        return bool(len(self.numbers)) and bool((self.numbers % 1 == 0).all())

    @property
    def probe(self) -> pd.Series:
        """Some of the filled cells, evenly over the column."""
        return self.texts.iloc[:: max(len(self.texts) // _PROBED, 1)]

    @cached_property
    def mean_words(self) -> float:
        """Mean number of words of a filled cell."""
        return float((self.probe.str.count(r"\s+") + 1).mean()) if len(self.texts) else 0.0

    @cached_property
    def share_of_letters(self) -> float:
        """Share of the cells that have two letters side by side."""
        return float(self.probe.str.contains(r"[^\W\d_]{2}", regex=True).mean()) if len(self.texts) else 0.0

    @cached_property
    def is_address(self) -> bool:
        """Whether most cells are links, names of images, or keys without meaning."""
        return _share_matching(self.probe, _ADDRESS) > 0.5

    @cached_property
    def day_and_month(self) -> Literal["day first", "month first", "unclear", "plain"]:
        """Whether dates such as 03/04/2015 start with the day, as far as the column tells."""
        parts = self.texts.str.extract(f"^{_AMBIGUOUS.pattern}$").dropna().astype("int64")
        if self.kind != "time" or not len(parts):
            return "plain"
        if (parts[0] > 12).any() or (parts[1] > 12).any():
            return "day first" if (parts[0] > 12).sum() >= (parts[1] > 12).sum() else "month first"
        return "unclear"


def _as_texts(cells: pd.Series) -> pd.Series:
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(cells.cat.categories.dtype)
    if cells.dtype == object:
        written = [None if _is_missing(cell) else str(cell) for cell in cells]
        cells = pd.Series(written, index=cells.index, dtype="str")
    if pd.api.types.is_float_dtype(cells.dtype):
        known = cells.dropna()
        cells = known.astype("int64") if len(known) and bool((known % 1 == 0).all()) else known
    texts: pd.Series = cells.dropna().astype("str").str.strip()
    texts = texts[texts != ""]
    if len(texts) and bool(texts.str.fullmatch(r"[+-]?\d+\.0+|[+-]?\d+").all()):
        texts = texts.str.replace(r"\.0+$", "", regex=True)
    return texts.reset_index(drop=True)


def _is_missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell))


def _kind(cells: pd.Series, texts: pd.Series) -> Kind:
    if not len(texts):
        return "empty"
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return "time"
    first = next((cell for cell in cells if not _is_missing(cell)), None)
    if isinstance(first, (list, tuple, set, np.ndarray)):
        one = next(iter(first), "")
        return "vector" if isinstance(one, (float, int, np.number)) and len(first) >= 8 else "list"
    probe = texts.iloc[:: max(len(texts) // _PROBED, 1)]
    if float(pd.to_numeric(probe, errors="coerce").notna().mean()) >= MOST:
        return "number"
    for kind, pattern in (("vector", _VECTOR), ("time", _DATE), ("list", _LIST)):
        if _share_matching(probe, pattern) >= MOST:
            return kind  # type: ignore[return-value]
    return "text"


def _share_matching(texts: pd.Series, pattern: re.Pattern[str]) -> float:
    return float(np.mean([pattern.fullmatch(text) is not None for text in texts])) if len(texts) else 0.0
