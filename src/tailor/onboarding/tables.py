"""Raw tables as they come: the first rows of a file or of a table of a database, and how Kedro reads all of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import pandas as pd
import pyarrow.dataset as ds
from pyarrow.lib import ArrowException

from tailor.errors import BadInputError, did_you_mean
from tailor.onboarding.column_summary import ColumnSummary
from tailor.onboarding.text_format import MAX_ROWS, read_first_rows
from tailor.onboarding.wording import about
from tailor.types import JsonObject

TEXT, PARQUET, EXCEL, SQL = (
    "tailor.datasets.TextTableDataset",
    "pandas.ParquetDataset",
    "pandas.ExcelDataset",
    "pandas.SQLTableDataset",
)
_EXCEL_SUFFIXES: Final = (".xlsx", ".xlsm")
_TEXT_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".item", ".user", ".psv", ".tab")
_PACKED: Final = (".gz", ".bz2", ".xz")


@dataclass(frozen=True, eq=False)
class RawTable:
    """A raw table: its first rows, and its dataset."""

    name: str
    """Of the file, or of the table in the database."""
    rows: pd.DataFrame
    """The first ones."""
    n_rows: int
    """Of the whole table; about, where ``whole`` is false."""
    whole: bool
    """Whether ``rows`` are all there are."""
    dataset: str
    """Type of the Kedro dataset."""
    path: Path | None = None
    """Of a file."""
    table: str | None = None
    """In a database."""
    load_args: JsonObject = field(default_factory=dict)
    """Of the dataset."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why they are set, by argument."""
    notes: tuple[str, ...] = ()
    """What else there is to say."""

    @cached_property
    def columns(self) -> dict[str, ColumnSummary]:
        """What every column looks like, by name."""
        return {str(name): ColumnSummary.of(str(name), self.rows[name]) for name in self.rows.columns}

    @property
    def size(self) -> str:
        """How many rows there are, in words."""
        if self.whole:
            return f"{self.n_rows:,} rows"
        return f"about {about(self.n_rows):,} rows, the first {len(self.rows):,} of which were looked at"


def read_table(path: Path) -> RawTable:
    """Look at a file: text with any separator (packed or not), Parquet (a file or a folder), or Excel.

    At most 200,000 rows are read, however long the file is.

    Raises:
        BadInputError: there is no such file, it holds no table, or what reads it is not installed.
    """
    if not path.exists():
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise BadInputError(f"There is no file {path}.{did_you_mean(path.name, near)}")
    reader = _reader(path)
    if reader is None:
        raise BadInputError(f"{path} is a folder without Parquet files. Name a file, or give the folder as RAW=.")
    table = reader(path)
    if not len(table.rows):
        raise BadInputError(f"{path} has no rows below its line of names.")
    return table


def table_files(folder: Path) -> list[Path]:
    """Return what a folder holds that may be a table.

    Raises:
        BadInputError: there is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise BadInputError(f"There is no folder {folder}. Give RAW= the folder that holds your tables.")
    files = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".") and _is_table(entry)]
    if not files:
        raise BadInputError(f"{folder} holds no CSV, TSV, Parquet or Excel file. Give RAW= the folder of your tables.")
    return files


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() in _PACKED else path.suffix.lower()


def _is_table(path: Path) -> bool:
    if path.is_dir():
        return any(path.rglob("*.parquet"))
    return _suffix(path) in (*_TEXT_SUFFIXES, *_EXCEL_SUFFIXES, ".parquet", ".pq")


def _reader(path: Path) -> Callable[[Path], RawTable] | None:
    if path.is_dir():
        return _read_parquet if any(path.rglob("*.parquet")) else None
    if _suffix(path) in _EXCEL_SUFFIXES:
        return _read_excel
    with path.open("rb") as file:
        return _read_parquet if file.read(4) == b"PAR1" else _read_text


def _read_text(path: Path) -> RawTable:
    rows, form, head, bad = read_first_rows(path)
    whole = head.share == 1.0 and len(rows) < MAX_ROWS
    notes = [
        f"{bad} of the lines looked at have too many fields: a run stops there, on_bad_lines: skip leaves them out"
    ]
    n_rows = len(rows) if whole else max(round(len(rows) / head.share), len(rows))
    return RawTable(
        name=path.name,
        rows=rows,
        n_rows=n_rows,
        whole=whole,
        dataset=TEXT,
        path=path,
        load_args=form.load_args(),
        reasons=form.reasons,
        notes=tuple(notes if bad else []),
    )


def _read_parquet(path: Path) -> RawTable:
    try:
        table = ds.dataset(path, format="parquet", partitioning="hive")
        rows: pd.DataFrame = table.head(MAX_ROWS).to_pandas()
        n_rows = int(table.count_rows())
    except (ArrowException, OSError) as error:
        raise BadInputError(f"{path} is no Parquet that can be read ({error}).") from None
    return RawTable(path.name, rows, n_rows, n_rows == len(rows), PARQUET, path)


def _read_excel(path: Path) -> RawTable:
    try:
        rows: Any = pd.read_excel(path, nrows=MAX_ROWS, engine="openpyxl")
    except ImportError:
        raise BadInputError(
            f"{path} is an Excel file, which openpyxl reads. Install it (.venv/bin/python -m pip install openpyxl), "
            "or save the file as CSV."
        ) from None
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise BadInputError(f"{path} is no Excel file that can be read ({error}). Save it as CSV.") from None
    notes = ("the first sheet is read; sheet_name in load_args names another",)
    return RawTable(path.name, rows, len(rows), len(rows) < MAX_ROWS, EXCEL, path, notes=notes)
