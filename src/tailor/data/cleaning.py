"""From raw tables to Tailor's: columns renamed, cells read one by one, defective rows dropped, counted and named."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from tailor import columns as c
from tailor.data.cells import Read, read_ids, read_numbers, read_times
from tailor.data.config import CleaningOptions, ColumnOptions, DataProcessingOptions
from tailor.data.events import EventOptions, read_events, strongest
from tailor.data.inspection import inspect_items, inspect_users, merge_items
from tailor.data.item_vectors import read_vectors, vector_columns
from tailor.data.people import ALL_PEOPLE, People
from tailor.data.quality import QualityReport
from tailor.data.reading import LINE, ROW
from tailor.data.until import LATER, as_date, cutoff, rows_after
from tailor.errors import BadInputError, did_you_mean

log = logging.getLogger(__name__)
#: How many ids of each side an error names.
_NAMED = 3


def rename(raw: pd.DataFrame, mapping: Mapping[str, str], table: str, required: tuple[str, ...]) -> pd.DataFrame:
    """Return ``raw`` with the mapped columns only, under Tailor's names, indexed by line of the file or row from 1.

    Raises:
        BadInputError: the table is empty, a required column is not mapped, a mapped column is not in the file or there
            twice, or the table's index is not its own.
    """
    if raw.empty:
        raise BadInputError(f"raw_{table} has no rows. Check the file that conf/ names for 'raw_{table}'.")
    raw = _indexed(raw, mapping.values(), table)
    for name in required:
        if name not in mapping:
            raise BadInputError(f"data_processing.columns.{table} maps no column to '{name}', which is required.")
    for ours, theirs in mapping.items():
        if theirs not in raw.columns:
            raise BadInputError(
                f"raw_{table} has no column '{theirs}' (mapped to '{ours}' in data_processing.columns.{table})."
                f"{did_you_mean(theirs, raw.columns)} The file has: {', '.join(map(str, raw.columns))}."
                f"{_other_separator(raw)}"
            )
        if (raw.columns == theirs).sum() > 1:
            raise BadInputError(f"raw_{table} has several columns '{theirs}'. Rename all but one.")
    return pd.DataFrame({ours: raw[theirs] for ours, theirs in mapping.items()}, index=raw.index)


def _other_separator(raw: pd.DataFrame) -> str:
    name = str(raw.columns[0])
    separator = next((repr(mark) for mark in ";\t|," if mark in name), "") if raw.shape[1] == 1 else ""
    return f" It was read as one column: set load_args: {{sep: {separator}}} in the catalog." if separator else ""


def _indexed(raw: pd.DataFrame, mapped: Iterable[str], table: str) -> pd.DataFrame:
    """Number the rows from 1, unless they are numbered by line; an index that holds data becomes columns."""
    if raw.index.name == LINE:
        return raw
    if set(raw.index.names) & set(mapped):
        raw = raw.reset_index()
    elif not raw.index.equals(pd.RangeIndex(len(raw))):
        raise BadInputError(
            f"raw_{table}: the first column was taken for an index ({', '.join(map(str, raw.index[:3]))}, …), so the "
            "names of the columns may stand over the wrong cells. Give the header a name for every column, set "
            "load_args: {index_col: false}, or save the table without its index."
        )
    return raw.set_axis(pd.RangeIndex(1, len(raw) + 1, name=ROW), axis=0)


@dataclass(frozen=True)
class CleanTables:
    """The catalogue after cleaning."""

    interactions: pd.DataFrame
    """Unique (user_id, item_id) pairs, all positive where kinds of behaviour are not told apart."""
    items: pd.DataFrame
    """One row per item."""
    users: pd.DataFrame
    """One row per described user."""


@dataclass(frozen=True)
class RowRules:
    """How rows of people are read."""

    people: People = ALL_PEOPLE
    """Who is left out, and whether the others go by pseudonyms."""
    events: EventOptions = field(default_factory=EventOptions)
    """Strengths of kinds of behaviour; as they come: all interactions are alike."""


def clean(
    raw: Mapping[str, pd.DataFrame],
    columns: ColumnOptions,
    options: CleaningOptions,
    report: QualityReport,
    rules: RowRules | None = None,
) -> CleanTables:
    """Clean the three tables of a catalogue, and look at their content.

    Args:
        raw: tables interactions, items and users.
        columns: which raw column feeds which of ours.
        options: what makes a row usable, and what is repaired.
        report: where rows are counted.
        rules: of rows of people; None: as they stand, all alike.

    Raises:
        BadInputError: see :func:`clean_items`, :func:`clean_users`, :func:`clean_interactions`, :func:`check_joins`.
    """
    items = clean_items(raw["items"], columns, options, report)
    items, other_id = merge_items(items, options.merge_duplicate_items, report)
    rules = rules or RowRules()
    users = clean_users(raw["users"], columns, report, rules.people)
    rows = raw["interactions"]
    interactions = clean_interactions(rows, items, columns, options, report, other_id=other_id, rules=rules)
    interactions = inspect_users(interactions, options.drop_suspicious_users, report)
    items, users, interactions = (table.reset_index(drop=True) for table in (items, users, interactions))
    check_joins(interactions, items, users, report)
    return CleanTables(interactions, items, users)


def clean_items(
    raw: pd.DataFrame, columns: ColumnOptions, options: CleaningOptions, report: QualityReport
) -> pd.DataFrame:
    """Return one row per item, indexed as the raw table: item_id (unique str) and the mapped columns.

    Raises:
        BadInputError: see :func:`rename`; an id is no id; or :func:`tailor.data.item_vectors.read_vectors`.
    """
    report.open("items", raw)
    items = _unique(rename(raw, columns.items, "items", (c.ITEM,)), c.ITEM, "items", columns.items[c.ITEM], report)
    for name in vector_columns(items):
        items[name] = read_vectors(items[name], name, report)
    return inspect_items(items, options.repair_texts, report)


def clean_users(
    raw: pd.DataFrame, columns: ColumnOptions, report: QualityReport, people: People = ALL_PEOPLE
) -> pd.DataFrame:
    """Return one row per described user: user_id (unique str) and the mapped columns; an absent table has none.

    Raises:
        BadInputError: see :func:`rename`; or an id is no id.
    """
    if raw.empty:
        return pd.DataFrame({c.USER: pd.Series(dtype="str")})
    report.open("users", raw)
    users = rename(raw, columns.users, "users", (c.USER,))
    return people.read(_unique(users, c.USER, "users", columns.users[c.USER], report), "users", report)


def _unique(data: pd.DataFrame, name: str, table: str, theirs: str, report: QualityReport) -> pd.DataFrame:
    data[name] = read_ids(data[name], f"raw_{table} column '{theirs}'")
    data = _drop(data, data[name].isna(), table, f"missing {name}", report)
    cells = name if name == c.ITEM else None  # ids of people are not printed
    return _drop(data, data.duplicated(name), table, f"duplicated {name} (the first is kept)", report, cells)


def clean_interactions(
    raw: pd.DataFrame,
    items: pd.DataFrame,
    columns: ColumnOptions,
    options: CleaningOptions,
    report: QualityReport,
    table: str = "interactions",
    other_id: Mapping[str, str] | None = None,
    rules: RowRules | None = None,
) -> pd.DataFrame:
    """Return unique positive (user_id, item_id) pairs with their carried columns, indexed as the raw table.

    Where kinds of behaviour have strengths, pairs have the column ``confidence`` (:func:`tailor.data.events.strongest`)
    instead, and blocked ones are among them.

    Rows with a missing id, an item the catalogue does not have, or an unreadable value or timestamp are dropped and
    counted, and so are rows after ``until``; of several rows left for the same pair the latest (else the last in the
    file) is kept, and it alone says whether the pair is a positive.

    Args:
        raw: the table as it was read.
        items: the catalogue's items.
        columns: which raw column feeds which of ours.
        options: what makes a row usable.
        report: where rows are counted.
        table: name of the raw table behind "raw_", for errors.
        other_id: items that go by another id now (as of :func:`tailor.data.inspection.merge_items`).
        rules: of rows of people; None: as they stand, all alike.

    Raises:
        BadInputError: see :func:`rename`; an id is no id; an unknown split label or kind of behaviour; no
            item of the table is in the catalogue; too many defective rows; no row is of the time before ``until``; or
            nothing is left.
    """
    mapping, rules = columns.interactions, rules or RowRules()
    people, events = rules.people, rules.events
    report.open(table, raw)
    data = rename(raw, mapping, table, (c.USER, c.ITEM))
    data, n_raw = _read_ids(data, mapping, table, report, people)
    data[c.ITEM] = data[c.ITEM].replace(dict(other_id)) if other_id else data[c.ITEM]
    data = _of_catalogue(data, items, table, report)
    known = len(data)
    data = _of_events(data, options.positive_events, table, report)
    data = read_events(data, events, table, report)
    of_other_events = known - len(data)
    data = _read_columns(data, mapping, options, table, report)
    if c.SPLIT in data:
        _check_labels(data[c.SPLIT], table)
    readable = len(data)
    data = _until(data, options, table, report)
    dropped = 1 - (len(data) + of_other_events) / (n_raw - readable + len(data))
    if dropped > options.max_dropped_fraction:
        raise BadInputError(
            f"{dropped:.0%} of the rows of raw_{table} are defective (limit {options.max_dropped_fraction:.0%}):\n"
            f"{report.to_frame().to_string(index=False)}\n"
            "Check the column mapping, or raise data_processing.cleaning.max_dropped_fraction."
        )
    data = strongest(data, events, table, report) if events.weights else _latest(data, table, report)
    data = _above(data, options.implicit_threshold, table, report)
    if data.empty:
        raise BadInputError("No interaction is left after cleaning:\n" + report.to_frame().to_string(index=False))
    return data


def _read_ids(
    data: pd.DataFrame, mapping: Mapping[str, str], table: str, report: QualityReport, people: People
) -> tuple[pd.DataFrame, int]:
    """Read the ids of users and items; return the rows, and how many there were of people who are not left out."""
    n_raw = len(data)
    for name in (c.USER, c.ITEM):
        data[name] = read_ids(data[name], f"raw_{table} column '{mapping[name]}'")
        data = _drop(data, data[name].isna(), table, f"missing {name}", report)
        if name == c.USER:
            n_read = len(data)
            data = people.read(data, table, report).copy()
            n_raw -= n_read - len(data)
    return data, n_raw


def columns_of_update(raw: pd.DataFrame, options: DataProcessingOptions) -> ColumnOptions:
    """Return what a table of new interactions is read by: the catalogue's mapping, or our own names.

    User, item and time are needed where the catalogue has them, value or event where a rule reads them; what else the
    catalogue maps may be missing. Several catalogues have no mapping in common: their new interactions come under our
    names, and a column is needed where each of them has it.

    Args:
        raw: the table of new interactions.
        options: of the catalogue.
    """
    needed = {c.USER, c.ITEM, c.TIMESTAMP}
    needed |= {c.VALUE} if options.cleaning.implicit_threshold is not None else set()
    needed |= {c.EVENT} if options.cleaning.positive_events is not None or options.events.weights else set()
    mapping, of_catalogue = {}, options.columns.interactions
    if options.domains:
        mappings = [domain.columns.interactions for domain in options.domains.values()]
        of_catalogue = {name: name for each in mappings for name in each}
        needed &= set.intersection(*(set(each) for each in mappings)) | {c.USER, c.ITEM}
    for ours, theirs in of_catalogue.items():
        name = ours if ours in raw.columns and theirs not in raw.columns else theirs
        if ours in needed or name in raw.columns:
            mapping[ours] = name
    mapping.pop(c.SPLIT, None)
    return ColumnOptions(interactions=mapping)


def _drop(
    data: pd.DataFrame, bad: pd.Series, table: str, problem: str, report: QualityReport, cells: str | None = None
) -> pd.DataFrame:
    if not bad.any():
        return data
    report.add(table, problem, bad, "dropped", None if cells is None else data[cells])
    return data[~bad]


def _of_catalogue(data: pd.DataFrame, items: pd.DataFrame, table: str, report: QualityReport) -> pd.DataFrame:
    unknown = ~data[c.ITEM].isin(items[c.ITEM])
    if len(data) and unknown.all():
        raise BadInputError(
            f"No item_id of raw_{table} ({_first(data[c.ITEM])}) is in the items table ({_first(items[c.ITEM])}). Map "
            "the columns that hold the same ids in data_processing.columns."
        )
    return _drop(data, unknown, table, "item_id not in the items table", report, c.ITEM)


def _first(ids: pd.Series) -> str:
    return ", ".join(ids.drop_duplicates().head(_NAMED)) + (", …" if ids.nunique() > _NAMED else "")


def _read_columns(
    data: pd.DataFrame, mapping: Mapping[str, str], options: CleaningOptions, table: str, report: QualityReport
) -> pd.DataFrame:
    """Read values and timestamps; rows where that is not possible are dropped."""
    for name in [name for name in (c.VALUE, c.TIMESTAMP) if name in data]:
        cells, where = data[name], f"raw_{table} column '{mapping[name]}'"
        read = read_numbers(cells) if name == c.VALUE else read_times(cells, where, options.day_first)
        _note_forms(read, cells, name, table, report)
        missing, blank = read.cells.isna(), _is_blank(cells)
        data = data.assign(**{name: read.cells, "_cells": cells})
        report_as = {f"missing {name}": missing & blank, f"unreadable {name}": missing & ~blank}
        for problem, bad in report_as.items():
            data = _drop(data, bad.reindex(data.index), table, problem, report, "_cells")
        data = data.drop(columns="_cells")
    return data


def _is_blank(cells: pd.Series) -> pd.Series:
    text = isinstance(cells.dtype, pd.StringDtype) or cells.dtype == object
    return cells.isna() | (cells.astype("str").str.strip() == "") if text else cells.isna()


def _note_forms(read: Read, cells: pd.Series, name: str, table: str, report: QualityReport) -> None:
    for form, mask in read.notes.items():
        report.add(table, f"{name} with {form}", mask, "repaired", cells)
    if read.unit not in ("", "s"):
        report.note(table, f"{name} is in {read.unit}; read as seconds", int(read.cells.notna().sum()), cells.head(3))


def _latest(data: pd.DataFrame, table: str, report: QualityReport) -> pd.DataFrame:
    repeated = data.duplicated([c.USER, c.ITEM], keep="last")
    if repeated.any() and c.TIMESTAMP in data:
        ordered = data.sort_values(c.TIMESTAMP, kind="stable")
        repeated = ordered.duplicated([c.USER, c.ITEM], keep="last").reindex(data.index)
    return _drop(data, repeated, table, "repeated (user_id, item_id) (the latest is kept)", report, c.ITEM)


def _of_events(data: pd.DataFrame, positive: list[str] | None, table: str, report: QualityReport) -> pd.DataFrame:
    """Leave out rows of other events: what was looked at after it was bought stays bought."""
    if positive is None:
        return data
    _need(data, c.EVENT, "positive_events")
    events = data[c.EVENT].astype("str").str.strip()
    there = sorted(events.dropna().unique())
    absent = sorted(set(positive) - set(there))
    if absent:
        raise BadInputError(
            f"data_processing.cleaning.positive_events names {', '.join(absent)}, which no row of raw_{table} has."
            f"{did_you_mean(absent[0], there)} There are: {', '.join(there[:10])}."
        )
    return _drop(data, ~events.isin(positive), table, "another event: not a positive", report, c.EVENT)


def _until(data: pd.DataFrame, options: CleaningOptions, table: str, report: QualityReport) -> pd.DataFrame:
    """Leave out rows after the date, before repeated ones are joined: a later row takes no earlier one back."""
    if options.until is None:
        return data
    _need(data, c.TIMESTAMP, "until")
    if data.empty:
        return data
    later = rows_after(data[c.TIMESTAMP], options.until, table)
    date = as_date(cutoff(data[c.TIMESTAMP], options.until))
    log.info("raw_%s until %s: %d of %d rows are later and left out", table, date, int(later.sum()), len(later))
    return _drop(data, later, table, f"{LATER}{date} (cleaning.until)", report)


def _above(data: pd.DataFrame, threshold: float | None, table: str, report: QualityReport) -> pd.DataFrame:
    """Leave out rows of a value below the threshold: the latest word on an item counts."""
    if threshold is None:
        return data
    _need(data, c.VALUE, "implicit_threshold")
    return _drop(data, data[c.VALUE] < threshold, table, f"value below {threshold:g}: not a positive", report, c.VALUE)


def _need(data: pd.DataFrame, name: str, option: str) -> None:
    if name not in data:
        raise BadInputError(
            f"data_processing.cleaning.{option} is set, but no column is mapped to '{name}'. "
            f"Map one in data_processing.columns.interactions, or set {option} to null."
        )


def _check_labels(labels: pd.Series, table: str) -> None:
    unknown = labels[~labels.isin(c.SPLITS)]
    if len(unknown):
        raise BadInputError(
            f"raw_{table}: split label {unknown.iloc[0]!r} ({labels.index.name} {unknown.index[0]}, {len(unknown)} "
            f"rows in all) is not one of {', '.join(c.SPLITS)}."
        )


def check_joins(interactions: pd.DataFrame, items: pd.DataFrame, users: pd.DataFrame, report: QualityReport) -> None:
    """Count what the tables do not say of each other: users without a row of their own, rows of nobody, idle items.

    Args:
        interactions: cleaned.
        items: cleaned.
        users: cleaned; without rows where nothing is known of users.
        report: where they are counted.

    Raises:
        BadInputError: no user of the interactions is in a users table that has rows.
    """
    idle = items.loc[~items[c.ITEM].isin(interactions[c.ITEM]), c.ITEM]
    report.note(
        "items", "items without interactions (they are recommended by their texts)", len(idle), idle.head(_NAMED)
    )
    if users.empty:
        return
    acting = interactions[c.USER].drop_duplicates()
    nobody, unknown = users.loc[~users[c.USER].isin(acting), c.USER], acting[~acting.isin(users[c.USER])]
    if len(unknown) == len(acting):
        raise BadInputError(
            f"No user_id of the interactions ({_first(acting)}) is in the users table ({_first(users[c.USER])}). Map "
            "the columns that hold the same ids in data_processing.columns, or leave the users table out (raw_users: "
            "{type: tailor.datasets.AbsentDataset, columns: [user_id]} in the catalog)."
        )
    report.note("users", "users of the interactions that the users table lacks", len(unknown))
    report.note("users", "users without interactions (left out)", len(nobody))
