"""Kinds of behaviour in requests: how sure each item of a history is, by the strengths of the fit."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tailor import columns as c
from tailor.data.events import BAR, Strength
from tailor.errors import BadInputError, did_you_mean
from tailor.serving.schema import Request

#: Key of ``about``: the strength of each kind.
STRENGTHS = "strengths"


def with_strengths(requests: Sequence[Request], strengths: Mapping[str, Strength]) -> Sequence[Request]:
    """Return the requests with weights in place of kinds; items that are blocked join what is excluded.

    Of an item that stands several times the strongest kind counts, where it stands last, as in the fit
    (:mod:`tailor.data.events`); what is 0 in all is neither known nor excluded.

    Args:
        requests: each with as many kinds as its history has items, or none.
        strengths: by kind; empty where the model was fitted without.

    Raises:
        BadInputError: the model knows no kinds, or not this one.
    """
    if not any(request.events for request in requests):
        return requests
    if not strengths:
        raise BadInputError("events: this model was fitted without kinds of behaviour; send weights instead")
    return [_with_strengths(request, strengths) if request.events else request for request in requests]


def taken(rows: pd.DataFrame, strengths: Mapping[str, Strength], least: float) -> pd.DataFrame:
    """Return the interactions that count in what is trending and what is new: all, where kinds have no strengths.

    Else those that weigh what an event must, or as much as the strongest kind; a view makes nothing popular.

    Args:
        rows: with ``confidence`` where kinds have strengths.
        strengths: by kind.
        least: what an event weighs that counts, see :class:`tailor.serving.events.EventOptions`.
    """
    if c.CONFIDENCE not in rows:
        return rows
    return rows[rows[c.CONFIDENCE] >= least_taken(strengths, least)]


def least_taken(strengths: Mapping[str, Strength], least: float) -> float:
    """Return how sure an interaction must be that counts in what is trending; arguments as of :func:`taken`."""
    strongest = max((float(strength) for strength in strengths.values() if not isinstance(strength, str)), default=1.0)
    return min(least, strongest)


def _with_strengths(request: Request, strengths: Mapping[str, Strength]) -> Request:
    best: dict[str, float] = {}
    worst: dict[str, float] = {}
    for item, kind in zip(request.history, request.events, strict=True):
        if kind not in strengths:
            raise BadInputError(
                f"events: no kind '{kind}'.{did_you_mean(kind, strengths)} Known: {', '.join(strengths)}."
            )
        strength = strengths[kind]
        value = float("-inf") if strength == BAR else float(strength)
        # Of an item that is named again, the last place counts.
        best[item], worst[item] = max(best.pop(item, 0.0), value), min(worst.get(item, 0.0), value)
    strength_of = {item: round(value + worst[item], 6) for item, value in best.items()}
    history = tuple(item for item, value in strength_of.items() if value > 0)
    blocked = tuple(item for item, value in strength_of.items() if value <= 0 and worst[item] < 0)
    weights = tuple(strength_of[item] for item in history)
    known = request.model_copy(update={"history": history, "weights": weights})
    return known.model_copy(update={"events": (), "exclude": (*request.exclude, *blocked)})
