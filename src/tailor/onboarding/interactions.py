"""What the columns of the interactions are beside ids, and which rows count as positives."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import pandas as pd

from tailor import columns as c
from tailor.data.cells import read_numbers
from tailor.onboarding.column_summary import MOST, ColumnSummary
from tailor.onboarding.ids import ColumnChoice
from tailor.onboarding.names import (
    COUNTS,
    EVENT,
    NEGATIVE_EVENTS,
    STRONG_EVENTS,
    WEAK_EVENTS,
    is_usual,
    name_score,
    plain,
    words_of,
)
from tailor.onboarding.tables import RawTable
from tailor.onboarding.wording import percent

#: Rows without a value or a time are dropped by a run; a column that has fewer of them is not mapped.
_FILLED: Final = 0.98
#: Seconds, milli-, micro- and nanoseconds of the years 1973 to 2100.
_EPOCHS: Final = tuple((1e8 * scale, 4.1e9 * scale) for scale in (1, 1e3, 1e6, 1e9))
#: Strong events alone are enough from this share of the rows on.
_ENOUGH_STRONG: Final = 0.1
#: Places in an order have so many different values at least.
_LEAST_PLACES: Final = 4


@dataclass(frozen=True)
class Positives:
    """Which interactions count."""

    share: float = 1.0
    """Of the rows that were looked at."""
    threshold: float | None = None
    threshold_reason: str = "no ratings: every row is a positive"
    events: tuple[str, ...] = ()
    events_reason: str = ""
    day_first: str = ""
    """Why ``day_first`` has to be set by hand; empty where it need not be."""


@dataclass(frozen=True)
class InteractionColumns:
    """What the interactions hold beside ids."""

    columns: tuple[ColumnChoice, ...]
    positives: Positives
    unused: tuple[tuple[str, str], ...]
    """Columns that are not mapped, with the reason."""

    def has(self, ours: str) -> bool:
        """Tell whether a column of Tailor's is mapped."""
        return any(choice.ours == ours for choice in self.columns)


def describe_interactions(table: RawTable, ids: Collection[str]) -> InteractionColumns:
    """Say what the columns are, and which rows count as positives.

    Args:
        table: the interactions.
        ids: columns that hold ids.
    """
    columns: list[ColumnChoice] = []
    notes: dict[str, str] = {}
    left = {name: column for name, column in table.columns.items() if name not in ids}
    for role, choose in (
        (c.TIMESTAMP, _timestamp),
        (c.SPLIT, _split),
        (EVENT, _event),
        (c.VALUE, _value),
        (c.TEXT, _text),
    ):
        choice, reasons = choose(list(left.values()))
        notes |= reasons
        if choice is not None:
            columns.append(ColumnChoice(role, choice.theirs, choice.reason))
            left.pop(choice.theirs)
    if not any(choice.ours == c.TIMESTAMP for choice in columns):
        place = next((column for column in left.values() if _is_place(column, [table.columns[x] for x in ids])), None)
        if place is not None:
            columns.append(ColumnChoice(c.TIMESTAMP, place.name, "the place of a row in its user's order, no date"))
            left.pop(place.name)
    unused = [(name, notes.get(name) or _left_over(column)) for name, column in left.items()]
    return InteractionColumns(tuple(columns), _positives(table, columns), tuple(unused))


_Outcome = tuple[ColumnChoice | None, dict[str, str]]


def _best(role: str, candidates: list[ColumnSummary]) -> list[ColumnSummary]:
    """Order candidates: usual names first, the most usual first."""
    return sorted(candidates, key=lambda column: -name_score(role, column.name))


def _timestamp(columns: list[ColumnSummary]) -> _Outcome:
    notes: dict[str, str] = {}
    named = [column for column in columns if name_score(c.TIMESTAMP, column.name) > 0]
    epochs = [column for column in columns if _is_epoch(column)]
    dates = [column for column in columns if column.kind == "time"]
    counters = [column for column in named if column.whole and is_usual(c.TIMESTAMP, column.name)]
    for column in dict.fromkeys(
        [*_best(c.TIMESTAMP, epochs), *_best(c.TIMESTAMP, dates), *_best(c.TIMESTAMP, counters)]
    ):
        if column.share_filled < _FILLED:
            notes[column.name] = f"times, but {percent(1 - column.share_filled)} are empty, and a run drops such rows"
            continue
        reason = "dates" if column.kind == "time" else _unit(column)
        return ColumnChoice(c.TIMESTAMP, column.name, reason), notes
    return None, notes


