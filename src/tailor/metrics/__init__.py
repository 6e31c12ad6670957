"""Metrics of lists, of probabilities and of ratings; those of lists are registered, and plug-ins register theirs."""

from tailor.metrics import accuracy, diversity, exposure
from tailor.metrics.base import (
    CANDIDATE_SETS,
    EVERYWHERE,
    MIXED_TEST,
    Headline,
    Lists,
    Metric,
    Scope,
    find_metric,
    headlines,
    metric,
    registered_metrics,
)

__all__ = [
    "CANDIDATE_SETS",
    "EVERYWHERE",
    "MIXED_TEST",
    "Headline",
    "Lists",
    "Metric",
    "Scope",
    "accuracy",
    "diversity",
    "exposure",
    "find_metric",
    "headlines",
    "metric",
    "registered_metrics",
]
