"""May an update replace the champion? Rules over drift and over rows that neither model knows, each with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tailor.evaluation.config import DriftLimits
from tailor.evaluation.drift import LEAST_VALUES
from tailor.evaluation.promotion import Decision
from tailor.metrics.significance import Comparison


@dataclass(frozen=True)
class UpdateEvidence:
    """What an update did, beside the champion."""

    new_rows: Comparison
    """NDCG on held-out new rows: the update without them, against the champion as it was."""
    old_rows: Comparison
    """NDCG on the last known item of users without new rows, hidden from their histories: what was forgotten."""
    overlap: float
    """Mean share of the lists of these users that stayed; NaN where there are no such users."""


def decide(drift: pd.DataFrame, evidence: UpdateEvidence, limits: DriftLimits) -> Decision:
    """Apply every rule; the alias moves if all hold. The last reason tells what was forgotten, and decides nothing.

    Args:
        drift: columns distribution, psi and chance.
        evidence: what was measured.
        limits: of each distribution.
    """
    rules = [
        (
            psi < limits.of(name) or psi <= chance,
            f"{name}: PSI {psi:.3f}, limit {limits.of(name):g}{_by_chance(chance)}",
        )
        for name, psi, chance in zip(drift["distribution"], drift["psi"], drift["chance"], strict=True)
    ]
    rules.append(_not_worse(evidence.new_rows))
    reasons = [("holds: " if holds else "fails: ") + text for holds, text in rules]
    return Decision(all(holds for holds, _ in rules), [*reasons, _forgotten(evidence)])


def _by_chance(chance: float) -> str:
    if chance == float("inf"):
        return f", fewer than {LEAST_VALUES} rows tell nothing"
    return f", by chance up to {chance:.3f}" if chance else ""


def failed(reasons: Sequence[str]) -> list[str]:
    """Return the reasons that refused."""
    return [reason for reason in reasons if reason.startswith("fails: ")]


def _not_worse(new_rows: Comparison) -> tuple[bool, str]:
    """The update may be worse on new rows by chance alone."""
    if not new_rows.n_users:
        return True, "held-out new rows: there are none to compare on"
    text = f"held-out new rows: NDCG {_interval(new_rows)} against the champion, {new_rows.n_users} users"
    if new_rows.n_users < LEAST_VALUES:
        return True, f"{text}, fewer than {LEAST_VALUES} tell nothing"
    return new_rows.high >= 0, text + ", worse is refused where the whole interval is below 0"


def _forgotten(evidence: UpdateEvidence) -> str:
    old = evidence.old_rows
    if not old.n_users:
        return "forgotten: every user has new rows, so nothing old is compared"
    return (
        f"forgotten: NDCG {_interval(old)} on the last known items of {old.n_users} users without new rows, "
        f"{evidence.overlap:.0%} of their lists stayed"
    )


def _interval(comparison: Comparison) -> str:
    return f"{comparison.difference:+.4f} [{comparison.low:+.4f}, {comparison.high:+.4f}]"
