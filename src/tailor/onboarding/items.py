"""What an item reads as: its title, its categories, and the other columns that tell a language model what it is."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

import pandas as pd

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.onboarding.column_summary import ColumnSummary
from tailor.onboarding.ids import ColumnChoice
from tailor.onboarding.names import CATEGORIES, USUAL, is_usual, name_score, plain, tidy_name
from tailor.onboarding.tables import RawTable
from tailor.onboarding.wording import percent

#: Names of columns that Tailor writes itself.
_OURS: Final = frozenset(
    (
        c.ITEM,
        c.USER,
        c.TITLE,
        c.N_TRAIN,
        c.BUCKET,
        c.PSEUDO_COLD,
        c.SPLIT,
        c.TEXT,
        c.PIECES,
        c.CATEGORY,
        c.RANK,
        c.SCORE,
    )
)
#: What may stand between two categories of a cell; of equally good ones the first is taken.
_SEPARATORS: Final = ("|", ";", ",", "/", ">", " ")
#: What is said of categories that stand alone in their cells.
_ONE: Final = "one category a cell"
#: Pieces of a text.
_MOST_PIECES: Final = 8
#: Share of the items that must have a value, for a column to join the text.
_LEAST_FILLED: Final = 0.05
#: Distinct categories per item beyond which a column says what one item is, not what kind.
_LEAST_SHARED: Final = 0.2


@dataclass(frozen=True)
class Categories:
    """Where the categories of items are."""

    column: str
    """By Tailor's name."""
    separator: str | None
    """None: the cells are lists."""
    reason: str


@dataclass(frozen=True)
class ItemColumns:
    """What the items hold beside their ids."""

    columns: tuple[ColumnChoice, ...]
    template: tuple[str, ...]
    categories: Categories | None
    unused: tuple[tuple[str, str], ...]
    """Columns that are not mapped, with the reason."""


def describe_items(table: RawTable, item: str) -> ItemColumns:
    """Say what an item reads as.

    Args:
        table: the items.
        item: the column of their ids.

    Raises:
        BadInputError: no column has words.
    """
    left = {name: column for name, column in table.columns.items() if name != item}
    unused = {name: reason for name, column in left.items() if (reason := _unfit(column))}
    title = _title([column for name, column in left.items() if name not in unused], table)
    columns = [ColumnChoice(c.TITLE, title.name, _title_reason(title))]
    template, categories = [f"{{{c.TITLE}}}"], None
    rest = [column for name, column in left.items() if name not in (title.name, *unused)]
    for column in sorted(rest, key=_place):
        ours = tidy_name(column.name, [*_OURS, *(choice.ours for choice in columns)])
        if column.kind == "vector":
            columns.append(ColumnChoice(f"{c.VECTOR_PREFIX}{ours}", column.name, "a vector per item"))
            continue
        parts = split_categories(column)
        if parts is None and not _describes(column):
            unused[column.name] = _why_not(column)
        elif len(template) == _MOST_PIECES:
            unused[column.name] = f"a text has {_MOST_PIECES} pieces already"
        else:
            columns.append(ColumnChoice(ours, column.name, _reason(column)))
            template.append(_piece(ours, column))
            if parts is not None and categories is None:
                categories = Categories(ours, *parts)
    return ItemColumns(tuple(columns), tuple(template), categories, tuple(unused.items()))


def _unfit(column: ColumnSummary) -> str:
    """Return why a column tells a language model nothing, or an empty text."""
    if column.kind == "empty":
        return "empty"
    if column.n_distinct == 1:
        return "the same in all rows"
    if column.share_filled < _LEAST_FILLED:
        return f"{percent(1 - column.share_filled)} are empty"
    if column.is_address:
        return "links, names of images, or keys"
    if column.kind == "time":
        return "dates"
    return "objects in braces" if column.texts.iloc[0].startswith(("{", "[{")) else ""


def _title(columns: list[ColumnSummary], table: RawTable) -> ColumnSummary:
    """Return the column that names the item: by its name, else short texts that are nearly all different."""
    texts = [column for column in columns if column.kind == "text" and column.share_of_letters >= 0.5]
    named = [column for column in texts if is_usual(c.TITLE, column.name)]
    if named:
        return max(named, key=lambda column: name_score(c.TITLE, column.name))
    if not texts:
        raise BadInputError(
            f"{table.name} has no column with words (it has: {', '.join(table.columns)}). Items need at least a title "
            "or a text each, which the language model reads."
        )
    short = [column for column in texts if column.mean_words <= 20 and not is_usual(CATEGORIES, column.name)]
    return max(short or texts, key=lambda column: column.share_distinct * column.share_filled)


def _title_reason(column: ColumnSummary) -> str:
    named = "its name is usual; " if is_usual(c.TITLE, column.name) else "short texts, nearly all different; "
    empty = f", {percent(1 - column.share_filled)} are empty" if column.share_filled < 1 else ""
    return f"{named}{column.mean_words:.0f} words on average{empty}"


