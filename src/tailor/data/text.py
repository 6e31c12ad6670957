"""The texts of items: pieces of a template, with missing fields left out and entities unescaped."""

import html
import json
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.config import CategoryOptions, TextOptions, UserTextOptions, piece_columns
from tailor.data.hashing import seeded_hash
from tailor.data.lists import is_list, join_lists, read_list
from tailor.errors import ConfigurationError, did_you_mean

_SPACE = re.compile(r"\s+")
#: A column of at most so many different values, and at least three, is a scale of ratings, whose middle divides it.
_SCALE = (3, 11)
Pieces = list[list[str]]


def clean_cells(cells: pd.Series, missing: list[str]) -> pd.Series:
    """Return text with HTML entities unescaped and white space folded; cells that mean 'nothing' become empty.

    Lists are written as "tea, milk".
    """
    text = join_lists(cells).astype("string").fillna("")
    text = text.map(lambda cell: _SPACE.sub(" ", html.unescape(cell)).strip())
    whole = text.str.fullmatch(r"-?\d+\.0")
    text = text.mask(whole, text.str.removesuffix(".0"))
    return text.mask(text.str.lower().isin([word.lower() for word in missing]), "").astype("str")


def write_pieces(table: pd.DataFrame, template: list[str], missing: list[str], where: str) -> Pieces:
    """Write the pieces of every row.

    Each piece of ``template`` is a format string over columns; it is left out where any of its columns is missing.

    Args:
        table: the items.
        template: format strings.
        missing: cell values that mean 'nothing'.
        where: the parameter's name, for errors.

    Returns:
        One list of pieces per row, empty where nothing is known.

    Raises:
        ConfigurationError: a piece names a column the table does not have.
    """
    columns = [_piece(table, piece, missing, where) for piece in template]
    return [[p.removesuffix(".") for p in row if p] for row in zip(*columns, strict=True)] or [[] for _ in table.index]


def join_pieces(pieces: Pieces) -> pd.Series:
    """Join pieces by '. ', one text per row."""
    return pd.Series([". ".join(row) for row in pieces], dtype="str")


def pack_pieces(pieces: Pieces) -> pd.Series:
    """Write each row's pieces as one JSON list: plain strings, for tables that anything can read."""
    return pd.Series([json.dumps(row, ensure_ascii=False) for row in pieces], dtype="str")


def unpack_pieces(packed: pd.Series) -> Pieces:
    """Undo :func:`pack_pieces`."""
    return [json.loads(row) for row in packed]


def template_columns(template: Sequence[str]) -> list[str]:
    """Return the columns that a template names, each once."""
    return list(dict.fromkeys(name for piece in template for name in piece_columns(piece)))


def constant_columns(table: pd.DataFrame, template: Sequence[str], missing: list[str]) -> dict[str, str]:
    """Return the columns of a template that say the same of all items, each with what it says ("" for nothing).

    Args:
        table: the items.
        template: format strings over its columns.
        missing: cell values that mean 'nothing'.
    """
    cells = {name: clean_cells(table[name], missing) for name in template_columns(template)}
    return {
        name: str(column.iloc[0])
        for name, column in cells.items()
        if len(column) > 1 and (column == column.iloc[0]).all()
    }


def refuse_empty_texts(texts: pd.Series, items: pd.DataFrame, template: Sequence[str], where: str) -> None:
    """Refuse texts of which none says anything.

    Args:
        texts: one per item.
        items: the items, in the same order.
        template: format strings over their columns.
        where: the parameter's name, for the error.

    Raises:
        ConfigurationError: all are empty; names the template, its columns and the first three items.
    """
    if (texts != "").any():
        return
    columns = template_columns(template)
    rows = items[list(dict.fromkeys([c.ITEM, *columns]))].head(3)
    first = "; ".join(", ".join(f"{name} = {cell!r}" for name, cell in row.items()) for row in rows.to_dict("records"))
    raise ConfigurationError(
        f"The text of every item is empty: {where} = {list(template)} reads {', '.join(columns) or 'no column'}, and a "
        f"piece with a missing cell is left out. The first items: {first}. Name columns that are filled, or take a "
        "word out of feature_engineering.text.missing."
    )


def praise(
    interactions: pd.DataFrame, options: UserTextOptions, scale_of: pd.DataFrame | None = None
) -> NDArray[np.bool_]:
    """Tell which rows' texts speak for their item (n,).

    A row does from ``options.praise_from`` on. Where that is not set, and the values form a scale of ratings (3 to 11
    different ones), from the middle of the scale on; where they form none, every row does.

    Args:
        interactions: with a value where there is one.
        options: praise_from.
        scale_of: rows that the scale is read off; None: these ones.
    """
    every = np.ones(len(interactions), dtype=bool)
    if c.VALUE not in interactions or not len(interactions):
        return every
    different = np.unique((interactions if scale_of is None else scale_of)[c.VALUE].to_numpy(dtype=np.float64))
    threshold = options.praise_from
    if threshold is None:
        if not _SCALE[0] <= len(different) <= _SCALE[1]:
            return every
        threshold = float(different[0] + different[-1]) / 2
    return np.asarray(interactions[c.VALUE].to_numpy(dtype=np.float64) >= threshold)


