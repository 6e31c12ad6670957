"""Nodes of ``promotion``. Only ``compare_with_champion`` sees test positives."""

import logging
from typing import Any

import pandas as pd
from scipy import sparse

from tailor.config import parse
from tailor.evaluation.protocol import test_protocol
from tailor.options import EvaluationOptions
from tailor.registry import promote

log = logging.getLogger(__name__)
Matrix = sparse.csr_matrix


def compare_with_champion(
    registered: dict[str, Any],
    checked: dict[str, Any],
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    params: dict[str, Any],
    **known: Any,
) -> dict[str, Any]:
    """Compare the registered challenger with the champion on the same test rows, once it was checked."""
    log.info("%d of %d places of the registered model checked", checked["equal_places"], checked["places"])
    train_set = promote.train_set(items, known["train"], known["order"], known["side_features"])
    rows = promote.ComparedRows(users, items, train_set, test_protocol(items, **known), positives)
    options = parse(EvaluationOptions, params, "evaluation")
    return promote.compare_with_champion(registered, recommendations, rows, options)


def move_alias(registered: dict[str, Any], decided: dict[str, Any]) -> tuple[dict[str, Any], pd.DataFrame]:
    """Write the decision to the version's tags; then, if it is promoted, point the champion's alias at it."""
    return promote.move_alias(registered, decided)