def _is_epoch(column: ColumnSummary) -> bool:
    if column.kind != "number" or _is_count(column):
        return False
    return any(float(column.numbers.between(low, high).mean()) >= MOST for low, high in _EPOCHS) and (
        name_score(c.TIMESTAMP, column.name) > 0 or column.n_distinct > 20
    )


def _is_place(column: ColumnSummary, ids: Collection[ColumnSummary]) -> bool:
    """Tell whether numbers count the rows of somebody: as many ones as people, and never more twos than ones."""
    if not column.whole or column.n_distinct < _LEAST_PLACES or column.numbers.min() not in (0, 1):
        return False
    counts = column.numbers.value_counts().sort_index().to_numpy()
    people = [one.n_distinct for one in ids]
    return bool((counts[1:] <= counts[:-1]).all()) and any(abs(counts[0] - n) <= 0.01 * n for n in people)


def _unit(column: ColumnSummary) -> str:
    for (low, high), unit in zip(_EPOCHS, ("seconds", "milliseconds", "microseconds", "nanoseconds"), strict=True):
        if float(column.numbers.between(low, high).mean()) >= MOST:
            return f"{unit} since 1970"
    return "whole numbers: an order, no dates"


def _split(columns: list[ColumnSummary]) -> _Outcome:
    notes: dict[str, str] = {}
    for column in columns:
        if column.kind == "text" and column.n_distinct <= len(c.SPLITS) and column.distinct <= set(c.SPLITS):
            return ColumnChoice(c.SPLIT, column.name, "a fixed split; leave it out, and Tailor splits"), notes
        if is_usual(c.SPLIT, column.name) and column.n_distinct <= 10:
            labels = ", ".join(sorted(column.distinct))
            notes[column.name] = f"a split of other labels ({labels}); Tailor's are {', '.join(c.SPLITS)}"
    return None, notes


def _event(columns: list[ColumnSummary]) -> _Outcome:
    notes: dict[str, str] = {}
    for column in _best(EVENT, [column for column in columns if column.kind == "text" and column.n_distinct <= 50]):
        known = float(column.texts.map(_is_event).mean())
        if known >= (0.5 if is_usual(EVENT, column.name) else 0.9) and column.n_distinct > 1:
            words = ", ".join(column.texts.value_counts().index[:6])
            return ColumnChoice(EVENT, column.name, f"what was done: {words}"), notes
        if known >= 0.9:
            notes[column.name] = f"the same in all rows ({next(iter(column.distinct))})"
    return None, notes


def _is_event(word: str) -> bool:
    return plain(word) in STRONG_EVENTS | WEAK_EVENTS | NEGATIVE_EVENTS


def _value(columns: list[ColumnSummary]) -> _Outcome:
    notes: dict[str, str] = {}
    named = [column for column in columns if name_score(c.VALUE, column.name) > 0 and not _is_count(column)]
    by_values = [column for column in columns if column not in named and _looks_rated(column)]
    for column in [*_best(c.VALUE, named), *by_values]:
        numbers = read_values(column)
        if len(numbers) < MOST * len(column.texts) or column.kind == "empty":
            continue
        if column.share_filled < _FILLED:
            notes[column.name] = f"ratings, but {percent(1 - column.share_filled)} are empty, and a run drops such rows"
        elif numbers.nunique() < 2:
            notes[column.name] = "the same in all rows"
        else:
            usual = "its name is usual, and " if column in named else ""
            return ColumnChoice(
                c.VALUE, column.name, f"{usual}values from {numbers.min():g} to {numbers.max():g}"
            ), notes
    for column in columns:
        if _is_count(column) and column.kind == "number":
            notes[column.name] = "a count says how often, not how much somebody liked it"
    return None, notes


def _is_count(column: ColumnSummary) -> bool:
    return bool(COUNTS & {plain(column.name), *words_of(column.name)})