def _place(column: ColumnSummary) -> tuple[int, float]:
    """Order pieces: what lists categories, makers, other short ones, the longest last."""
    if column.mean_words > 12:
        return 3, column.mean_words
    if is_usual(CATEGORIES, column.name):
        parts = split_categories(column)
        single = parts is not None and parts[1].startswith(_ONE)
        return 0, single - name_score(CATEGORIES, column.name)
    return (1, 0.0) if plain(column.name) in USUAL["brand"] else (2, column.mean_words)


def _describes(column: ColumnSummary) -> bool:
    """Tell whether a column has words that say what an item is."""
    return _is_year(column) or (column.kind in ("text", "list") and column.share_of_letters >= 0.5)


def _is_year(column: ColumnSummary) -> bool:
    numbers = column.numbers
    return column.kind == "number" and "year" in plain(column.name) and bool(numbers.between(1500, 2200).mean() > 0.9)


def _why_not(column: ColumnSummary) -> str:
    return "numbers; a language model makes little of them" if column.kind == "number" else "no words"


def _reason(column: ColumnSummary) -> str:
    filled = "all items" if column.share_filled == 1 else f"{percent(column.share_filled)} of the items"
    return f"{filled} have one, {column.n_distinct:,} different ones"


def _piece(ours: str, column: ColumnSummary) -> str:
    by = plain(column.name) in USUAL["brand"] and column.mean_words <= 5
    return f"by {{{ours}}}" if by else f"{{{ours}}}"


def split_categories(column: ColumnSummary) -> tuple[str | None, str] | None:
    """Return what stands between the categories of a cell and why, None where a column holds no categories.

    Args:
        column: of the items.
    """
    usual = is_usual(CATEGORIES, column.name)
    if column.kind == "list":
        return (None, "the cells are lists") if usual or _vocabulary(column, None) <= _LEAST_SHARED else None
    if column.kind != "text" or column.mean_words > 12 or not (usual or column.share_distinct <= _LEAST_SHARED):
        return None
    for separator in _SEPARATORS:
        split = float(column.probe.str.contains(separator, regex=False).mean())
        sizes = _sizes(column, separator)
        if split >= 0.05 and _vocabulary(column, separator) <= _LEAST_SHARED and _is_list(sizes, separator, column):
            return separator, f"{percent(split)} of the cells list several; {len(sizes):,} categories"
    if column.share_distinct > _LEAST_SHARED and not usual:
        return None
    unseen = next(mark for mark in _SEPARATORS if not column.texts.str.contains(mark, regex=False).any() or mark == " ")
    return unseen, f"{_ONE}; {column.n_distinct:,} categories"


def _sizes(column: ColumnSummary, separator: str | None) -> Counter[str]:
    cells = column.probe.str.strip("[]").str.replace("'", "", regex=False) if separator is None else column.probe
    parts = cells.str.split("," if separator is None else separator, regex=False).explode().dropna().str.strip()
    return Counter(parts[parts != ""].tolist())


def _vocabulary(column: ColumnSummary, separator: str | None) -> float:
    """Return distinct categories per category named."""
    sizes = _sizes(column, separator)
    return len(sizes) / max(sizes.total(), 1)


def _is_list(sizes: Counter[str], separator: str, column: ColumnSummary) -> bool:
    """Tell a list from a name that has the mark in it: its parts stand alone or in other company as well.

    ``Action, Drama`` beside ``Drama`` is a list. A space is a weak sign: it stands within names too.
    """
    combined = column.probe[column.probe.str.contains(separator, regex=False)]
    fewer, usual = len(sizes) < combined.nunique(), is_usual(CATEGORIES, column.name)
    if separator in "|;":
        return fewer or usual
    alone = any(sizes[cell] > 0 for cell in column.probe if separator not in cell)
    if separator == " ":
        return fewer and alone and bool(column.probe.str.fullmatch(r"[\w'\- ]+").all())
    return fewer or (usual and alone)


def sample_texts(table: RawTable, columns: ItemColumns, n: int = 5_000) -> list[str]:
    """Write some texts as a run would: pieces that are there, joined by '. '.

    Args:
        table: the items.
        columns: what they hold.
        n: at most as many texts, evenly over the table.
    """
    rows = table.rows.iloc[:: max(len(table.rows) // n, 1)]
    by_ours = {choice.ours: choice.theirs for choice in columns.columns}
    texts = pd.Series("", index=rows.index, dtype="str")
    for piece in columns.template:
        before, _, ours = piece.removesuffix("}").partition("{")
        cells = rows[by_ours[ours]].map(lambda cell: "" if _missing(cell) else str(cell)).astype("str")
        texts += cells.where(cells == "", f". {before}" + cells)
    return [text.removeprefix(". ") for text in texts]


def _missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell))
