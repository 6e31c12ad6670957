"""May a challenger replace the champion? Rules over paired differences on the same rows, each with its reason."""

from dataclasses import dataclass

from tailor.evaluation.config import PromotionOptions
from tailor.metrics.significance import Comparison


@dataclass(frozen=True)
class Evidence:
    """What both models did on rows that neither was fitted on."""

    mixed: Comparison
    """NDCG of mixed lists, challenger against champion."""
    tail: Comparison
    """NDCG of tail items in warm lists."""
    coverage: tuple[float, float]
    """Catalog coverage of mixed lists: challenger's, champion's."""
    p99_ms: float
    """99th percentile of the challenger's answers to single requests, in process, in milliseconds."""


@dataclass(frozen=True)
class Decision:
    """Promoted or not, and why."""

    promoted: bool
    reasons: list[str]
    """One line per rule: what was asked, what was found."""


def decide(evidence: Evidence, options: PromotionOptions) -> Decision:
    """Apply every rule; the challenger is promoted if all hold."""
    mixed, tail, (coverage, coverage_before) = evidence.mixed, evidence.tail, evidence.coverage
    rules = [
        (
            mixed.low >= -options.max_mixed_loss,
            f"mixed NDCG: lower bound of the difference {mixed.low:+.4f}, asked for >= {-options.max_mixed_loss:+.4f}"
            if mixed.n_users
            else _nothing_compared("mixed NDCG", "a test row"),
        ),
        (
            tail.difference > options.min_tail_gain,
            f"tail NDCG: difference {tail.difference:+.4f} [{tail.low:+.4f}, {tail.high:+.4f}], "
            f"asked for > {options.min_tail_gain:+.4f}"
            if tail.n_users
            else _nothing_compared("tail NDCG", "a tail item among the test rows"),
        ),
        (
            coverage >= coverage_before - options.max_coverage_loss,
            f"catalog coverage: {coverage:.3f} after {coverage_before:.3f}, "
            f"a loss of {options.max_coverage_loss:.3f} is allowed",
        ),
        (
            evidence.p99_ms <= options.max_p99_ms,
            f"latency: p99 {evidence.p99_ms:.1f} ms, budget {options.max_p99_ms:.1f} ms",
        ),
    ]
    reasons = [("holds: " if holds else "fails: ") + text for holds, text in rules]
    return Decision(all(holds for holds, _ in rules), reasons)


def _nothing_compared(name: str, needed: str) -> str:
    return f"{name}: no user has {needed}, so the two models cannot be compared by it"
