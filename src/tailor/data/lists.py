"""Cells that hold several values: lists and arrays, as parquet has them, and lists that were written as text."""

import ast
import json
import re
from collections.abc import Iterable
from typing import TypeGuard

import numpy as np
import pandas as pd

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_BARE = r"-?\d+(?:\.\d+)?|None|nan"
#: A list of texts or numbers as Python and numpy write it; numpy puts no commas.
_WRITTEN_LIST = re.compile(rf"\[\s*(?:(?:{_QUOTED}|{_BARE})(?:\s*,\s*|\s+|(?=\])))*\]", re.DOTALL)
_ENTRY = re.compile(rf"{_QUOTED}|{_BARE}", re.DOTALL)


def is_list(cell: object) -> TypeGuard[Iterable[object]]:
    """Say whether a cell is a list, a tuple, a set or an array."""
    return isinstance(cell, list | tuple | set | frozenset | np.ndarray)


def holds_lists(cells: pd.Series) -> bool:
    """Say whether any cell of a column is a list."""
    return cells.dtype == object and any(is_list(cell) for cell in cells)


def read_list(cell: object) -> list[object] | None:
    """Return what a cell lists; None where it is no list.

    Args:
        cell: a list or array; or text as Python, numpy or JSON writes a list of texts or numbers.

    Returns:
        The entries as they are, without missing ones.

    >>> read_list("['tea', 'hot chocolate']"), read_list("['tea' 'milk']"), read_list("[REC]")
    (['tea', 'hot chocolate'], ['tea', 'milk'], None)
    """
    if is_list(cell):
        return _present(cell)
    text = cell.strip() if isinstance(cell, str) else ""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        return _present(json.loads(text))
    except ValueError:
        return _read_written(text)


def join_lists(cells: pd.Series) -> pd.Series:
    """Write lists as text, "tea, milk"; other cells stay as they are.

    Text counts as a list here where all its entries are quoted: "['tea', 'milk']", but not "[1984]", which is a title.
    """
    if cells.dtype != object and not pd.api.types.is_string_dtype(cells):
        return cells
    return pd.Series([_joined(cell) for cell in cells], index=cells.index, name=cells.name, dtype=object)


def _joined(cell: object) -> object:
    entries = read_list(cell)
    if entries is None or not (is_list(cell) or (entries and all(isinstance(entry, str) for entry in entries))):
        return cell
    return ", ".join(map(str, entries))


def _read_written(text: str) -> list[object] | None:
    if _WRITTEN_LIST.fullmatch(text) is None:
        return None
    try:
        return [ast.literal_eval(entry) for entry in _ENTRY.findall(text) if entry not in ("None", "nan")]
    except SyntaxError:
        return None


def _present(entries: Iterable[object]) -> list[object]:
    """Leave out what is missing."""
    return [entry for entry in entries if is_list(entry) or not pd.isna(entry)]  # type: ignore[call-overload]
