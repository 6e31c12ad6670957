"""What looks wrong in a catalogue's content: told in the report, repaired or left out on request."""

import difflib
import html
import re
from collections.abc import Iterable
from typing import Final

import ftfy
import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.data.quality import QualityReport
from tailor.data.times import PLACES

_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]*>")
_YEAR_IN_TITLE: Final = re.compile(r"\(\d{4}\)\s*$")
_SPACE: Final = re.compile(r"\s+")
#: Titles that stand for no item.
_PLACEHOLDERS: Final = ("unknown", "untitled", "no title", "not available", "n/a", "none", "null", "nan", "test", "tbd")
_EARLIEST, _LATEST = 1000, 2100

#: A user of at least this many interactions …
MIN_ROWS: Final = 20
#: … and more in a second than this, from the first to the last …
MAX_RATE: Final = 2.0
#: … or with the same items as so many others …
MIN_TWINS: Final = 3
#: … or with more than this share of all items, is suspicious.
MAX_SHARE: Final = 0.5


# --- items -----------------------------------------------------------------------------------------------------------


def inspect_items(items: pd.DataFrame, repair: bool, report: QualityReport) -> pd.DataFrame:
    """Note placeholders, HTML, wrong encodings and impossible years; return the items, their texts repaired on request.

    Args:
        items: cleaned, indexed by row.
        repair: whether tags are removed and encodings undone.
        report: where cells are counted.
    """
    text_columns = [str(col) for col in items if col != c.ITEM and isinstance(items[col].dtype, pd.StringDtype)]
    repaired = items.copy()
    for name in text_columns:
        cells = items[name]
        tagged = cells.str.contains(_TAG.pattern, regex=True, na=False)
        for fault, mask in {"HTML tags": tagged, "a wrong encoding": _is_garbled(cells)}.items():
            report.add("items", f"{name} with {fault}", mask, "repaired" if repair else "noticed", cells)
            if repair and mask.any():
                repaired[name] = repaired[name].where(~mask, repaired.loc[mask, name].map(repair_text))
    if c.TITLE in items:
        report.add("items", "title that stands for no item", _is_placeholder(items[c.TITLE]), "noticed", items[c.TITLE])
    for name in [str(col) for col in items if "year" in str(col).lower()]:
        year = pd.to_numeric(items[name], errors="coerce")
        report.add("items", f"impossible {name}", (year < _EARLIEST) | (year > _LATEST), "noticed", items[name])
    return repaired


def repair_text(text: str) -> str:
    """Remove HTML tags and undo a wrong encoding.

    Example:
        >>> repair_text("<b>CafÃ©</b> &amp; more")
        'Café & more'
    """
    return _SPACE.sub(" ", html.unescape(_TAG.sub(" ", ftfy.fix_encoding(text)))).strip()


def _is_garbled(cells: pd.Series) -> pd.Series:
    """Mark texts whose encoding was taken for another; only those with letters beyond ASCII are looked at."""
    suspect = cells.str.contains(r"[^\x00-\x7f]", regex=True, na=False)
    garbled = [line for line, text in cells[suspect].items() if ftfy.fix_encoding(text) != text]
    return pd.Series(cells.index.isin(garbled), index=cells.index)


def _is_placeholder(titles: pd.Series) -> pd.Series:
    words = titles.str.strip().str.lower()
    short = words[words.str.len() <= 12].dropna().unique()
    bad = [word for word in short if difflib.get_close_matches(word, _PLACEHOLDERS[:1], cutoff=0.8)]
    return words.isin([*bad, *_PLACEHOLDERS])


def duplicated_items(items: pd.DataFrame) -> pd.Series:
    """Return, for every item that has the title and year of an earlier one, the id of that one (str, by item_id).

    The year is that of a column with "year" in its name, or stands in brackets at the end of the title.

    Args:
        items: cleaned.
    """
    if c.TITLE not in items:
        return pd.Series(dtype="str")
    title = items[c.TITLE].astype("str").str.strip().str.casefold()
    known = title.notna() & (title != "") & ~_is_placeholder(items[c.TITLE])
    years = [items[name].astype("str") for name in items if "year" in str(name).lower()]
    if not years and not title.str.contains(_YEAR_IN_TITLE.pattern, regex=True, na=False).any():
        return pd.Series(dtype="str")
    key = pd.DataFrame({"title": title, **{str(place): year for place, year in enumerate(years)}})[known]
    first = items.loc[known, c.ITEM].groupby([key[name] for name in key], dropna=False).transform("first")
    again = first != items.loc[known, c.ITEM]
    return pd.Series(first[again].to_numpy(), index=items.loc[known, c.ITEM][again].to_numpy(), dtype="str")


