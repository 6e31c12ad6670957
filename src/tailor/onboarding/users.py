"""What is known of users, as evidence for new ones."""

from dataclasses import dataclass
from typing import Final

from tailor import columns as c
from tailor.onboarding.column_summary import ColumnSummary
from tailor.onboarding.ids import ColumnChoice
from tailor.onboarding.names import PERSONAL, plain, tidy_name
from tailor.onboarding.tables import RawTable
from tailor.onboarding.wording import percent

#: A text of more values, or of more values per user, is no group that users belong to.
_MOST_VALUES: Final = 300
_MOST_PER_USER: Final = 0.2
_LEAST_FILLED: Final = 0.05


@dataclass(frozen=True)
class UserColumns:
    """What the users hold beside their ids."""

    columns: tuple[ColumnChoice, ...]
    unused: tuple[tuple[str, str], ...]
    """Columns that are not mapped, with the reason."""


def describe_users(table: RawTable, user: str) -> UserColumns:
    """Say which columns group users: numbers, and texts of few values.

    Args:
        table: the users.
        user: the column of their ids.
    """
    columns: list[ColumnChoice] = []
    unused = []
    for column in table.columns.values():
        if column.name == user:
            continue
        if reason := _unfit(column):
            unused.append((column.name, reason))
            continue
        ours = tidy_name(column.name, [c.USER, c.N_TRAIN, c.BUCKET, c.SPLIT, *(choice.ours for choice in columns)])
        columns.append(ColumnChoice(ours.replace("item_", "user_"), column.name, _reason(column)))
    return UserColumns(tuple(columns), tuple(unused))


def _unfit(column: ColumnSummary) -> str:
    if column.kind == "empty" or column.share_filled < _LEAST_FILLED:
        return "empty" if column.kind == "empty" else f"{percent(1 - column.share_filled)} are empty"
    if column.n_distinct == 1:
        return "the same in all rows"
    if plain(column.name) in PERSONAL or column.is_address:
        return "a name, an address or a code of a place; it groups nobody"
    if column.kind not in ("number", "text"):
        return f"{column.kind}s"
    if column.kind == "number":
        alone = column.whole and column.share_distinct > 0.9 and column.n_distinct > 50
        return "a different number for every user" if alone else ""
    many = column.n_distinct > _MOST_VALUES or column.share_distinct > _MOST_PER_USER
    return f"{column.n_distinct:,} different texts among {len(column.texts):,} users" if many else ""


def _reason(column: ColumnSummary) -> str:
    filled = "" if column.share_filled == 1 else f", {percent(column.share_filled)} of the users have one"
    if column.kind == "number":
        return f"numbers from {column.numbers.min():g} to {column.numbers.max():g}{filled}"
    return f"{column.n_distinct} values{filled}"
