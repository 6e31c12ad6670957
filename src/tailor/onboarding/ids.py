"""Which columns hold ids: by their names, and by how well the values of two tables meet."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from tailor import columns as c
from tailor.errors import BadInputError, did_you_mean
from tailor.onboarding.column_summary import ColumnSummary
from tailor.onboarding.names import EVENT, is_usual, name_score
from tailor.onboarding.tables import RawTable
from tailor.onboarding.wording import percent

#: Two columns of which fewer values meet are no ids of the same things.
_LEAST_COVERAGE: Final = 0.01
#: A second pair of columns that is as good as this share of the best one is named.
_NEAR: Final = 0.95


@dataclass(frozen=True)
class ColumnChoice:
    """One of Tailor's columns, and the raw column that it is read from."""

    ours: str
    theirs: str
    reason: str


@dataclass(frozen=True)
class _Pair:
    left: str
    right: str
    coverage: float
    """Share of the rows of the first table whose value is in the second."""
    score: float


def choose_join(
    role: str, interactions: RawTable, other: RawTable, fixed: Mapping[str, str], taken: Collection[str] = ()
) -> tuple[ColumnChoice, ColumnChoice]:
    """Choose the columns by which the interactions meet the table of items or users.

    Args:
        role: item_id or user_id.
        interactions: what people did.
        other: the items or the users.
        fixed: columns that the caller named, ours to theirs.
        taken: columns of the interactions that are something else.

    Returns:
        The column of the interactions and that of the other table.

    Raises:
        BadInputError: no values meet.
    """
    lefts = _candidates(role, interactions, fixed, taken)
    rights = [column for column in _candidates(role, other, fixed) if column.share_distinct >= 0.5 or fixed]
    pairs = sorted((_pair(role, x, y) for x in lefts for y in rights), key=lambda pair: -pair.score)
    if not pairs or pairs[0].coverage < (_LEAST_COVERAGE if other.whole else 0.01 * _LEAST_COVERAGE):
        raise BadInputError(_no_join(role, interactions, other, pairs))
    best = pairs[0]
    near = next((pair for pair in pairs[1:] if pair.left != best.left and pair.score >= _NEAR * best.score), None)
    check = f"; '{near.left}' fits nearly as well: check" if near else ""
    rows = other.name if other.whole else f"the rows of {other.name} that were looked at"
    share = f"{percent(best.coverage)} of its values are in {rows}{check}"
    back = f"the ids that '{best.left}' of {interactions.name} names"
    return ColumnChoice(role, best.left, share), ColumnChoice(role, best.right, back)


def choose_user(interactions: RawTable, fixed: Mapping[str, str], taken: Collection[str]) -> ColumnChoice:
    """Choose the column that says who acted, without a table of users.

    Args:
        interactions: what people did.
        fixed: columns that the caller named, ours to theirs.
        taken: columns that are something else.

    Raises:
        BadInputError: no column looks like it.
    """
    candidates = _candidates(c.USER, interactions, fixed, taken)
    scored = sorted(((_user_score(column), column) for column in candidates), key=lambda pair: -pair[0])
    if not scored or scored[0][0] <= 0:
        raise BadInputError(
            f"{interactions.name}: no column says who acted. It has: {', '.join(interactions.columns)}. "
            'Name it: MAP="user_id=COLUMN".'
        )
    column = scored[0][1]
    if c.USER in fixed:
        return ColumnChoice(c.USER, column.name, "as you said")
    named = name_score(c.USER, column.name) > 0
    reason = "its name is usual" if named else "the values come again, and nothing else fits better: check"
    return ColumnChoice(c.USER, column.name, f"{reason}; {column.n_distinct:,} different ones")


def _user_score(column: ColumnSummary) -> float:
    repeated = 1 < column.n_distinct < column.n
    return 2 * name_score(c.USER, column.name) + 0.5 * repeated + 0.1 * min(column.n_distinct / max(column.n, 1), 1)


def _candidates(
    role: str, table: RawTable, fixed: Mapping[str, str], taken: Collection[str] = ()
) -> list[ColumnSummary]:
    """Return the columns that may be ids: the one that was named, or those of a fitting kind and no other name."""
    if fixed.get(role) in table.columns:
        return [table.columns[fixed[role]]]
    usable = [column for column in table.columns.values() if column.name not in taken and _may_be_id(column)]
    return [column for column in usable if is_usual(role, column.name) or not _named_otherwise(role, column)]


def _may_be_id(column: ColumnSummary) -> bool:
    if column.kind not in ("number", "text"):
        return False
    return column.whole or (column.kind == "text" and column.mean_words <= 12)


def _named_otherwise(role: str, column: ColumnSummary) -> bool:
    others = {c.USER, c.ITEM, c.TIMESTAMP, c.VALUE, EVENT, c.SPLIT, c.TEXT} - {role}
    return any(is_usual(other, column.name) for other in others)


def _pair(role: str, left: ColumnSummary, right: ColumnSummary) -> _Pair:
    coverage = float(left.texts.isin(right.distinct).mean()) if len(left.texts) else 0.0
    back = len(left.distinct & right.distinct) / max(right.n_distinct, 1)
    names = 0.5 * (name_score(role, left.name) + max(name_score(role, right.name), _plain_id(right.name)))
    return _Pair(left.name, right.name, coverage, coverage * (1 + 0.5 * back + 0.5 * right.share_distinct + names))


def _plain_id(name: str) -> float:
    """Return how well a name such as ``id`` stands for the rows of its own table."""
    return 0.8 if name.strip().lower() in ("id", "_id", "key", "code", "uid", "uuid") else 0.0


def _no_join(role: str, interactions: RawTable, other: RawTable, pairs: list[_Pair]) -> str:
    hint = f'Check the files, or name the columns: MAP="{role}=COLUMN".'
    if not pairs:
        columns = f"{', '.join(interactions.columns)}; {', '.join(other.columns)}"
        return f"No columns of {interactions.name} and {other.name} can be {role} (they have: {columns}). {hint}"
    left, right = interactions.columns[pairs[0].left], other.columns[pairs[0].right]
    return (
        f"The ids of {interactions.name} are not in {other.name}: '{left.name}' holds values like "
        f"{left.texts.iloc[0]!r}, '{right.name}' like {right.texts.iloc[0]!r}. {hint}"
    )


def check_fixed(fixed: Mapping[str, str], tables: Collection[RawTable]) -> None:
    """Refuse a column that the caller named and no table has.

    Raises:
        BadInputError: names it, and what there is.
    """
    known = [name for table in tables for name in table.columns]
    for ours, theirs in fixed.items():
        if ours not in (c.USER, c.ITEM):
            raise BadInputError(
                f"MAP={ours}={theirs}: only user_id and item_id are mapped so; the rest is in parameters.yml."
            )
        if theirs not in known:
            raise BadInputError(
                f"MAP={ours}={theirs}: no table has a column '{theirs}'.{did_you_mean(theirs, known)} "
                f"There are: {', '.join(known)}."
            )
