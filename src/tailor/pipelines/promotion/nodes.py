"""Nodes of ``promotion``. Only ``compare_with_champion`` sees test positives."""

import logging
from typing import Unpack

import pandas as pd
from scipy import sparse

from tailor.config import parse
from tailor.data.interactions import final_rows
from tailor.evaluation.protocol import TestRows, test_protocol
from tailor.evaluation.ranking import LazyTables
from tailor.hybrid.holdout import gather_train_set
from tailor.options import EvaluationOptions
from tailor.registry import promote
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)
Matrix = sparse.csr_matrix


def compare_with_champion(
    registered: JsonObject,
    checked: JsonObject,
    test_lists: LazyTables,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    params: Parameters,
    **known: Unpack[TestRows],
) -> JsonObject:
    """Compare the registered challenger with the champion on the same test rows, once it was checked."""
    log.info("%d of %d places of the measured model are those of the run", checked["equal_places"], checked["places"])
    options = parse(EvaluationOptions, params, "evaluation")
    fitted = final_rows(known["train"], known["validation"], items, options.fit_on)
    of_users = known["side_features"], known["user_texts"], known.get("strengths")
    train_set = gather_train_set(fitted, known["order"], items, *of_users)
    rows = promote.ComparedRows(users, items, train_set, test_protocol(items, **known), positives)
    return promote.compare_with_champion(registered, test_lists, rows, options)


def move_alias(registered: JsonObject, decided: JsonObject) -> tuple[JsonObject, pd.DataFrame]:
    """Write the decision to the version's tags; then, if it is promoted, point the champion's alias at it."""
    return promote.move_alias(registered, decided)
