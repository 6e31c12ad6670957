"""Items at serving time: added, changed and removed without a fit, kept in a file that is replaced whole."""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import TextOptions
from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError, did_you_mean
from tailor.files import write_aside
from tailor.serving.recommender import Recommender
from tailor.serving.validation import read_id
from tailor.types import JsonObject

#: Items in one call, and added to one model in all; a fit takes them in for good.
MAX_CALL, MAX_ADDED = 1000, 20_000
MAX_CELL = 10_000
Row = JsonObject


def read_items(model: Recommender, rows: Sequence[Row]) -> ItemMetadata:
    """Write the texts of items as the catalogue's own were written.

    Args:
        model: carries the text template.
        rows: columns as in the items table: item_id and whatever the template, the categories and the numbers read;
            lists of numbers under the names of the catalogue's vectors.

    Raises:
        BadInputError: too many, an id is missing or repeated, a column is unknown, a cell is too long or no vector.
    """
    from tailor.data.text import item_categories, pack_pieces, write_pieces  # noqa: PLC0415

    if not 1 <= len(rows) <= MAX_CALL:
        raise BadInputError(f"{len(rows)} items in one call; send 1 to {MAX_CALL}")
    options = parse(TextOptions, model.about.get("text", {}), "text")
    numeric = model.known_metadata.numeric_columns
    table = _read_table(rows, [*_columns(options, numeric), *model.parts.names])
    pieces = write_pieces(table, options.item_template, options.missing, "text.item_template")
    categories = item_categories(table, options.categories, options.missing)
    metadata = ItemMetadata.build(table, pack_pieces(pieces), categories)
    numbers = {name: pd.to_numeric(table[name], errors="coerce").astype("float64") for name in numeric}
    read = ItemMetadata(metadata.table[[c.ITEM, c.TITLE, c.PIECES, "categories"]].assign(**numbers))
    names = model.parts.names
    return read.with_arrays(vectors=model.parts.read({name: table[name].tolist() for name in names})) if names else read


def _columns(options: TextOptions, numeric: Sequence[str]) -> list[str]:
    """Return the columns that an item may have: its id and title, and what the text, categories and numbers read."""
    read = {name for piece in options.item_template for _, name, _, _ in Formatter().parse(piece) if name}
    category = [options.categories.column] if options.categories.column else []
    return list(dict.fromkeys([c.ITEM, c.TITLE, *sorted(read), *category, *numeric]))


def _read_table(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Check every cell and id; return the rows as a table with all columns."""
    for row in rows:
        for name, cell in row.items():
            _check_cell(name, cell, columns)
    ids = [read_id(row.get(c.ITEM)) or "" for row in rows]
    if "" in ids or len(set(ids)) < len(ids) or not all(name.isprintable() for name in ids):
        raise BadInputError("Each item needs an item_id of its own, of printable characters")
    table = pd.DataFrame([{name: row.get(name) for name in columns} for row in rows], dtype=object)
    return table.assign(**{c.ITEM: ids})


def _check_cell(name: str, cell: object, columns: Sequence[str]) -> None:
    if name not in columns:
        raise BadInputError(f"Unknown column '{name}'.{did_you_mean(name, columns)} An item has: {', '.join(columns)}.")
    if name.startswith(c.VECTOR_PREFIX):
        return
    if cell is not None and (isinstance(cell, dict | list) or len(str(cell)) > MAX_CELL):
        raise BadInputError(f"{name}: {str(cell)[:50]!r} is not a text or number of at most {MAX_CELL} characters")


def put(model: Recommender, metadata: ItemMetadata) -> Recommender:
    """Return a recommender that has these items: new ones join, known ones take the new text."""
    features = model.encoder.encode(metadata.texts)
    indices = model.item_indices(metadata.table[c.ITEM].tolist())
    known, new = np.flatnonzero(indices >= 0), np.flatnonzero(indices < 0)
    if len(known):
        model = model.with_texts(metadata.take(known), features[known])
    return model.with_new_items(metadata.take(new), features[new]) if len(new) else model


@dataclass
class ItemStore:
    """What was added to a model and removed from it, in one JSON file.

    A change is written aside, flushed to disk and renamed before it is acknowledged.
    """

    path: Path
    rows: dict[str, Row] = field(default_factory=dict)
    """Items put, by id."""
    removed: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, path: Path) -> "ItemStore":
        """Read the file, if there is one.

        Raises:
            BadInputError: it cannot be read.
        """
        if not path.is_file():
            return cls(path)
        try:
            stored = json.loads(path.read_text())
            return cls(path, {row[c.ITEM]: row for row in stored["items"]}, set(stored["removed"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise BadInputError(f"{path} cannot be read; restore it or delete it (added items are lost)") from None

    def apply(self, model: Recommender) -> Recommender:
        """Return a recommender with everything that was put and removed; ids it no longer knows are passed over."""
        rows = list(self.rows.values())
        for start in range(0, len(rows), MAX_CALL):
            model = put(model, read_items(model, rows[start : start + MAX_CALL]))
        removed = sorted(self.removed & set(model.item_ids))
        return model.without_items(removed) if removed else model

    def put(self, model: Recommender, rows: Sequence[Row]) -> Recommender:
        """Add or change items, for good.

        Raises:
            BadInputError: see :func:`read_items`, or there are too many in all.
        """
        metadata = read_items(model, rows)
        changed = put(model, metadata)
        ids = metadata.table[c.ITEM].tolist()
        stored = self.rows | {name: {**row, c.ITEM: name} for name, row in zip(ids, rows, strict=True)}
        if len(stored) > MAX_ADDED:
            raise BadInputError(f"{len(stored)} items added in all; at most {MAX_ADDED}: fit a model that knows them")
        self._write(stored, self.removed - set(ids))
        if changed.removed is not None:
            changed.removed[changed.item_indices(ids)] = False
        return changed

    def remove(self, model: Recommender, item_ids: Sequence[str]) -> Recommender:
        """List items no more.

        Raises:
            BadInputError: an id is unknown.
        """
        reduced = model.without_items(item_ids)
        self._write(self.rows, self.removed | set(item_ids))
        return reduced

    def _write(self, rows: dict[str, Row], removed: set[str]) -> None:
        with write_aside(self.path) as aside, aside.open("w") as file:
            json.dump({"items": list(rows.values()), "removed": sorted(removed)}, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        self.rows, self.removed = rows, removed
