"""Other strengths of kinds of behaviour on the validation side of the split: what a search tries."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tailor.data.events import STRENGTH_DIGITS, EventOptions
from tailor.hybrid.holdout import Holdout
from tailor.models.base import Csr

#: Strengths no further apart than this are those of one kind.
_SAME = 1e-4


def searched_kinds(events: EventOptions) -> dict[str, float]:
    """Return the kinds whose strength a search may choose, each with its present one: above 0, and no hits of lists.

    Kinds that count as hits keep theirs, so that figures of different strengths are of the same rows.

    Args:
        events: strengths of kinds.
    """
    least = events.least_of_hit
    return {kind: value for kind, value in events.above_zero.items() if round(value, STRENGTH_DIGITS) < least}


def with_other_strengths(holdout: Holdout, known: Mapping[str, float], other: Mapping[str, float]) -> Holdout:
    """Return the validation side of the split as it would be with other strengths of some kinds.

    A pair is of a kind where it has its strength; a pair that something was subtracted from keeps its own. Of two kinds
    of the same strength the first one's is taken for both.

    Args:
        holdout: with confidences by the present strengths.
        known: the present strength by kind.
        other: another one by kind, above 0.
    """
    confidence = holdout.histories.confidence
    if confidence is None:
        return holdout
    changed: Csr = confidence.copy()
    for kind in reversed(list(other)):
        changed.data[np.abs(confidence.data - known[kind]) < _SAME] = other[kind]
    return replace(holdout, histories=replace(holdout.histories, confidence=changed, memo={}))
