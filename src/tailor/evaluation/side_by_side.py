"""Lists of several models side by side for chosen users: one table of HTML for a notebook.

A row is a place of the list, a column a model. What the user took later is marked as a hit, items of the tail and cold
items by their bucket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tailor import columns as c
from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation import page
from tailor.evaluation.ranking import LazyTables, check_models

#: Users of one table, and places of a list, at most: it is read by people.
MOST_USERS, MOST_PLACES = 20, 100
#: Items of a user's history that are named.
_NAMED = 5
#: Labels of rows that count as hits, and of those that a list of the test stands on.
_COUNTED, _BEFORE = (c.TEST, c.COLD), (c.TRAIN, c.VALIDATION)
#: Buckets of items that are marked.
_MARKED = (c.TAIL, c.COLD, c.UNSEEN)


@dataclass(frozen=True)
class Cell:
    """One place of one list."""

    title: str
    bucket: str
    """tail, cold or unseen; empty for an item of the head."""
    hit: bool
    """Whether the user took the item in the test window."""


@dataclass(frozen=True)
class UserLists:
    """What one user gets from every model."""

    name: str
    """Id of the user; where there are several domains, that of the lists too."""
    history: str
    """Titles of the latest items of the history."""
    columns: Mapping[str, Sequence[Cell]]
    """The list of each model, best first."""

    @property
    def hits(self) -> dict[str, int]:
        """Hits in the list of each model."""
        return {model: sum(cell.hit for cell in cells) for model, cells in self.columns.items()}

    @property
    def n_places(self) -> int:
        """Places of the longest list."""
        return max(map(len, self.columns.values()))


@dataclass(frozen=True, repr=False)
class SideBySide:
    """The lists of all chosen users; a notebook displays it as a table, ``html`` is its text."""

    users: Sequence[UserLists]
    html: str

    def __repr__(self) -> str:
        """Name the users; the lists are in the table."""
        return f"Lists side by side for {', '.join(user.name for user in self.users)}"

    def _repr_html_(self) -> str:
        return self.html


def side_by_side(
    lists: LazyTables,
    users: Sequence[str],
    items: pd.DataFrame,
    interactions: pd.DataFrame,
    *,
    models: Sequence[str] | None = None,
    candidates: str = c.MIXED,
    k: int = 10,
) -> SideBySide:
    """Put the test lists of several models side by side for chosen users.

    Args:
        lists: of test, by model: ``catalog.load("test_lists")``, or what ``measure.list_known_users`` returns.
        users: ids of users that lists were made for, at most 20.
        items: the item table.
        interactions: with split: rows of train and validation are the history, those of test and cold the hits.
        models: names, in the order of the columns; None: all of ``lists``.
        candidates: which lists: warm, cold or mixed.
        k: places, at most 100; a list that is shorter leaves places empty.

    Raises:
        ConfigurationError: there are no lists of a model; or k, or the number of users, is out of bounds.
        BadInputError: a model has no list for a user.

    Example:
        >>> side_by_side(catalog.load("test_lists"), ["u7"], items, interactions, models=["ease", "hybrid_lora"])
    """
    names = list(lists) if models is None else list(models)
    _check(lists, names, users, k)
    tables = {name: _of_users(lists[name](), name, users, candidates, k) for name in names}
    titles = _titles(items)
    buckets = dict(zip(items[c.ITEM].astype(str), items[c.BUCKET].astype(str), strict=True))
    described = [
        UserLists(
            name=f"{user}, {domain}" if domain else user,
            history=_history(interactions, user, titles),
            columns={
                name: _cells(_of_list(table, user, domain), titles, buckets, _taken(interactions, user))
                for name, table in tables.items()
            },
        )
        for user in users
        for domain in _domains(tables[names[0]], user)
    ]
    html = page.render("side_by_side.html.j2", users=described, candidates=candidates, k=k)
    return SideBySide(described, html)


def _check(lists: LazyTables, names: Sequence[str], users: Sequence[str], k: int) -> None:
    check_models(lists, names)
    if not names or not 1 <= len(users) <= MOST_USERS:
        raise ConfigurationError(
            f"{len(names)} models and {len(users)} users: choose at least one model, and 1 to {MOST_USERS} users."
        )
    if not 1 <= k <= MOST_PLACES:
        raise ConfigurationError(f"k = {k} is out of bounds: 1 to {MOST_PLACES} places.")


def _of_users(table: pd.DataFrame, model: str, users: Sequence[str], candidates: str, k: int) -> pd.DataFrame:
    """Return the rows of the chosen users and candidates; ids are texts, domain is "" where there is one."""
    inside = (table[c.CANDIDATES] == candidates) & table[c.USER].isin(users) & (table[c.RANK] <= k)
    rows = table[inside].astype({c.USER: str, c.ITEM: str})
    rows[c.DOMAIN] = rows[c.DOMAIN].astype(str) if c.DOMAIN in rows else ""
    missing = sorted(set(users) - set(rows[c.USER]))
    if missing:
        raise BadInputError(
            f"Model '{model}' has no {candidates} list for user '{missing[0]}': "
            "choose users with a row in train, and candidates among warm, cold and mixed."
        )
    return rows.sort_values(c.RANK, kind="stable")


def _of_list(table: pd.DataFrame, user: str, domain: str) -> pd.Series:
    return table.loc[(table[c.USER] == user) & (table[c.DOMAIN] == domain), c.ITEM]


def _domains(table: pd.DataFrame, user: str) -> list[str]:
    return list(dict.fromkeys(table.loc[table[c.USER] == user, c.DOMAIN]))


def _titles(items: pd.DataFrame) -> dict[str, str]:
    """Return what each item is called; where there is no title, its id."""
    ids = items[c.ITEM].astype(str)
    named = items[c.TITLE].where(items[c.TITLE].notna(), ids) if c.TITLE in items else ids
    return dict(zip(ids, named.astype(str), strict=True))


def _taken(interactions: pd.DataFrame, user: str) -> set[str]:
    rows = (interactions[c.USER] == user) & interactions[c.SPLIT].isin(_COUNTED)
    return set(interactions.loc[rows, c.ITEM].astype(str))


def _history(interactions: pd.DataFrame, user: str, titles: Mapping[str, str]) -> str:
    """Name the latest items that lists stand on, and say how many there are."""
    rows = interactions[(interactions[c.USER] == user) & interactions[c.SPLIT].isin(_BEFORE)]
    ordered = rows.sort_values(c.TIMESTAMP, kind="stable") if c.TIMESTAMP in rows else rows
    named = "; ".join(titles[item] for item in ordered[c.ITEM].astype(str).tail(_NAMED))
    return f"{len(rows)} items, the latest: {named}" if len(rows) > _NAMED else named


def _cells(listed: pd.Series, titles: Mapping[str, str], buckets: Mapping[str, str], taken: set[str]) -> list[Cell]:
    return [Cell(titles[item], buckets[item] if buckets[item] in _MARKED else "", item in taken) for item in listed]
