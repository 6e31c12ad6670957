"""Nodes of ``reranking``: what it does to the registered model's lists. Only ``trace_on_test`` sees test positives."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import bucket_items, category_matrix
from tailor.evaluation import plots, protocol
from tailor.evaluation.protocol import EvalProtocol, test_protocol, validation_protocol
from tailor.evaluation.trade_off import Pool, balance, trace
from tailor.lm.embeddings import Embeddings
from tailor.models.base import Engine
from tailor.models.listing import recommend
from tailor.options import EvaluationOptions
from tailor.rerank.base import ItemFacts

Engines = dict[str, Engine[Any]]
Matrix = sparse.csr_matrix


def describe_items(items: pd.DataFrame, embeddings: Embeddings, categories: pd.DataFrame) -> ItemFacts:
    """Put together what re-ranking looks at; distances are the frozen encoder's."""
    return ItemFacts(embeddings.vectors, category_matrix(items, categories), bucket_items(items, c.TAIL))


def candidates(
    models: Engines,
    rules: EvalProtocol,
    counted: Matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    options: EvaluationOptions,
    seed: int,
) -> Pool:
    """List the candidates of (a sample of) the users with positives."""
    relevant = protocol.positives(counted, rules, c.MIXED)
    known = np.flatnonzero((users[c.BUCKET] != "new") & (np.diff(relevant.indptr) > 0))
    sample = np.sort(np.random.default_rng([seed, 4]).permutation(known)[: options.frontier.max_users])
    mixed, ties = {c.MIXED: rules.candidates[c.MIXED]}, tie_ranks(seed, items[c.ITEM])
    size, block = min(options.frontier.pool, len(items)), options.block_users
    history, seen = rules.history[sample], rules.seen[sample]
    lists = recommend(models["hybrid"], sample, history, seen, mixed, size, ties, block)[c.MIXED]
    return Pool(*lists, history, relevant[sample], int(mixed[c.MIXED].sum()))


def trace_on_validation(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    train: Matrix,
    validation: Matrix,
    metadata: ItemFacts,
    params: dict[str, Any],
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Re-rank validation lists; choose the balance preset."""
    o, rules = parse(EvaluationOptions, params, "evaluation"), validation_protocol(items, train)
    models = {"hybrid_frozen": frozen, "hybrid_lora": lora}[o.registered]
    pool = candidates(models, rules, validation, users, items, o, seed)
    table = trace(pool, metadata, o.frontier, max(o.k))
    return table, balance(table, o.frontier.max_price, o.frontier.pool).model_dump()


def trace_on_test(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    metadata: ItemFacts,
    params: dict[str, Any],
    seed: int,
    **matrices: Matrix,
) -> pd.DataFrame:
    """Re-rank test lists; ``matrices`` is what ``test_protocol`` takes."""
    o, rules = parse(EvaluationOptions, params, "evaluation"), test_protocol(items, **matrices)
    models = {"hybrid_frozen": frozen, "hybrid_lora": lora}[o.registered]
    return trace(candidates(models, rules, positives, users, items, o, seed), metadata, o.frontier, max(o.k))


def join_frontiers(
    on_validation: pd.DataFrame, on_test: pd.DataFrame, preset: dict[str, Any]
) -> tuple[pd.DataFrame, go.Figure]:
    """Put both tables into one, mark the balance preset, draw."""
    tables = [on_validation.assign(**{c.SPLIT: c.VALIDATION}), on_test.assign(**{c.SPLIT: c.TEST})]
    table = pd.concat(tables, ignore_index=True)
    table["balance"] = (table["method"] == preset["method"]) & (table["strength"] == preset["strength"])
    return table, plots.frontier_plot(table[table[c.SPLIT] == c.TEST])
