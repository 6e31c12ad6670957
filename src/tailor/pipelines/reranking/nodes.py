"""Nodes of ``reranking``: what it does to the registered model's lists. Only ``trace_on_test`` sees test positives."""

from typing import Unpack

import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation import plots
from tailor.evaluation.protocol import TestRows, TrainRows, test_protocol, validation_protocol
from tailor.evaluation.trade_off import draw_candidates, select_balance, trace
from tailor.hybrid.scorer import by_encoder
from tailor.models.base import FittedModel
from tailor.options import EvaluationOptions
from tailor.types import JsonObject, Parameters

Models = dict[str, FittedModel]
Matrix = sparse.csr_matrix


def trace_on_validation(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    validation: Matrix,
    metadata: ItemMetadata,
    params: Parameters,
    seed: int,
    **known: Unpack[TrainRows],
) -> tuple[pd.DataFrame, JsonObject]:
    """Re-rank validation lists; choose the balance preset."""
    options, rules = parse(EvaluationOptions, params, "evaluation"), validation_protocol(items, **known)
    model = by_encoder(frozen, lora)[options.registered]
    pool = draw_candidates(model, rules, validation, users, items, options.frontier, options.block_users, seed)
    table = trace(pool, metadata, options.frontier, max(options.k))
    return table, select_balance(table, options.frontier.max_accuracy_loss, options.frontier.pool).model_dump()


def trace_on_test(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    metadata: ItemMetadata,
    params: Parameters,
    seed: int,
    **known: Unpack[TestRows],
) -> pd.DataFrame:
    """Re-rank test lists; ``known`` is what ``test_protocol`` takes."""
    options, rules = parse(EvaluationOptions, params, "evaluation"), test_protocol(items, **known)
    model = by_encoder(frozen, lora)[options.registered]
    pool = draw_candidates(model, rules, positives, users, items, options.frontier, options.block_users, seed)
    return trace(pool, metadata, options.frontier, max(options.k))


def join_frontiers(
    on_validation: pd.DataFrame, on_test: pd.DataFrame, preset: JsonObject
) -> tuple[pd.DataFrame, go.Figure]:
    """Put both tables into one, mark the balance preset, draw."""
    tables = [on_validation.assign(**{c.SPLIT: c.VALIDATION}), on_test.assign(**{c.SPLIT: c.TEST})]
    table = pd.concat(tables, ignore_index=True)
    table["balance"] = (table["method"] == preset["method"]) & (table["strength"] == preset["strength"])
    return table, plots.frontier_plot(table[table[c.SPLIT] == c.TEST])
