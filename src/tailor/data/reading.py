"""Tables in text files: read by pandas, with the line of every row, and with what was skipped."""

import contextlib
import csv
import gzip
import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pandas as pd

from tailor.errors import BadInputError

#: Name of the index of a table that was read from a text file: lines of that file, from 1.
LINE: Final = "line"
#: Name of the index of other tables: rows, from 1.
ROW: Final = "row"
#: Key of ``frame.attrs``: (line, reason) of what the reader skipped.
SKIPPED: Final = "skipped"
#: Key of ``frame.attrs``: what was repaired in the whole file.
REPAIRED: Final = "repaired"

#: How pandas says that it left a last column without a name out.
_LOSS: Final = "Length of header or names does not match"
_SKIPPED_LINE: Final = re.compile(r"Skipping line (\d+): (.*)")
_PLAIN: Final = {"header", "skiprows", "names", "comment", "skip_blank_lines", "nrows", "engine", "skipfooter"}


def read_text_table(path: Path, load_args: Mapping[str, Any], name: str = "") -> pd.DataFrame:
    """Read a CSV or TSV file; gzipped files by their name.

    Args:
        path: of the file.
        load_args: for ``pandas.read_csv``. By default the encoding is UTF-8, with or without a byte order mark, and
            only an empty cell is missing: "NA" and "null" may be ids or names.
        name: what errors call the file, where it is a copy.

    Returns:
        The table. Its index, ``line``, holds the line of the file on which each row ends; ``attrs["skipped"]`` names
        the lines that ``on_bad_lines: skip`` left out.

    Raises:
        BadInputError: the file is empty, in another encoding, or has rows of more fields than its header.
    """
    arguments = {"encoding": "utf-8-sig", "index_col": False} | dict(load_args)
    if not {"keep_default_na", "na_values", "na_filter"} & load_args.keys():
        arguments |= {"keep_default_na": False, "na_values": [""]}
    if arguments.get("on_bad_lines") == "skip":
        arguments["on_bad_lines"] = "warn"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", pd.errors.ParserWarning)
        frame = _parse(path, arguments, name or str(path))
    warned = "\n".join(str(w.message) for w in caught if issubclass(w.category, pd.errors.ParserWarning))
    if _LOSS in warned:
        raise BadInputError(
            f"{name or path}: rows have more fields than the {frame.shape[1]} that the header names. Name all columns "
            "in the header, or set sep, quoting or names in load_args."
        )
    skipped = [(int(line), reason) for line, reason in _SKIPPED_LINE.findall(warned)]
    frame.attrs[SKIPPED] = skipped
    if _ends_in_separator(path, arguments, frame.shape[1]):
        frame.attrs[REPAIRED] = "every row ends in a separator that the header lacks"
    frame.index = pd.Index(_lines(path, arguments, len(frame), [line for line, _ in skipped]), name=LINE)
    return frame


def _parse(path: Path, arguments: Mapping[str, Any], name: str) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(path, **arguments)
    except pd.errors.EmptyDataError:
        raise BadInputError(f"{name} is empty. A header line and rows are needed.") from None
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{name} is not encoded in {arguments['encoding']} (byte {error.start}). Name its encoding in the catalog, "
            "for example load_args: {encoding: latin-1}."
        ) from None
    except pd.errors.ParserError as error:
        raise BadInputError(
            f"{name}: {_reason(error)}. Look at that line; set sep, quoting or quotechar in load_args, or "
            "on_bad_lines: skip, which leaves such lines out and counts them."
        ) from None
    except (OSError, EOFError, LookupError) as error:
        raise BadInputError(f"{name} cannot be read ({error}).") from None
    return frame


def _reason(error: Exception) -> str:
    return str(error).removeprefix("Error tokenizing data. C error: ").strip().removesuffix(".")


# --- lines -----------------------------------------------------------------------------------------------------------


def _lines(path: Path, arguments: Mapping[str, Any], n_rows: int, skipped: list[int]) -> np.ndarray:
    """Return the line on which each row ends; where a file is laid out simply, without reading it again."""
    first = 1 if arguments.get("header", "infer") is None else 2
    simple = first + np.arange(n_rows)
    if skipped:
        simple = np.setdiff1d(first + np.arange(n_rows + len(skipped)), skipped)[:n_rows]
    if not _PLAIN & arguments.keys() and _count_lines(path) == n_rows + len(skipped) + first - 1:
        return simple
    exact = _lines_of_records(path, arguments, set(skipped))
    return exact if len(exact) == n_rows else simple


def _count_lines(path: Path) -> int:
    count, last = 0, b"\n"
    with _opened(path) as file:
        while block := file.read(1 << 24):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def _lines_of_records(path: Path, arguments: Mapping[str, Any], skipped: set[int]) -> np.ndarray:
    """Return the line on which each record ends, with blank lines left out, for files with line breaks in quotes."""
    ends = [line for line, record in _records(path, arguments) if record and line not in skipped]
    return np.array(ends[0 if arguments.get("header", "infer") is None else 1 :], dtype=np.int64)


def _ends_in_separator(path: Path, arguments: Mapping[str, Any], n_columns: int) -> bool:
    """Tell whether the first row has one field more than the table, an empty one."""
    if arguments["index_col"] is not False:
        return False
    _, row = next(islice(_records(path, arguments), 1, None), (0, []))
    return len(row) == n_columns + 1 and row[-1] == "" and "usecols" not in arguments


def _records(path: Path, arguments: Mapping[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """Yield records, each with the line on which it ends; none where the separator is a pattern."""
    separator = arguments.get("sep") or arguments.get("delimiter") or ","
    if len(separator) != 1:
        return
    form: dict[str, Any] = {"delimiter": separator, "quotechar": arguments.get("quotechar", '"')}
    if arguments.get("quoting") == csv.QUOTE_NONE:
        form["quoting"] = csv.QUOTE_NONE
    with _opened(path) as file:
        reader = csv.reader((line.decode(arguments["encoding"], errors="replace") for line in file), **form)
        with contextlib.suppress(csv.Error):  # a field beyond the limit: pandas has read it
            for record in reader:
                yield reader.line_num, record


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")  # type: ignore[return-value]
