"""The text of an item: pieces of a template, with missing fields left out and entities unescaped."""

import html
import re
import string

import pandas as pd

from tailor.errors import ConfigurationError, did_you_mean
from tailor.options import TextOptions

_SPACE = re.compile(r"\s+")


def clean_cells(cells: pd.Series, missing: list[str]) -> pd.Series:
    """Return text with HTML entities unescaped and white space folded; cells that mean 'nothing' become empty."""
    text = cells.astype("string").fillna("").map(lambda cell: _SPACE.sub(" ", html.unescape(cell)).strip())
    whole = text.str.fullmatch(r"-?\d+\.0")
    text = text.mask(whole, text.str.removesuffix(".0"))
    return text.mask(text.str.lower().isin([word.lower() for word in missing]), "").astype("str")


def item_texts(items: pd.DataFrame, options: TextOptions) -> pd.Series:
    """Write one text per item.

    Each piece of ``options.item_template`` is a format string over columns; a piece is left out when any of its columns
    is missing in that row. The pieces that remain are joined by '. '.

    Args:
        items: the catalogue.

    Returns:
        Texts (str), indexed like ``items``; empty where nothing is known.

    Raises:
        ConfigurationError: a piece names a column the catalogue does not have.
    """
    pieces = [_piece(items, template, options.missing) for template in options.item_template]
    written = [". ".join(p.removesuffix(".") for p in row if p) for row in zip(*pieces, strict=True)]
    return pd.Series(written, index=items.index, dtype="str")


def _piece(items: pd.DataFrame, template: str, missing: list[str]) -> pd.Series:
    fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    for name in fields:
        if name not in items.columns:
            raise ConfigurationError(
                f"feature_engineering.text.item_template {template!r} names a column '{name}' that the items table "
                f"does not have.{did_you_mean(name, items.columns)} It has: {', '.join(map(str, items.columns))}."
            )
    cells = {name: clean_cells(items[name], missing) for name in fields}
    complete = pd.Series(True, index=items.index)
    for column in cells.values():
        complete &= column != ""
    rows = zip(*cells.values(), strict=True) if cells else iter([()] * len(items))
    written = [template.format(**dict(zip(fields, row, strict=True))) for row in rows]
    return pd.Series(written, index=items.index, dtype="str").where(complete, "")
