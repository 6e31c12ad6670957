"""Kinds of behaviour, and how sure each makes that somebody likes an item: strengths of events.

Of several rows of one user and item the strongest kind counts, at the time of the latest row of that kind; the
strongest kind that speaks against the item is subtracted. A pair at 0 or below is blocked: the item is not listed for
that user, and no model learns that it was taken. So is a pair of which any row is of a kind that bars, whenever it was.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from tailor import columns as c
from tailor.config import Options
from tailor.data.quality import QualityReport
from tailor.errors import BadInputError, did_you_mean

#: The strength of a kind that bars a pair whatever else is known of it.
BAR = "bar"
Strength = Annotated[float, Field(ge=-1.0, le=1.0)] | Literal["bar"]
#: Digits behind the point that a strength is known to, and the least above 0.
STRENGTH_DIGITS, LEAST_STRENGTH = 6, 1e-6
#: Kinds that an error names.
_NAMED = 10


class EventOptions(Options):
    """What each kind of the interactions' column ``event`` is worth, ``data_processing.events``."""

    weights: dict[str, Strength] = {}
    """By kind a strength: in (0, 1] the confidence of the pair; 0 leaves the rows out; below 0 it is subtracted from
    what the pair has, and at 0 or below the pair is blocked; ``bar`` blocks the pair whatever else is known of it.
    Empty: kinds are not read, and all interactions are alike."""
    positive: Annotated[float, Field(ge=LEAST_STRENGTH, le=1.0)] | None = None
    """Least strength of a pair that counts as a hit in validation and test; null: that of the strongest kind in
    ``weights``. Weaker pairs are learnt from, and no list is measured on them."""

    @field_validator("weights", mode="before")
    @classmethod
    def _name_kinds_by_text(cls, weights: object) -> object:
        """Read kinds that YAML takes for numbers, as codes are."""
        return {str(kind): strength for kind, strength in weights.items()} if isinstance(weights, dict) else weights

    @field_validator("weights")
    @classmethod
    def _name_kinds_without_dots(cls, weights: dict[str, Strength]) -> dict[str, Strength]:
        dotted = next((kind for kind in weights if "." in kind), None)
        if dotted is not None:
            raise ValueError(
                f"the kind '{dotted}' has a dot, which a search of strengths reads as a level: write it without in the "
                "column that is mapped to 'event', and here"
            )
        return weights

    @field_validator("weights")
    @classmethod
    def _say_what_is_liked(cls, weights: dict[str, Strength]) -> dict[str, Strength]:
        if weights and not any(not isinstance(strength, str) and strength > 0 for strength in weights.values()):
            raise ValueError("no kind is above 0, so nothing could be recommended: give one a strength in (0, 1]")
        return weights

    @property
    def least_of_hit(self) -> float:
        """The least strength of a pair that counts as a hit: ``positive``, else that of the strongest kind.

        >>> EventOptions(weights={"view": 0.2, "buy": 0.6, "returned": "bar"}).least_of_hit
        0.6
        """
        least = max(self.above_zero.values(), default=0.0) if self.positive is None else self.positive
        return round(least, STRENGTH_DIGITS)

    @property
    def above_zero(self) -> dict[str, float]:
        """The kinds that speak for an item, each with its strength."""
        return {kind: value for kind, value in self.weights.items() if not isinstance(value, str) and value > 0}

    def with_weights(self, weights: Mapping[str, float]) -> Self:
        """Return the same options with other strengths of some kinds.

        Args:
            weights: by kind, as a search chose them; kinds that these options do not know are left out.
        """
        known = {kind: strength for kind, strength in weights.items() if kind in self.weights}
        return self.model_copy(update={"weights": self.weights | known})


def read_events(data: pd.DataFrame, options: EventOptions, table: str, report: QualityReport) -> pd.DataFrame:
    """Return the rows whose kind has a strength other than 0; without weights all of them.

    Raises:
        BadInputError: no column is mapped to ``event``, or a kind has no strength.
    """
    if not options.weights:
        return data
    if c.EVENT not in data:
        raise BadInputError(
            "data_processing.events.weights is set, but no column is mapped to 'event'. Map one in "
            "data_processing.columns.interactions, or leave the weights empty."
        )
    kinds = data[c.EVENT].astype("str").str.strip()
    _refuse_unknown(kinds, options.weights, table)
    data = data.assign(**{c.EVENT: kinds})
    nothing = kinds.map(lambda kind: options.weights[kind] == 0).astype(bool)
    if nothing.any():
        report.add(table, "a kind of strength 0: not read", nothing, "dropped", data[c.EVENT])
    return data[~nothing]


def _refuse_unknown(kinds: pd.Series, known: Collection[str], table: str) -> None:
    unknown = kinds[~kinds.isin(list(known))]
    if len(unknown):
        first = str(unknown.iloc[0])
        raise BadInputError(
            f"raw_{table}: the kind {first!r} ({unknown.index.name} {unknown.index[0]}, {len(unknown)} rows of unknown "
            f"kinds in all) has no strength in data_processing.events.weights.{did_you_mean(first, known)} Known: "
            f"{', '.join(list(known)[:_NAMED])}. Add it there; 0 leaves its rows out."
        )


def strongest(data: pd.DataFrame, options: EventOptions, table: str, report: QualityReport) -> pd.DataFrame:
    """Return one row for each user and item, with the column ``confidence``: its strength, 0 where it is blocked.

    Args:
        data: user_id, item_id, event, and timestamp where there is one; without, later rows stand below.
        options: strengths; a kind of 0 is in no row.
        table: name of the raw table behind "raw_".
        report: where the rows that stronger ones stand for are counted, and the blocked pairs.
    """
    strength = data[c.EVENT].map({kind: _number(value) for kind, value in options.weights.items()}).astype(np.float64)
    pair = [data[c.USER], data[c.ITEM]]
    speaks_for = strength.where(strength > 0).groupby(pair).transform("max").fillna(0.0)
    speaks_against = (-strength).where(strength < 0).groupby(pair).transform("max").fillna(0.0)
    confidence = (speaks_for - speaks_against).clip(lower=0.0).round(STRENGTH_DIGITS)
    time = data[c.TIMESTAMP] if c.TIMESTAMP in data else pd.Series(0.0, index=data.index)
    # Of a blocked pair the row counts that blocks it: from then on it is.
    decides = strength.where(confidence > 0, -strength)
    order = pd.DataFrame({"strength": decides, "time": time, "place": np.arange(len(data))}, index=data.index)
    latest = order.sort_values(["strength", "time", "place"]).index
    weaker = data.loc[latest].duplicated([c.USER, c.ITEM], keep="last").reindex(data.index)
    data = data.assign(**{c.CONFIDENCE: confidence})
    if weaker.any():
        report.add(table, "repeated (user_id, item_id) (the strongest is kept)", weaker, "dropped", data[c.EVENT])
    data = data[~weaker]
    blocked = data[c.CONFIDENCE] == 0
    report.note(table, "pairs that are blocked: not learnt from, not listed", int(blocked.sum()))
    return data


def _number(strength: Strength) -> float:
    """Return a strength as a number; what bars is subtracted from anything to less than 0."""
    return -np.inf if isinstance(strength, str) else float(strength)
