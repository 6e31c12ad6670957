"""From raw tables to a proposal: which column is what, which rows count, which options fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.onboarding.ids import ColumnChoice, check_fixed, choose_join, choose_user
from tailor.onboarding.interactions import InteractionColumns, describe_interactions
from tailor.onboarding.items import ItemColumns, describe_items, sample_texts
from tailor.onboarding.sizes import Size, SizedOptions, fit_options
from tailor.onboarding.tables import RawTable
from tailor.onboarding.users import UserColumns, describe_users


@dataclass(frozen=True)
class Proposal:
    """What a conf folder is written from."""

    tables: Mapping[str, RawTable]
    """interactions, items and, where there are any, users."""
    ids: Mapping[str, tuple[ColumnChoice, ...]]
    """The columns of ids, by table."""
    interactions: InteractionColumns
    items: ItemColumns
    users: UserColumns | None
    size: Size
    options: SizedOptions

    @property
    def columns(self) -> dict[str, tuple[ColumnChoice, ...]]:
        """All columns that are mapped, by table."""
        described = {"interactions": self.interactions.columns, "items": self.items.columns}
        if self.users is not None:
            described["users"] = self.users.columns
        return {name: (*self.ids[name], *columns) for name, columns in described.items()}

    @property
    def unused(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Columns that are not mapped, with the reason, by table."""
        of_users = self.users.unused if self.users is not None else ()
        by_table = {"interactions": self.interactions.unused, "items": self.items.unused, "users": of_users}
        return {
            kind: tuple(_without_unnamed(name, reason) for name, reason in columns)
            for kind, columns in by_table.items()
        }


def _without_unnamed(name: str, reason: str) -> tuple[str, str]:
    """Return a column and its reason; an empty one without a name is what is behind the separator of a line's end."""
    if name.startswith("Unnamed: ") and reason == "empty":
        return "the column without a name", "a separator ends each line, nothing is behind it"
    return name, reason


def propose(tables: Mapping[str, RawTable], fixed: Mapping[str, str], base: Mapping[str, Any]) -> Proposal:
    """Say what the columns of a catalogue are, and which options fit it.

    Args:
        tables: interactions, items and, where there are any, users.
        fixed: columns of ids that the caller named, ours to theirs.
        base: the parameters of conf/base.

    Raises:
        BadInputError: a table that is needed is not there, or no column is what is needed.
    """
    if "interactions" not in tables:
        raise BadInputError("Interactions are needed, one row for what one user did with one item: INTERACTIONS=file.")
    if "items" not in tables:
        raise BadInputError("A table of items is needed, with at least a title or a text for each item: ITEMS=file.")
    check_fixed(fixed, list(tables.values()))
    ids = _ids(tables, fixed)
    interactions = describe_interactions(tables["interactions"], [choice.theirs for choice in ids["interactions"]])
    items = describe_items(tables["items"], ids["items"][0].theirs)
    users = describe_users(tables["users"], ids["users"][0].theirs) if "users" in ids else None
    size = measure_size(tables, ids, interactions.positives.share)
    texts = sample_texts(tables["items"], items)
    reviews = next((choice.theirs for choice in interactions.columns if choice.ours == c.TEXT), None)
    review_words = tables["interactions"].columns[reviews].mean_words if reviews else 0.0
    options = fit_options(size, texts, review_words, interactions.has(c.TIMESTAMP), base)
    return Proposal(dict(tables), ids, interactions, items, users, size, options)


def _ids(tables: Mapping[str, RawTable], fixed: Mapping[str, str]) -> dict[str, tuple[ColumnChoice, ...]]:
    """Choose the columns of ids: items first, since their table is always there."""
    interactions = tables["interactions"]
    taken = [fixed[c.USER]] if c.USER in fixed else []
    item, of_items = choose_join(c.ITEM, interactions, tables["items"], fixed, taken)
    if "users" not in tables:
        user = choose_user(interactions, fixed, [item.theirs])
        return {"interactions": (user, item), "items": (of_items,)}
    user, of_users = choose_join(c.USER, interactions, tables["users"], fixed, [item.theirs])
    return {"interactions": (user, item), "items": (of_items,), "users": (of_users,)}


def measure_size(
    tables: Mapping[str, RawTable], ids: Mapping[str, tuple[ColumnChoice, ...]], share: float = 1.0
) -> Size:
    """Count users, items and interactions; of tables that were not read to the end, about.

    Users of such a table are counted as if the rest had as many new ones per row, or are those of the table of users.

    Args:
        tables: the raw tables.
        ids: their columns of ids.
        share: of the interactions that are positives.
    """
    interactions, items = tables["interactions"], tables["items"]
    n_users = interactions.columns[ids["interactions"][0].theirs].n_distinct
    if not interactions.whole:
        n_users = round(n_users * interactions.n_rows / len(interactions.rows))
        n_users = min(n_users, tables["users"].n_rows) if "users" in tables else n_users
    n_items = items.columns[ids["items"][0].theirs].n_distinct if items.whole else items.n_rows
    n_rows = interactions.n_rows
    return Size(n_users, n_items, n_rows, round(n_rows * share), interactions.whole and items.whole)
