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
    chosen: Tables = {}
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


def _nothing(kind: str, tables: Collection[RawTable]) -> str:
    names = ", ".join(table.name for table in tables)
    why = "Items need at least a title or a text each. " if kind == "items" else ""
    return f"None of {names} looks like the {kind}. {why}Name the files: INTERACTIONS=file ITEMS=file [USERS=file]."
