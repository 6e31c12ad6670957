"""From raw tables to Tailor's: columns renamed, ids made strings, defective rows dropped, counted and named."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.data.config import CleaningOptions, ColumnOptions
from tailor.errors import BadInputError, did_you_mean

#: How many row numbers a report names per kind of defect.
EXAMPLES = 5


class QualityReport:
    """Counts of what was repaired or dropped per table, with the first row numbers (0-based, in the raw file)."""

    def __init__(self) -> None:
        self._rows: list[dict[str, object]] = []

    def add(self, table: str, problem: str, bad: pd.Series, action: str = "dropped") -> None:
        """Record the rows that ``bad`` (bool, one per row) marks; nothing is recorded when there are none."""
        count = int(bad.sum())
        if count:
            rows = sorted(bad.index[bad])[:EXAMPLES]
            self._rows.append({"table": table, "problem": problem, "action": action, "rows": count, "first_rows": rows})

    def note(self, table: str, problem: str, count: int, action: str) -> None:
        """Record a count that has no row numbers."""
        if count:
            self._rows.append({"table": table, "problem": problem, "action": action, "rows": count, "first_rows": []})

    def to_frame(self) -> pd.DataFrame:
        """Return columns table, problem, action, rows, first_rows (text)."""
        frame = pd.DataFrame(self._rows, columns=["table", "problem", "action", "rows", "first_rows"])
        return frame.assign(first_rows=frame["first_rows"].map(lambda rows: ", ".join(map(str, rows))).astype(str))


def rename(raw: pd.DataFrame, mapping: Mapping[str, str], table: str, required: tuple[str, ...]) -> pd.DataFrame:
    """Return ``raw`` with the mapped columns only, under Tailor's names, indexed by raw row number.

    Raises:
        BadInputError: the table is empty, a required column is not mapped, or a mapped column is not in the file.
    """
    if raw.empty:
        raise BadInputError(f"raw_{table} has no rows. Check the file that conf/ names for 'raw_{table}'.")
    for name in required:
        if name not in mapping:
            raise BadInputError(f"data_processing.columns.{table} maps no column to '{name}', which is required.")
    for ours, theirs in mapping.items():
        if theirs not in raw.columns:
            raise BadInputError(
                f"raw_{table} has no column '{theirs}' (mapped to '{ours}' in data_processing.columns.{table})."
                f"{did_you_mean(theirs, raw.columns)} The file has: {', '.join(map(str, raw.columns))}."
            )
    return pd.DataFrame({ours: raw[theirs] for ours, theirs in mapping.items()}).reset_index(drop=True)


def as_id(values: pd.Series) -> pd.Series:
    """Turn ids into strings; whole floats (a column of ints with gaps) lose their '.0', blanks become missing."""
    if pd.api.types.is_float_dtype(values) and bool((values.dropna() % 1 == 0).all()):
        values = values.astype("Int64")
    text = values.astype("string").str.strip()
    return text.mask(text == "").astype("str")


def clean_items(raw: pd.DataFrame, columns: ColumnOptions, report: QualityReport) -> pd.DataFrame:
    """Return one row per item: item_id (unique str) and the other mapped columns, vectors parsed.

    Raises:
        BadInputError: see :func:`rename`; or an item vector is malformed.
    """
    items = rename(raw, columns.items, "items", (c.ITEM,))
    items[c.ITEM] = as_id(items[c.ITEM])
    items = _drop(items, items[c.ITEM].isna(), "items", "missing item_id", report)
    items = _drop(items, items.duplicated(c.ITEM), "items", "duplicated item_id (the first is kept)", report)
    for name in [col for col in items if str(col).startswith(c.VECTOR_PREFIX)]:
        items[name] = _parse_vectors(items[name], str(name))
    return items.reset_index(drop=True)


def clean_users(raw: pd.DataFrame, columns: ColumnOptions, report: QualityReport) -> pd.DataFrame:
    """Return one row per described user: user_id (unique str) and the mapped columns; an absent table has no rows."""
    if raw.empty:
        return pd.DataFrame({c.USER: pd.Series(dtype="str")})
    users = rename(raw, columns.users, "users", (c.USER,))
    users[c.USER] = as_id(users[c.USER])
    users = _drop(users, users[c.USER].isna(), "users", "missing user_id", report)
    return _drop(
        users, users.duplicated(c.USER), "users", "duplicated user_id (the first is kept)", report
    ).reset_index(drop=True)


def clean_interactions(
    raw: pd.DataFrame, items: pd.DataFrame, columns: ColumnOptions, options: CleaningOptions, report: QualityReport
) -> pd.DataFrame:
    """Return unique positive (user_id, item_id) pairs with their carried columns.

    Rows with a missing id, an item the catalogue does not have, or an unreadable value or timestamp are dropped and
    counted; of several rows for the same pair the latest (else the last in the file) is kept.

    Raises:
        BadInputError: see :func:`rename`; an unknown split label; too many defective rows; or nothing is left.
    """
    data = rename(raw, columns.interactions, "interactions", (c.USER, c.ITEM))
    n_raw = len(data)
    for name in (c.USER, c.ITEM):
        data[name] = as_id(data[name])
        data = _drop(data, data[name].isna(), "interactions", f"missing {name}", report)
    data = _drop(data, ~data[c.ITEM].isin(items[c.ITEM]), "interactions", "item_id not in the items table", report)
    for name in [n for n in (c.VALUE, c.TIMESTAMP) if n in data]:
        data[name] = _as_number(data[name])
        data = _drop(data, data[name].isna(), "interactions", f"missing or unreadable {name}", report)
    if c.SPLIT in data:
        _check_labels(data[c.SPLIT])
    dropped = 1 - len(data) / n_raw
    if dropped > options.max_dropped_fraction:
        raise BadInputError(
            f"{dropped:.0%} of the rows of raw_interactions are defective (limit {options.max_dropped_fraction:.0%}):\n"
            f"{report.to_frame().to_string(index=False)}\n"
            "Check the column mapping, or raise data_processing.cleaning.max_dropped_fraction."
        )
    data = _implicit(data, options.implicit_threshold, report)
    if c.TIMESTAMP in data:
        data = data.sort_values(c.TIMESTAMP, kind="stable")
    repeated = data.duplicated([c.USER, c.ITEM], keep="last")
    data = _drop(data, repeated, "interactions", "repeated (user_id, item_id) (the latest is kept)", report)
    if data.empty:
        raise BadInputError("No interaction is left after cleaning:\n" + report.to_frame().to_string(index=False))
    return data.sort_index().reset_index(drop=True)


def _drop(data: pd.DataFrame, bad: pd.Series, table: str, problem: str, report: QualityReport) -> pd.DataFrame:
    report.add(table, problem, bad)
    return data[~bad]


def _as_number(values: pd.Series) -> pd.Series:
    """Read numbers, or ISO dates as seconds since 1970; what cannot be read is missing."""
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    if numbers.isna().all() and values.notna().any():
        dates = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
        numbers = ((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).astype("float64")
    return numbers.replace([np.inf, -np.inf], np.nan)


def _implicit(data: pd.DataFrame, threshold: float | None, report: QualityReport) -> pd.DataFrame:
    if threshold is None:
        return data
    if c.VALUE not in data:
        raise BadInputError(
            "data_processing.cleaning.implicit_threshold is set, but no column is mapped to 'value'. "
            "Map one in data_processing.columns.interactions, or set the threshold to null."
        )
    return _drop(data, data[c.VALUE] < threshold, "interactions", f"value below {threshold:g}: not a positive", report)


def _check_labels(labels: pd.Series) -> None:
    unknown = labels[~labels.isin(c.SPLITS)]
    if len(unknown):
        raise BadInputError(
            f"raw_interactions: split label {unknown.iloc[0]!r} (row {unknown.index[0]}, {len(unknown)} rows in all) "
            f"is not one of {', '.join(c.SPLITS)}."
        )


def _parse_vectors(cells: pd.Series, name: str) -> pd.Series:
    def parse(cell: object) -> list[float]:
        parts = str(cell).strip("[]() ").replace(",", " ").split() if isinstance(cell, str) else list(cell)  # type: ignore[call-overload]
        return [float(p) for p in parts]

    try:
        vectors = cells.map(parse)
    except (TypeError, ValueError) as exc:
        raise BadInputError(f"raw_items column '{name}': a cell is not a vector of numbers ({exc}).") from None
    lengths = vectors.map(len)
    if (lengths != lengths.iloc[0]).any() or not np.isfinite(np.stack(vectors.to_list())).all():
        row = int(lengths.ne(lengths.mode()[0]).to_numpy().argmax())
        raise BadInputError(
            f"raw_items column '{name}': vectors must have one length and finite numbers; see row {row} "
            f"(length {lengths.iloc[row]}, most have {lengths.mode()[0]})."
        )
    return vectors
