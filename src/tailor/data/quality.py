"""The account of every row of the raw tables: skipped, dropped, repaired or kept, by reason, with line and cell."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import pandas as pd

from tailor.data.reading import LINE, REPAIRED, SKIPPED

Action = Literal["dropped", "repaired", "skipped", "noticed"]
#: How many lines and cells the report names per problem.
EXAMPLES: Final = 5
#: Characters of a cell that the report repeats.
_SHOWN: Final = 60
PROBLEM_COLUMNS: Final = ["table", "problem", "action", "rows", "lines", "examples"]
ACCOUNT_COLUMNS: Final = ["table", "rows_in", "skipped", "dropped", "repaired", "kept"]


@dataclass
class _Account:
    rows_in: int
    skipped: int
    counts_lines: bool
    dropped: int = 0
    repaired: set[object] = field(default_factory=set)


class QualityReport:
    """What happened to the rows of each raw table: rows in = skipped + dropped + kept, to the row."""

    def __init__(self) -> None:
        self._problems: list[dict[str, object]] = []
        self._accounts: dict[str, _Account] = {}

    def join(self, domain: str, other: "QualityReport") -> None:
        """Add the report of a domain; its tables are called ``domain/table``."""
        self._problems += [{**row, "table": f"{domain}/{row['table']}"} for row in other._problems]
        self._accounts |= {f"{domain}/{table}": account for table, account in other._accounts.items()}

    def open(self, table: str, raw: pd.DataFrame) -> None:
        """Begin the account of a table with the rows that were read, and those that its reader skipped."""
        skipped = raw.attrs.get(SKIPPED, [])
        self._accounts[table] = _Account(len(raw) + len(skipped), len(skipped), raw.index.name == LINE)
        if skipped:
            lines, reasons = zip(*skipped, strict=True)
            self._note(table, "lines that the reader skipped", "skipped", len(skipped), lines, reasons)
        if REPAIRED in raw.attrs:
            self._note(table, raw.attrs[REPAIRED], "repaired", len(raw), [], [])

    def add(
        self,
        table: str,
        problem: str,
        bad: pd.Series,
        action: Action = "dropped",
        cells: pd.Series | None = None,
        name_lines: bool = True,
    ) -> None:
        """Record the rows that ``bad`` marks; nothing is recorded when there are none.

        Args:
            table: interactions, items or users.
            problem: what is wrong with them.
            bad: bool, indexed by line or row.
            action: what was done.
            cells: what stood there, indexed like ``bad``.
            name_lines: whether the report may say which lines they are: those of a person lead to the person.
        """
        rows = bad.index[bad.to_numpy(dtype=bool)]
        if not len(rows):
            return
        account = self._accounts.setdefault(table, _Account(len(bad), 0, bad.index.name == LINE))
        if action == "dropped":
            account.dropped += len(rows)
            account.repaired.difference_update(rows)
        elif action == "repaired":
            account.repaired.update(rows)
        first = rows.sort_values()[:EXAMPLES]
        examples = [] if cells is None else cells.loc[first].tolist()
        self._note(table, problem, action, len(rows), first if name_lines else [], examples)

    def note(self, table: str, problem: str, count: int, examples: Iterable[object] = ()) -> None:
        """Record a count that concerns no single rows."""
        if count:
            self._note(table, problem, "noticed", count, [], examples)

    def _note(
        self,
        table: str,
        problem: str,
        action: Action,
        count: int,
        lines: Iterable[object],
        examples: Iterable[object],
    ) -> None:
        row = {"table": table, "problem": problem, "action": action, "rows": count}
        row |= {"lines": ", ".join(map(str, list(lines)[:EXAMPLES]))}
        row |= {"examples": "; ".join(map(_shorten, list(examples)[:EXAMPLES]))}
        self._problems.append(row)

    def to_frame(self) -> pd.DataFrame:
        """Return columns table, problem, action, rows, lines, examples (both text); lines and rows count from 1."""
        frame = pd.DataFrame(self._problems, columns=PROBLEM_COLUMNS)
        return frame.astype({"rows": "int64"} | {name: "str" for name in PROBLEM_COLUMNS if name != "rows"})

    def accounts(self) -> pd.DataFrame:
        """Return columns table, rows_in, skipped, dropped, repaired, kept; kept counts the repaired rows too."""
        rows = [
            (name, a.rows_in, a.skipped, a.dropped, len(a.repaired), a.rows_in - a.skipped - a.dropped)
            for name, a in self._accounts.items()
        ]
        frame = pd.DataFrame(rows, columns=ACCOUNT_COLUMNS)
        return frame.astype(dict.fromkeys(ACCOUNT_COLUMNS[1:], "int64") | {"table": "str"})


def _shorten(cell: object) -> str:
    text = cell if isinstance(cell, str) else repr(cell) if isinstance(cell, (list, dict)) else str(cell)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
