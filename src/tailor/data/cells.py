"""Cells of raw columns, read one by one: ids as text, times as seconds, ratings as numbers.

How a cell is read never depends on how pandas happened to type its column: "1000", 1000 and 1000.0 are one id, whatever
stands beside them.
"""

import datetime as dt
import decimal
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor.errors import BadInputError

Mask = NDArray[np.bool_]

_WHOLE: Final = re.compile(r"(?:-(?=0+\.))?([+-]?\d+)\.0+")


@dataclass(frozen=True)
class Read:
    """A column that was read, and what had to be done for it."""

    cells: pd.Series
    """Missing where a cell is missing or cannot be read."""
    notes: dict[str, pd.Series] = field(default_factory=dict)
    """Masks (bool, one per row) of cells that were read in another form than the plain one, by what that form is."""
    unit: str = ""
    """Of times that were numbers."""


# --- ids -------------------------------------------------------------------------------------------------------------


def read_ids(values: pd.Series, where: str) -> pd.Series:
    """Turn ids into text, cell by cell; blanks become missing.

    Whole floats lose their ".0", also where they are text already. White space around an id is not part of it.

    Args:
        values: any dtype.
        where: table and column, for errors.

    Raises:
        BadInputError: a cell is a float of 2^53 or more, whose last digits are lost, or it is no single value.

    Example:
        >>> read_ids(pd.Series([1000, "1000.0", 1000.0, None], dtype=object), "raw_items column 'id'").tolist()
        ['1000', '1000', '1000', nan]
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        categories = read_ids(pd.Series(values.cat.categories), where).to_numpy(dtype=object)
        cells = np.array([*categories, None], dtype=object)[values.cat.codes.to_numpy()]
        return pd.Series(cells, index=values.index, dtype="str")
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_integer_dtype(values.dtype):
        return values.astype("str")
    if pd.api.types.is_float_dtype(values.dtype):
        return _from_floats(values, where)
    if not isinstance(values.dtype, pd.StringDtype) and pd.api.types.infer_dtype(values, skipna=True) != "string":
        return pd.Series([read_id(cell, where) for cell in values], index=values.index, dtype="str")
    return _plain(values.astype("str"))


def _plain(text: pd.Series) -> pd.Series:
    text = text.str.strip()
    whole = text.str.endswith("0") & text.str.contains(".", regex=False)
    if whole.any():
        part = text[whole]
        text = text.where(~whole, part.str.replace(_WHOLE.pattern, r"\1", regex=True).reindex(text.index))
    return text.mask(text == "")


def _from_floats(values: pd.Series, where: str) -> pd.Series:
    dtype: np.dtype = getattr(values.dtype, "numpy_dtype", None) or np.dtype(str(values.dtype))
    numbers = values.to_numpy(dtype=dtype, na_value=np.nan)
    known = np.isfinite(numbers)
    _refuse_inexact(numbers[known], where)
    text = np.full(len(numbers), None, dtype=object)
    whole = known & (np.where(known, numbers, 0) % 1 == 0)
    text[whole] = numbers[whole].astype(np.int64).astype(str)
    text[known & ~whole] = numbers[known & ~whole].astype(str)
    return pd.Series(text, index=values.index, dtype="str")


def _refuse_inexact(numbers: NDArray[np.floating], where: str) -> None:
    digits = np.finfo(numbers.dtype).nmant + 1
    lost = np.abs(numbers) >= 2.0**digits  # from here on neighbouring whole numbers are one float
    if lost.any():
        raise BadInputError(
            f"{where}: {numbers[lost][0]:.0f} was read as a float; from 2^{digits} on those lose last digits "
            f"({int(lost.sum())} cells): different ids would become one. Have the column read as text: "
            "load_args: {dtype: {COLUMN: str}} in the catalog, or send ids as text."
        )


def read_id(cell: object, where: str) -> str | None:
    """Turn one id into text, by the same rules; None where it is missing.

    Args:
        cell: of any type.
        where: table and column, or field, for errors.

    Raises:
        BadInputError: the cell is an inexact float or no single value.
    """
    if isinstance(cell, (list, tuple, set, dict, np.ndarray)):
        raise BadInputError(f"{where}: {str(cell)[:40]} is no single value. An id is one number or one text.")
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", errors="replace")
    if not isinstance(cell, str):
        cell = "" if pd.isna(cell) else _of_number(cell, where)  # type: ignore[call-overload]
    whole = _WHOLE.fullmatch(cell.strip())
    return (whole[1] if whole else cell.strip()) or None


def _of_number(cell: object, where: str) -> str:
    if isinstance(cell, (float, np.floating)):
        if not np.isfinite(cell):
            return ""
        _refuse_inexact(np.array([cell]), where)
        return str(int(cell)) if cell % 1 == 0 else str(cell)
    if isinstance(cell, decimal.Decimal) and cell == cell.to_integral_value():
        return str(int(cell))
    return str(cell)


# --- numbers ---------------------------------------------------------------------------------------------------------

_POINT = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
#: 4,5 and 1,234.5; whether 1,234 is a thousand and more, or a little more than one, the rest of the column tells.
_COMMA: Final = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_WITH_WORDS: Final = re.compile(rf"\s*({_POINT}|[+-]?\d+,\d+)\s*(\D{{1,20}})")
_OUT_OF: Final = re.compile(rf"\s*({_POINT})\s*(?:/|of|out of|von)\s*(\d+)\s*\D{{0,12}}", re.IGNORECASE)


def read_numbers(values: pd.Series) -> Read:
    """Read numbers, cell by cell: 4.5, 4,5, 1,234.5, "4 stars", "4/5"; dates are no numbers.

    A word behind the number, or what it is out of, must be the same in all cells that have one: "5 stars" beside "3
    days" is not read.

    Returns:
        Floats; infinities are missing. Cells that were not plain numbers are noted.
    """
    values = _without_categories(values)
    if not _is_text(values):
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            return Read(pd.Series(np.nan, index=values.index))
        return Read(_finite(pd.to_numeric(values, errors="coerce")))
    text = _texts(values, str)
    numbers = pd.Series(pd.to_numeric(text, errors="coerce").astype("float64"), index=values.index)
    notes = {}
    for form, read in {"commas": _with_comma, "words behind the number": _with_words}.items():
        left = numbers.isna() & text.notna()
        if left.any():
            parsed = read(text[left])
            if len(parsed):
                numbers.loc[parsed.index] = parsed
                notes[form] = pd.Series(values.index.isin(parsed.index), index=values.index)
    return Read(_finite(numbers), notes)


def _finite(numbers: pd.Series) -> pd.Series:
    return numbers.astype("float64").replace([np.inf, -np.inf], np.nan)


def _is_text(values: pd.Series) -> bool:
    return isinstance(values.dtype, pd.StringDtype) or values.dtype == object


def _without_categories(values: pd.Series) -> pd.Series:
    return values.astype(values.cat.categories.dtype) if isinstance(values.dtype, pd.CategoricalDtype) else values


def _texts(values: pd.Series, as_text: Callable[[object], str]) -> pd.Series:
    """Return stripped text, missing where a cell is missing or blank."""
    if not isinstance(values.dtype, pd.StringDtype):
        cells = [cell if isinstance(cell, str) else None if pd.isna(cell) else as_text(cell) for cell in values]
        values = pd.Series(cells, index=values.index, dtype="str")
    values = values.astype("str").str.strip()
    return values.mask(values == "")


def _with_comma(text: pd.Series) -> pd.Series:
    """Read decimal commas, or commas between thousands; where the column does not tell which, nothing is read."""
    thousands, comma = text.str.fullmatch(_THOUSANDS.pattern), text.str.fullmatch(_COMMA.pattern)
    either = thousands & comma
    decimals, groups = comma & ~either, thousands & ~either
    if decimals.any() != groups.any():
        decimals, groups = (comma, groups) if decimals.any() else (decimals, thousands)
    read = text[decimals].str.replace(",", "."), text[groups].str.replace(",", "")
    return pd.concat([part.astype("float64") for part in read])


def _with_words(text: pd.Series) -> pd.Series:
    for pattern in (_OUT_OF, _WITH_WORDS):
        parts = text.str.extract(f"^{pattern.pattern}$", flags=pattern.flags & re.IGNORECASE)
        words = parts[1].str.strip().str.lower().str.rstrip("s")
        if len(words.dropna().unique()) == 1:
            number = parts[0].dropna().str.replace(",", ".", regex=False)
            return number.astype("float64")
    return text.head(0).astype("float64")


# --- times -----------------------------------------------------------------------------------------------------------

_EPOCH: Final = pd.Timestamp(0, tz="UTC")
#: Seconds in one unit, and the largest number that is read in it: the year 5138 in seconds.
_UNITS: Final = {"s": (1.0, 1e11), "ms": (1e-3, 1e14), "µs": (1e-6, 1e17), "ns": (1e-9, np.inf)}
#: The least number beside dates that is a time itself, in seconds: the year 1973.
_LEAST: Final = 1e8
#: Tried one after the other on what ISO 8601 does not read; day and month may be told apart by the column.
_FORMATS: Final = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d %b %Y",
    "%d %B %Y",
    "%d %b %Y %H:%M",
    "%d %b %Y %H:%M:%S",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%d-%b-%Y",
    "%m %d, %Y",
    "%a, %d %b %Y %H:%M:%S %Z",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %H:%M:%S %Y",
)
_AMBIGUOUS: Final = tuple(
    f"{{}}{mark}{{}}{mark}%Y{time}" for mark in "/.-" for time in ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
)


def read_times(values: pd.Series, where: str, day_first: bool | None = None) -> Read:
    """Read times as seconds since 1970 (UTC), cell by cell.

    Numbers are seconds, milliseconds, microseconds or nanoseconds by the size of most of them; dates are ISO 8601, or
    one of the forms that are usual in exports. Between dates a number counts from the year 1973 on.

    Args:
        values: any dtype.
        where: table and column, for errors.
        day_first: whether 03/04/2015 is the third of April; None: as the column tells.

    Returns:
        Floats. Numbers name their unit; cells in a form other than the column's first are noted.

    Raises:
        BadInputError: no date of the column tells days from months, and ``day_first`` is None.
    """
    values = _without_categories(values)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return Read(_seconds(values))
    text = _texts(values, _as_date_text) if _is_text(values) else values
    numbers = pd.Series(pd.to_numeric(text, errors="coerce").astype("float64"), index=values.index)
    compact = _compact_dates(numbers)
    seconds, forms = compact, dict[str, pd.Series]({"dates without separators": compact.notna()})
    for form, read in _date_readers(where, day_first).items():
        left = seconds.isna() & numbers.isna() & text.notna()
        if left.any():
            dates = read(text[left])
            forms[form] = pd.Series(values.index.isin(dates.index[dates.notna()]), index=values.index)
            seconds = seconds.fillna(dates.reindex(values.index))
    of_numbers = _of_numbers(numbers.where(seconds.isna()), least=_LEAST if seconds.notna().any() else -np.inf)
    forms["numbers"] = of_numbers.cells.notna()
    present = {form: mask for form, mask in forms.items() if mask.any()}
    main = max(present, key=lambda form: int(present[form].sum()), default="")
    notes = {form: mask for form, mask in present.items() if form != main}
    return Read(seconds.fillna(of_numbers.cells), notes, of_numbers.unit if "numbers" in present else "")


def _as_date_text(cell: object) -> str:
    return pd.Timestamp(cell).isoformat() if isinstance(cell, (dt.date, np.datetime64)) else str(cell)


def _seconds(dates: pd.Series) -> pd.Series:
    dates = dates.dt.tz_localize("UTC") if dates.dt.tz is None else dates
    return ((dates - _EPOCH) / pd.Timedelta(seconds=1)).astype("float64")


def _of_numbers(numbers: pd.Series, least: float = -np.inf) -> Read:
    size = numbers[np.isfinite(numbers)].abs()
    usual = float(size[size > 0].median()) if (size > 0).any() else 0.0
    unit = next(unit for unit, (_, largest) in _UNITS.items() if usual < largest)
    seconds = numbers * _UNITS[unit][0]
    return Read(seconds.where((seconds.abs() < _UNITS["s"][1]) & (seconds >= least)), unit=unit)


def _compact_dates(numbers: pd.Series) -> pd.Series:
    """Read 20150403 and 2015 where all numbers of the column are such."""
    known = numbers.dropna()
    nothing = pd.Series(np.nan, index=numbers.index)
    for low, high, form in ((19000101, 21001231, "%Y%m%d"), (1900, 2100, "%Y")):
        if len(known) and known.between(low, high).all() and (known % 1 == 0).all():
            dates = pd.to_datetime(known.astype("int64").astype("str"), format=form, errors="coerce", utc=True)
            if dates.notna().all():
                return _seconds(dates).reindex(numbers.index)
    return nothing


def _date_readers(where: str, day_first: bool | None) -> dict[str, Callable[[pd.Series], pd.Series]]:
    return {
        "ISO 8601 dates": lambda text: _of_formats(text, ["ISO8601"]),
        "dates in words or with other separators": lambda text: _of_formats(text, _FORMATS),
        "dates of day and month": lambda text: _of_days_and_months(text, where, day_first),
    }


def _of_formats(text: pd.Series, formats: Iterable[str]) -> pd.Series:
    """Return the seconds of dates in one of several formats; each distinct text is read once."""
    cells = pd.Series(text.unique())
    read = pd.Series(np.nan, index=cells.index)
    for form in formats:
        left = read.isna()
        if not left.any():
            break
        dates = pd.to_datetime(cells[left], format=form, errors="coerce", utc=True)
        read = read.fillna(_seconds(dates).reindex(cells.index))
    return text.map(dict(zip(cells, read, strict=True))).astype("float64")


def _of_days_and_months(text: pd.Series, where: str, day_first: bool | None) -> pd.Series:
    by_order = {
        first: _of_formats(text, [form.format(*("%d", "%m") if first else ("%m", "%d")) for form in _AMBIGUOUS])
        for first in (True, False)
    }
    if day_first is None:
        read = {first: int(seconds.notna().sum()) for first, seconds in by_order.items()}
        if read[True] == read[False] and read[True] and not by_order[True].equals(by_order[False]):
            raise BadInputError(
                f"{where}: {text[by_order[True].notna()].iloc[0]!r} may start with the day or with the month, and no "
                "cell tells which. Set data_processing.cleaning.day_first to true or false."
            )
        day_first = read[True] > read[False]
    return by_order[day_first]