def _looks_rated(column: ColumnSummary) -> bool:
    """Tell whether numbers are a scale: whole or half ones, 0 or 1 to 5 or 10, most steps of it in use."""
    numbers = column.numbers
    if column.kind != "number" or _is_count(column) or not len(numbers):
        return False
    halves = bool((numbers * 2 % 1 == 0).all())
    return halves and numbers.min() in (0, 0.5, 1) and numbers.max() in (5, 10) and numbers.nunique() >= 4


def read_values(column: ColumnSummary) -> pd.Series:
    """Return the numbers of a column of ratings, as a run reads them: 4.5, "4,5", "4 stars", "4/5"."""
    return column.numbers if column.kind != "text" else read_numbers(column.texts).cells.dropna()


def _text(columns: list[ColumnSummary]) -> _Outcome:
    long = [column for column in columns if column.kind == "text" and column.mean_words >= 4]
    for column in _best(c.TEXT, [column for column in long if name_score(c.TEXT, column.name) > 0]):
        reason = f"what users wrote, {column.mean_words:.0f} words on average"
        return ColumnChoice(c.TEXT, column.name, reason), {}
    return None, {}


def _left_over(column: ColumnSummary) -> str:
    if column.kind == "empty":
        return "empty"
    if column.n_distinct == 1:
        return "the same in all rows"
    if column.n_distinct <= 30 and column.share_filled > 0.5:
        return f"{column.n_distinct} values; context_{plain(column.name)} would say in what moment (docs/catalogue.md)"
    return f"{column.kind}s, {column.n_distinct:,} different ones"


def _positives(table: RawTable, choices: list[ColumnChoice]) -> Positives:
    by_role = {choice.ours: table.columns[choice.theirs] for choice in choices}
    share, threshold, reason = 1.0, None, Positives().threshold_reason
    if c.VALUE in by_role:
        values = read_values(by_role[c.VALUE])
        threshold, reason = choose_threshold(values)
        share *= float((values >= threshold).mean())
    events, events_reason = choose_events(by_role[EVENT].texts) if EVENT in by_role else ((), "")
    if events:
        share *= float(by_role[EVENT].texts.isin(events).mean())
    unclear = c.TIMESTAMP in by_role and by_role[c.TIMESTAMP].day_and_month == "unclear"
    example = by_role[c.TIMESTAMP].texts.iloc[0] if unclear else ""
    day_first = f"{example} may start with the day or with the month: set it, or the run stops" if unclear else ""
    return Positives(share, threshold, reason, events, events_reason, day_first)


def choose_threshold(values: pd.Series) -> tuple[float, str]:
    """Return the value from which on a row is a positive, by the scale of the values, and why.

    4 of scales up to 5, 7 of scales up to 10, the upper 30 % of others; 1 where there are only yes and no.

    Args:
        values: ratings (m,), at least two different ones.

    Example:
        >>> choose_threshold(pd.Series([1.0, 2.0, 4.0, 5.0]))
        (4.0, 'of values from 1 to 5; 50 % of the rows looked at are positives')
    """
    low, high = float(values.min()), float(values.max())
    if set(values.unique()) <= {-1.0, 0.0, 1.0}:
        threshold = 1.0
    elif low >= -1 and high in (4.0, 4.5, 5.0):
        threshold = 4.0
    elif low >= -1 and 8 <= high <= 10:
        threshold = 7.0
    else:
        threshold = round(low + 0.7 * (high - low), 1)
    share = percent(float((values >= threshold).mean()))
    return threshold, f"of values from {low:g} to {high:g}; {share} of the rows looked at are positives"


def choose_events(words: pd.Series) -> tuple[tuple[str, ...], str]:
    """Return the events that count as positives, and why.

    Those that people mean (purchase, like, play …) where they are a tenth of the rows; otherwise all that are no
    refusal.

    Args:
        words: one event a row.
    """
    counts = words.value_counts()
    shares = {str(word): float(n) / len(words) for word, n in counts.items()}
    strong = tuple(word for word in shares if plain(word) in STRONG_EVENTS)
    listed = ", ".join(f"{word} {percent(share)}" for word, share in list(shares.items())[:8])
    if sum(shares[word] for word in strong) >= _ENOUGH_STRONG:
        return strong, f"what people mean; all events: {listed}"
    positive = tuple(word for word in shares if plain(word) not in NEGATIVE_EVENTS)
    return positive, f"all but refusals, since purchases and likes alone are few; all events: {listed}"
