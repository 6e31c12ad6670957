"""How a text file holds a table: its encoding, separator, quotes and header, from its first lines."""

import bz2
import csv
import gzip
import io
import lzma
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Final

import pandas as pd

from tailor.errors import BadInputError
from tailor.onboarding.names import USUAL, plain
from tailor.onboarding.wording import percent
from tailor.types import JsonObject

#: Rows of a table that are looked at.
MAX_ROWS: Final = 200_000
#: Bytes of a text file that are looked at.
MAX_BYTES: Final = 64 << 20
#: Lines that separators and quotes are tried on.
_TRIED_LINES: Final = 500
#: Of equally good ones the first is taken.
_SEPARATORS: Final = (",", "\t", ";", "|", "\x01", "^", "~", ":", " ")
_OPENERS: Final[dict[bytes, Callable[[IO[bytes]], IO[bytes]]]] = {
    b"\x1f\x8b": gzip.open,  # type: ignore[dict-item]
    b"BZ": bz2.open,  # type: ignore[dict-item]
    b"\xfd7": lzma.open,  # type: ignore[dict-item]
}
_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)?\s*")


@dataclass(frozen=True)
class Head:
    """The first lines of a file."""

    data: bytes
    share: float
    """Of the whole file, about; 1 where it is all of it."""


@dataclass(frozen=True)
class TextFormat:
    """How a text file is read."""

    encoding: str
    separator: str
    quoting: int = csv.QUOTE_MINIMAL
    escape: str | None = None
    names: tuple[str, ...] = ()
    """Of the columns, where the file does not name them (all)."""
    header: bool = True
    """Whether the first line names columns."""
    trailing: bool = False
    """Whether rows end in a separator that the header lacks."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why an argument is set, by its name."""

    def load_args(self) -> JsonObject:
        """Return the arguments for ``pandas.read_csv`` that differ from its defaults."""
        args: JsonObject = {}
        if self.encoding not in ("utf-8", "utf-8-sig"):
            args["encoding"] = self.encoding
        if self.separator != ",":
            args["sep"] = self.separator
        if self.quoting != csv.QUOTE_MINIMAL:
            args["quoting"] = self.quoting
        if self.escape:
            args["escapechar"] = self.escape
        if self.names:
            args |= {"header": 0 if self.header else None, "names": list(self.names)}
        if self.trailing:
            args["index_col"] = False
        return args


