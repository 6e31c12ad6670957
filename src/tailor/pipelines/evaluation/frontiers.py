"""Nodes that re-rank the registered model's lists. Only ``frontier_on_test`` sees test positives."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.hashing import tie_ranks
from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation import plots
from tailor.evaluation.protocol import EvalProtocol, positives, validation_protocol
from tailor.evaluation.trade_off import CandidatePool, select_balance, trace
from tailor.lm.embeddings import Embeddings
from tailor.models.base import Engine
from tailor.models.listing import recommend
from tailor.options import EvaluationOptions

Engines = dict[str, Engine[Any]]
Matrix = sparse.csr_matrix


def describe_items(
    items: pd.DataFrame, texts: pd.DataFrame, categories: pd.DataFrame, embeddings: Embeddings
) -> ItemMetadata:
    """Put together what metrics and re-rankers know of items; distances are the frozen encoder's, for every model."""
    return ItemMetadata.build(items, texts[c.PIECES], categories).with_arrays(
        vectors=embeddings.vectors,
        n_train=items[c.N_TRAIN].to_numpy(dtype=np.int64),
        bucket=items[c.BUCKET].to_numpy(dtype=str),
    )


def candidates(
    models: Engines,
    protocol: EvalProtocol,
    counted: Matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    o: EvaluationOptions,
    seed: int,
) -> CandidatePool:
    """List the candidates of (a sample of) the users with positives."""
    wanted = positives(counted, protocol, c.MIXED)
    who = np.flatnonzero((users[c.BUCKET] != "new") & (np.diff(wanted.indptr) > 0))
    drawn = np.random.default_rng([seed, 4]).permutation(who)[: o.frontier.max_users]
    who = np.sort(drawn)
    mixed, ties = {c.MIXED: protocol.candidates[c.MIXED]}, tie_ranks(seed, items[c.ITEM])
    size, block = min(o.frontier.pool, len(items)), o.block_users
    lists = recommend(models["hybrid"], who, protocol.history[who], protocol.seen[who], mixed, size, ties, block)[
        c.MIXED
    ]
    return CandidatePool(*lists, protocol.history[who], wanted[who], int(mixed[c.MIXED].sum()))


def frontier_on_validation(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    train: Matrix,
    validation: Matrix,
    metadata: ItemMetadata,
    params: dict[str, Any],
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Re-rank validation lists; choose the balance preset."""
    o = parse(EvaluationOptions, params, "evaluation")
    models, protocol = {"hybrid_frozen": frozen, "hybrid_lora": lora}[o.registered], validation_protocol(items, train)
    pool = candidates(models, protocol, validation, users, items, o, seed)
    table = trace(pool, metadata, o.frontier, max(o.k))
    return table, select_balance(table, o.frontier.max_accuracy_loss, o.frontier.pool).model_dump()


def frontier_on_test(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
    truth: Matrix,
    metadata: ItemMetadata,
    params: dict[str, Any],
    seed: int,
) -> pd.DataFrame:
    """Re-rank test lists."""
    o = parse(EvaluationOptions, params, "evaluation")
    models = {"hybrid_frozen": frozen, "hybrid_lora": lora}[o.registered]
    return trace(candidates(models, protocol, truth, users, items, o, seed), metadata, o.frontier, max(o.k))


def join_frontiers(
    on_validation: pd.DataFrame, on_test: pd.DataFrame, preset: dict[str, Any]
) -> tuple[pd.DataFrame, go.Figure]:
    """Put both tables into one, mark the balance preset, draw."""
    tables = [on_validation.assign(**{c.SPLIT: c.VALIDATION}), on_test.assign(**{c.SPLIT: c.TEST})]
    table = pd.concat(tables, ignore_index=True)
    table["balance"] = (table["method"] == preset["method"]) & (table["strength"] == preset["strength"])
    return table, plots.frontier_plot(table[table[c.SPLIT] == c.TEST])
