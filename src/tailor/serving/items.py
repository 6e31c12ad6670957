"""Items at serving time: added, changed and removed without a fit, kept in a file that is replaced whole."""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import TextOptions
from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError, did_you_mean
from tailor.files import write_aside
from tailor.serving.recommender import Recommender

#: Items in one call, and added to one model in all; a fit takes them in for good.
MAX_CALL, MAX_ADDED = 1000, 20_000
MAX_CELL = 10_000
Row = dict[str, Any]


def read_items(served: Recommender, rows: Sequence[Row]) -> ItemMetadata:
    """Write the texts of items as the catalogue's own were written.

    Args:
        served: carries the text template.
        rows: columns as in the items table: item_id and whatever the template, the categories and the numbers read.

    Raises:
        BadInputError: too many, an id is missing or repeated, a column is unknown, a cell is too long.
    """
    from tailor.data.text import item_categories, pack_pieces, write_pieces  # noqa: PLC0415

    if not 1 <= len(rows) <= MAX_CALL:
        raise BadInputError(f"{len(rows)} items in one call; send 1 to {MAX_CALL}")
    options = parse(TextOptions, served.about.get("text", {}), "text")
    read = {name for piece in options.item_template for _, name, _, _ in Formatter().parse(piece) if name}
    category = [options.categories.column] if options.categories.column else []
    known = list(dict.fromkeys([c.ITEM, c.TITLE, *sorted(read), *category, *served.known_metadata.numeric_columns]))
    for row in rows:
        for name, cell in row.items():
            if name not in known:
                raise BadInputError(
                    f"Unknown column '{name}'.{did_you_mean(name, known)} An item has: {', '.join(known)}."
                )
            if cell is not None and (isinstance(cell, (dict, list)) or len(str(cell)) > MAX_CELL):
                raise BadInputError(
                    f"{name}: {str(cell)[:50]!r} is not a text or number of at most {MAX_CELL} characters"
                )
    ids = [str(row.get(c.ITEM) or "").strip() for row in rows]
    if "" in ids or len(set(ids)) < len(ids) or any(not i.isprintable() for i in ids):
        raise BadInputError("Each item needs an item_id of its own, of printable characters")
    table = pd.DataFrame([{name: row.get(name) for name in known} for row in rows], dtype=object)
    table[c.ITEM] = ids
    pieces = write_pieces(table, options.item_template, options.missing, "text.item_template")
    metadata = ItemMetadata.build(
        table, pack_pieces(pieces), item_categories(table, options.categories, options.missing)
    )
    numbers = {
        name: pd.to_numeric(table[name], errors="coerce").astype("float64")
        for name in served.known_metadata.numeric_columns
    }
    return ItemMetadata(metadata.table[[c.ITEM, c.TITLE, c.PIECES, "categories"]].assign(**numbers))


def put(served: Recommender, metadata: ItemMetadata) -> Recommender:
    """Return a recommender that has these items: new ones join, known ones take the new text."""
    features = served.encoder.encode([". ".join(row) for row in metadata.pieces])
    at = served.places(metadata.table[c.ITEM].tolist())
    old, new = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
    if len(old):
        served = served.with_texts(metadata.take(old), features[old])
    return served.with_items(metadata.take(new), features[new]) if len(new) else served


@dataclass
class ItemStore:
    """What was added to a model and removed from it, in one JSON file.

    A change is written aside, flushed to disk and renamed before anybody is told that it happened.
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
            found = json.loads(path.read_text())
            return cls(path, {row[c.ITEM]: row for row in found["items"]}, set(found["removed"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise BadInputError(f"{path} cannot be read; restore it or delete it (added items are lost)") from None

    def apply(self, served: Recommender) -> Recommender:
        """Return a recommender with everything that was put and removed; ids it no longer knows are passed over."""
        rows = list(self.rows.values())
        for start in range(0, len(rows), MAX_CALL):
            served = put(served, read_items(served, rows[start : start + MAX_CALL]))
        gone = sorted(self.removed & set(served.item_ids))
        return served.without_items(gone) if gone else served

    def put(self, served: Recommender, rows: Sequence[Row]) -> Recommender:
        """Add or change items, for good.

        Raises:
            BadInputError: see :func:`read_items`, or there are too many in all.
        """
        metadata = read_items(served, rows)
        grown = put(served, metadata)
        ids = metadata.table[c.ITEM].tolist()
        kept = self.rows | {i: {**row, c.ITEM: i} for i, row in zip(ids, rows, strict=True)}
        if len(kept) > MAX_ADDED:
            raise BadInputError(f"{len(kept)} items added in all; at most {MAX_ADDED}: fit a model that knows them")
        self._write(kept, self.removed - set(ids))
        if grown.removed is not None:
            grown.removed[grown.places(ids)] = False
        return grown

    def remove(self, served: Recommender, item_ids: Sequence[str]) -> Recommender:
        """List items no more.

        Raises:
            BadInputError: an id is unknown.
        """
        shrunk = served.without_items(item_ids)
        self._write(self.rows, self.removed | set(item_ids))
        return shrunk

    def _write(self, rows: dict[str, Row], removed: set[str]) -> None:
        with write_aside(self.path) as aside, aside.open("w") as file:
            json.dump({"items": list(rows.values()), "removed": sorted(removed)}, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        self.rows, self.removed = rows, removed