def merge_items(items: pd.DataFrame, merge: bool, report: QualityReport) -> tuple[pd.DataFrame, dict[str, str]]:
    """Note items that are there twice; on request keep the first of each.

    Args:
        items: cleaned, indexed by row.
        merge: whether only the first of each is kept.
        report: where they are counted.

    Returns:
        The items, and the ids that go by another one now, each with that one; none without ``merge``.
    """
    again = duplicated_items(items)
    mask = items[c.ITEM].isin(again.index)
    problem = "the title and year of an earlier item"
    report.add("items", problem, mask, "dropped" if merge else "noticed", items.get(c.TITLE))
    return (items[~mask], dict(zip(again.index.astype(str), again, strict=True))) if merge else (items, {})


# --- users -----------------------------------------------------------------------------------------------------------


def suspicious_users(interactions: pd.DataFrame) -> pd.Series:
    """Tell which users look like machines, and why.

    Of the users with at least ``MIN_ROWS`` interactions: those that have more than ``MAX_RATE`` of them in a second,
    from their first to their last; those that have taken exactly the items of ``MIN_TWINS`` - 1 others; those that have
    taken more than ``MAX_SHARE`` of all items.

    Args:
        interactions: cleaned.

    Returns:
        The reason (str) by user_id.
    """
    counts = interactions[c.USER].value_counts()
    many = counts.index[counts >= MIN_ROWS]
    rows = interactions[interactions[c.USER].isin(many)]
    reasons = pd.Series(dtype="str")
    for reason, users in (
        ("more than two interactions a second", _bursts(rows)),
        (f"exactly the items of {MIN_TWINS - 1} others or more", _twins(rows)),
        ("more than half of all items", _everything(rows, interactions[c.ITEM].nunique())),
    ):
        new = [user for user in users if user not in reasons.index]
        reasons = pd.concat([reasons, pd.Series(reason, index=new, dtype="str")])
    return reasons


def _bursts(rows: pd.DataFrame) -> Iterable[str]:
    if c.TIMESTAMP not in rows or rows.empty:
        return []
    times = rows.groupby(c.USER)[c.TIMESTAMP].agg(["min", "max", "size"])
    rate: pd.Series = times["size"] / np.maximum(times["max"] - times["min"], 1.0)
    return times.index[(rate > MAX_RATE) & (times["max"] >= PLACES)]


def _twins(rows: pd.DataFrame) -> Iterable[str]:
    if rows.empty:
        return []
    hashes = pd.util.hash_array(rows[c.ITEM].to_numpy(dtype=object))
    by_user = pd.DataFrame({c.USER: rows[c.USER].to_numpy(), "sum": hashes, "size": 1}).groupby(c.USER).sum()
    alike = by_user.assign(users=1).groupby(["sum", "size"])["users"].transform("sum")
    return by_user.index[alike >= MIN_TWINS]


def _everything(rows: pd.DataFrame, n_items: int) -> Iterable[str]:
    counts = rows[c.USER].value_counts()
    return counts.index[counts > MAX_SHARE * n_items]


def inspect_users(interactions: pd.DataFrame, drop: bool, report: QualityReport) -> pd.DataFrame:
    """Note the rows of suspicious users; return the interactions, without them on request.

    Args:
        interactions: cleaned, indexed by row.
        drop: whether they are left out.
        report: where rows are counted.
    """
    reason = suspicious_users(interactions)
    of_row = interactions[c.USER].map(reason)
    for why in reason.drop_duplicates():
        problem = f"user with {why} ({int((reason == why).sum())} users)"
        report.add("interactions", problem, of_row == why, "dropped" if drop else "noticed")
    return interactions[of_row.isna()] if drop else interactions