def add_reviews(
    pieces: Pieces,
    items: pd.DataFrame,
    interactions: pd.DataFrame,
    options: TextOptions,
    user_text: UserTextOptions | None = None,
) -> Pieces:
    """Append what users wrote about an item to its pieces.

    Only train rows are read, and none of pseudo-cold items: an item that nobody has touched has no reviews. What speaks
    against an item (:func:`praise`) stays out. Of many, a seeded hash of (user, item) chooses.
    """
    if c.TEXT not in interactions or not options.reviews_per_item:
        return pieces
    cold = items.loc[items[c.PSEUDO_COLD] != "none", c.ITEM]
    rows = interactions[(interactions[c.SPLIT] == c.TRAIN) & ~interactions[c.ITEM].isin(cold)]
    rows = rows[praise(rows, user_text or UserTextOptions())]
    rows = rows.assign(text=_reviews(rows, options), hash=seeded_hash(0, rows[c.USER], rows[c.ITEM]))
    rows = rows[rows[c.TEXT] != ""].sort_values("hash").groupby(c.ITEM, sort=False).head(options.reviews_per_item)
    by_item = rows.groupby(c.ITEM)[c.TEXT].agg(list).to_dict()
    return [[*row, *by_item.get(item, [])] for row, item in zip(pieces, items[c.ITEM], strict=True)]


def item_categories(items: pd.DataFrame, options: CategoryOptions, missing: list[str]) -> pd.DataFrame:
    """List the categories of every item, long form: item_id, category.

    A cell that is a list, or a list written as text, holds one category per entry; another text is split at the
    separator.

    Raises:
        ConfigurationError: the column does not exist, or a cell lists what is no text and no number.
    """
    if options.column is None:
        return pd.DataFrame({c.ITEM: [], c.CATEGORY: []}, dtype="str")
    if options.column not in items:
        raise ConfigurationError(
            f"feature_engineering.text.categories.column = '{options.column}': the items table has no such column."
            f"{did_you_mean(options.column, items.columns)} It has: {', '.join(map(str, items.columns))}."
        )
    listed = _listed(items[options.column], options.column)
    split = clean_cells(items[options.column], missing).str.split(options.separator, regex=False)
    names = [parts if entries is None else entries for parts, entries in zip(split, listed, strict=True)]
    is_entry = [entries is not None for entries in listed]
    long = pd.DataFrame({c.ITEM: items[c.ITEM], c.CATEGORY: names, "is_entry": is_entry})
    long = long.explode(c.CATEGORY, ignore_index=True)
    stripped = long[c.CATEGORY].astype("string").fillna("").str.strip()
    long[c.CATEGORY] = stripped.where(~long.pop("is_entry"), clean_cells(long[c.CATEGORY], missing)).astype("str")
    return long[long[c.CATEGORY] != ""].drop_duplicates(ignore_index=True).astype("str")


def _listed(cells: pd.Series, column: str) -> list[list[object] | None]:
    """Return the entries of each cell that is a list, None for every other cell."""
    listed = [read_list(cell) for cell in cells]
    for cell, entries in zip(cells, listed, strict=True):
        is_record = isinstance(cell, dict) or str(cell).lstrip().startswith(("[{", "{'", '{"'))
        if is_record or any(is_list(entry) or isinstance(entry, dict) for entry in entries or []):
            raise ConfigurationError(
                f"feature_engineering.text.categories.column = '{column}': a cell holds {str(cell)[:80]!r}, which is "
                "no list of names. Write the names alone into a column, and name that one."
            )
    return listed


def _reviews(interactions: pd.DataFrame, options: TextOptions) -> pd.Series:
    """Return the cleaned first words of what was written."""
    written = clean_cells(interactions[c.TEXT], options.missing)
    return written.map(lambda text: " ".join(text.split(" ")[: options.review_words]))


def _piece(table: pd.DataFrame, template: str, missing: list[str], where: str) -> pd.Series:
    fields = piece_columns(template)
    for name in fields:
        if name not in table.columns:
            raise ConfigurationError(
                f"{where} {template!r} names a column '{name}' that the table does not have."
                f"{did_you_mean(name, table.columns)} It has: {', '.join(map(str, table.columns))}."
            )
    cells = {name: clean_cells(table[name], missing) for name in fields}
    complete = pd.DataFrame({name: column != "" for name, column in cells.items()}, index=table.index).all(axis=1)
    rows = zip(*cells.values(), strict=True) if cells else iter([()] * len(table))
    written = [template.format(**dict(zip(fields, row, strict=True))) for row in rows]
    return pd.Series(written, index=table.index, dtype="str").where(complete, "")