def read_head(path: Path, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> Head:
    """Read the first lines of a file, unpacked where it is packed (gzip, bzip2, xz).

    Raises:
        BadInputError: the file cannot be read, or is empty.
    """
    try:
        with path.open("rb") as raw:
            opener = _OPENERS.get(raw.read(2))
            raw.seek(0)
            file = opener(raw) if opener else raw
            lines, size = [], 0
            for line in islice(file, max_rows + 1):
                lines.append(line)
                size += len(line)
                if size > max_bytes:
                    break
            whole = not file.read(1)
            share = raw.tell() / path.stat().st_size if opener else size / max(path.stat().st_size, 1)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise BadInputError(f"{path} cannot be read ({error}). Check its name, or unpack it anew.") from None
    data = b"".join(lines)
    if not data.strip():
        raise BadInputError(f"{path} is empty. A line of column names and rows are needed.")
    return Head(data, 1.0 if whole else min(max(share, 1e-9), 1.0))


def read_first_rows(path: Path) -> tuple[pd.DataFrame, TextFormat, Head, int]:
    """Read the first rows of a text file.

    Args:
        path: CSV, TSV or alike; packed by gzip, bzip2 or xz.

    Returns:
        The rows, every cell as text; how they are read; the lines they are from; how many lines had too many fields.

    Raises:
        BadInputError: the file is empty, cannot be read, or holds no table.
    """
    head = read_head(path)
    encoding = guess_encoding(head.data)
    text = head.data.decode(encoding, errors="ignore").removeprefix("\ufeff")
    if "\x00" in text[:4096]:
        raise BadInputError(f"{path} is no text file. Give CSV, TSV, Parquet, Excel, or a database.")
    if head.share < 1.0:
        text = _whole_records(text)
    form = guess_format(text, encoding, str(path))
    args = {key: value for key, value in form.load_args().items() if key != "encoding"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", pd.errors.ParserWarning)
        try:
            rows = pd.read_csv(io.StringIO(text), dtype="str", on_bad_lines="warn", nrows=MAX_ROWS, **args)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise BadInputError(f"{path} holds no table that can be read ({str(error).strip()}).") from None
    bad = sum(len(re.findall("Skipping line", str(warning.message))) for warning in caught)
    return rows, form, head, bad


def guess_encoding(data: bytes) -> str:
    """Return the encoding of bytes that may end within a character.

    Example:
        >>> guess_encoding("Müller".encode("utf-8")), guess_encoding("Müller".encode("latin-1"))
        ('utf-8', 'latin-1')
    """
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return encoding
    try:
        data[: len(data) - 3].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(data) - 6:
            return _of_one_byte(data)
    return "utf-8"


def _of_one_byte(data: bytes) -> str:
    """Tell Western encodings from others by the bytes that are no ASCII."""
    beyond = [byte for byte in data[: 1 << 20] if byte > 0x7F] or [byte for byte in data if byte > 0x7F]
    lines = [line for line in data[: 8 << 20].splitlines() if not line.isascii()] or [data]
    letters = sum(chr(byte).isalpha() for line in lines[:2000] for byte in line if byte < 0x80)
    if sum(byte >= 0xC0 for byte in beyond) > 0.5 * letters:  # more beyond ASCII than within: no Western language
        return _other_encoding(b"\n".join(lines[:2000]))
    return "cp1252" if any(0x80 <= byte <= 0x9F for byte in beyond) else "latin-1"


def _other_encoding(data: bytes) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415  (few files ask for it)

    best = from_bytes(data).best()
    return "latin-1" if best is None else str(best.encoding)


def guess_format(text: str, encoding: str, where: str) -> TextFormat:
    """Return separator, quotes and header of a table from its first lines.

    Args:
        text: whole lines.
        encoding: of the file.
        where: the file, for errors.

    Raises:
        BadInputError: the separator has two characters.
    """
    sample = "".join(islice(io.StringIO(text, newline=""), _TRIED_LINES))
    separator, quoting, escape, share = _best_separator(sample)
    if re.match(r"[^\n]*?[^:\n]::[^:\n]", sample) and separator == ":":
        raise BadInputError(
            f"{where}: the separator '::' has two characters, which the reader does not take. Write a tab for it: "
            f"sed 's/::/\\t/g' {Path(where).name} > {Path(where).stem}.tsv"
        )
    records = _records(sample, separator, quoting, escape)
    reasons = {
        "encoding": f"its bytes are no UTF-8, {encoding} fits",
        "sep": f"{percent(share)} of the lines looked at have as many fields as the first",
        "quoting": "quotes are letters like any other here (3: csv.QUOTE_NONE)",
        "escapechar": "quotes within quotes have it before them",
    }
    return _with_header(TextFormat(encoding, separator, quoting, escape, reasons=reasons), records)


def _with_header(form: TextFormat, records: list[list[str]]) -> TextFormat:
    """Add the names of columns where the file lacks them, and what to do with one more field than names."""
    first, rows = records[0], records[1:]
    width = max({len(row) for row in rows}, key=[len(row) for row in rows].count, default=len(first))
    if not _names_columns(first, rows):
        names = tuple(f"column_{number}" for number in range(1, len(first) + 1))
        reasons = form.reasons | {
            "header": "the first line is a row",
            "names": "the file does not name its columns; better names here are better names in parameters.yml",
        }
        return replace(form, names=names, header=False, reasons=reasons)
    if width == len(first) + 1 and all(not row[-1].strip() for row in rows if len(row) == width):
        reasons = form.reasons | {"index_col": "rows end in a separator that the header lacks"}
        return replace(form, trailing=True, reasons=reasons)
    if width == len(first) + 1:
        names = ("row_name", *first)
        reasons = form.reasons | {"header": "replaced", "names": "rows have a name before the first column"}
        return replace(form, names=names, reasons=reasons)
    return form


def _names_columns(first: list[str], rows: list[list[str]]) -> bool:
    """Tell whether the first line is one of names: no number in it, and none of its cells comes again below."""
    usual = {name for names in USUAL.values() for name in names}
    if any(_NUMBER.fullmatch(cell) for cell in first):
        return False
    if any(plain(cell) in usual for cell in first):
        return True
    return not any(cell and any(row[place : place + 1] == [cell] for row in rows) for place, cell in enumerate(first))


def _best_separator(sample: str) -> tuple[str, int, str | None, float]:
    """Try all separators and ways of quoting; return the best and the share of records of its usual width."""
    tried = []
    for place, separator in enumerate(_SEPARATORS):
        for quoting, escape in ((csv.QUOTE_MINIMAL, None), (csv.QUOTE_MINIMAL, "\\"), (csv.QUOTE_NONE, None)):
            records = _records(sample, separator, quoting, escape)
            widths = [len(record) for record in records]
            usual = max(set(widths), key=widths.count, default=1)
            share = widths.count(usual) / max(len(widths), 1)
            unusual = quoting == csv.QUOTE_NONE or escape is not None
            splits = len(records[0]) > 1 and usual > 1 and abs(len(records[0]) - usual) <= 1
            # A quote that opens by mistake makes one record of many lines.
            tried.append((splits, share, len(records), not unusual, -place, separator, quoting, escape))
    splits, share, _, _, _, separator, quoting, escape = max(tried, key=lambda one: one[:5])
    return (separator, quoting, escape, share) if splits else (",", csv.QUOTE_MINIMAL, None, 1.0)


def _records(sample: str, separator: str, quoting: int, escape: str | None) -> list[list[str]]:
    text = io.StringIO(sample, newline="")
    reader = csv.reader(text, delimiter=separator, quoting=quoting, escapechar=escape)  # type: ignore[arg-type]
    records: list[list[str]] = []
    try:
        records.extend(record for record in reader if record)
    except csv.Error:
        records.append([])
    return records


def _whole_records(text: str) -> str:
    """Cut the last lines off a text that ends within a record."""
    text = text[: text.rfind("\n") + 1]
    for _ in range(1000):
        if text.count('"') % 2 == 0:
            break
        text = text[: text.rfind("\n", 0, len(text) - 1) + 1]
    return text
