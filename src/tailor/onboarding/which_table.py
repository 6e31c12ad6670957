"""Which of several tables holds the interactions, which the items, which the users."""

from collections.abc import Callable, Collection, Sequence

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.onboarding.names import FILE_WORDS, is_usual, words_of
from tailor.onboarding.tables import RawTable

Tables = dict[str, RawTable]


def choose_tables(tables: Sequence[RawTable]) -> tuple[Tables, list[str]]:
    """Choose the tables of a catalogue by names, columns and sizes.

    Args:
        tables: all there are.

    Returns:
        The tables ``interactions``, ``items`` and, where there is one, ``users``; and for each a sentence why.

    Raises:
        BadInputError: no table looks like interactions or items.
    """
    chosen: Tables = _by_values(tables) if not any(map(_known, tables)) else {}
    if chosen:
        return chosen, [f"{kind}: {table.name} ({table.size}), by values that meet" for kind, table in chosen.items()]
    reasons = []
    largest = max(table.n_rows for table in tables)
    for kind, score, least in (
        ("interactions", lambda table: _like_interactions(table, largest), 2.0),
        ("items", _like_items, 1.5),
        ("users", _like_users, 1.5),
    ):
        taken = {id(table) for table in chosen.values()}
        table = _best([table for table in tables if id(table) not in taken], score, least)
        if table is not None:
            chosen[kind] = table
            reasons.append(f"{kind}: {table.name} ({table.size})")
        elif kind != "users":
            raise BadInputError(_nothing(kind, tables))
    return chosen, reasons


def _best(tables: Sequence[RawTable], score: Callable[[RawTable], float], least: float) -> RawTable | None:
    best = max(tables, key=score, default=None)
    return best if best is not None and score(best) >= least else None


def _has(table: RawTable, role: str) -> bool:
    return any(is_usual(role, name) for name in table.columns)


def _called(table: RawTable, kind: str) -> bool:
    return bool(FILE_WORDS[kind] & set(words_of(table.name)))


def _like_interactions(table: RawTable, largest: int) -> float:
    ids = _has(table, c.USER) + _has(table, c.ITEM)
    of_moments = _has(table, c.TIMESTAMP) or _has(table, c.VALUE)
    return 1.0 * ids + 1.5 * _called(table, "interactions") + 0.5 * of_moments + 1.0 * (table.n_rows == largest)


def _like_items(table: RawTable) -> float:
    of_users = _has(table, c.USER) or _called(table, "users")
    return 1.5 * _called(table, "items") + 1.0 * _has(table, c.ITEM) + 1.0 * _has(table, c.TITLE) - 2.0 * of_users


def _like_users(table: RawTable) -> float:
    of_items = _has(table, c.ITEM) or _called(table, "items")
    return 1.5 * _called(table, "users") + 1.5 * _has(table, c.USER) - 2.0 * of_items


def _known(table: RawTable) -> bool:
    """Tell whether names of the table or its columns say what it is."""
    roles = any(_has(table, role) for role in (c.USER, c.ITEM, c.TITLE))
    return roles or any(_called(table, kind) for kind in FILE_WORDS)


def _by_values(tables: Sequence[RawTable]) -> Tables:
    """Choose by values alone: interactions name the rows of other tables again and again; items have more words."""
    met = {place: [other for other in tables if _names_rows_of(table, other)] for place, table in enumerate(tables)}
    place = max(met, key=lambda place: (len(met[place]), tables[place].n_rows))
    others = sorted(met[place], key=_words, reverse=True)
    if not others or len(others) > len(_OTHERS):
        return {}
    return {"interactions": tables[place]} | dict(zip(_OTHERS, others, strict=False))


#: What the interactions refer to, that of more words first.
_OTHERS = ("items", "users")


def _names_rows_of(table: RawTable, other: RawTable) -> bool:
    if table is other:
        return False
    again = [column for column in table.columns.values() if column.n_distinct < column.n]
    keys = [column for column in other.columns.values() if column.share_distinct >= _UNIQUE and column.kind != "empty"]
    return any(len(x.texts) and x.texts.isin(key.distinct).mean() >= _MEETS for x in again for key in keys)


#: The share of a column's values that differ where it is a key, and the share of a reference's values that are found.
_UNIQUE, _MEETS = 0.98, 0.5


def _words(table: RawTable) -> float:
    return max((column.mean_words for column in table.columns.values() if column.kind == "text"), default=0.0)


def _nothing(kind: str, tables: Collection[RawTable]) -> str:
    names = ", ".join(table.name for table in tables)
    why = "Items need at least a title or a text each. " if kind == "items" else ""
    return f"None of {names} looks like the {kind}. {why}Name the files: INTERACTIONS=file ITEMS=file [USERS=file]."
