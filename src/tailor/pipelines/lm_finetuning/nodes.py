"""Nodes of ``lm_finetuning``."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.data.matrices import pseudo_cold_items, warm_items
from tailor.lm.adapter import Adapter, attach
from tailor.lm.encoder import encode, load_base, normalise, tokenise
from tailor.lm.train import tune_lora
from tailor.lm.vectors import join_vectors
from tailor.options import LMOptions, parse


def _options(params: dict[str, Any]) -> LMOptions:
    return parse(LMOptions, params, "lm_finetuning")


def _learnt(items: pd.DataFrame) -> np.ndarray:
    return warm_items(items) & ~pseudo_cold_items(items, "A") & ~pseudo_cold_items(items, "B")


def tune_adapter(
    item_text: pd.DataFrame,
    items: pd.DataFrame,
    train: sparse.csr_matrix,
    teacher: dict[str, np.ndarray],
    params: dict[str, Any],
    seed: int,
) -> tuple[Adapter, pd.DataFrame]:
    """Tune LoRA on warm items outside both pseudo-cold samples; sample A chooses the epoch."""
    options = _options(params)
    tokens = tokenise(item_text[c.TEXT].tolist(), options.encoder)
    adapter, history = tune_lora(
        tokens,
        teacher["user_factors"],
        teacher["item_factors"],
        train,
        _learnt(items),
        pseudo_cold_items(items, "A"),
        options,
        seed,
    )
    return adapter, pd.DataFrame(history)


def encode_frozen(item_text: pd.DataFrame, items: pd.DataFrame, params: dict[str, Any]) -> dict[str, np.ndarray]:
    """Embed the catalogue with the base model as it is."""
    options = _options(params).encoder
    tokens = tokenise(item_text[c.TEXT].tolist(), options)
    pooled = encode(load_base(options), tokens, options.batch_size, "encode frozen")
    return {"embeddings": join_vectors(normalise(pooled, _learnt(items)), items)}


def encode_tuned(
    item_text: pd.DataFrame, items: pd.DataFrame, adapter: Adapter, params: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Embed the catalogue with the adapter merged into the base model."""
    options = _options(params).encoder
    tokens = tokenise(item_text[c.TEXT].tolist(), options)
    encoder = attach(load_base(options), adapter, options)
    pooled = encode(encoder, tokens, options.batch_size, "encode tuned")
    return {"embeddings": join_vectors(normalise(pooled, _learnt(items)), items)}


def plot_training(history: pd.DataFrame) -> go.Figure:
    """Draw loss and pseudo-cold NDCG@20 by epoch."""
    figure = go.Figure()
    figure.add_scatter(x=history["epoch"], y=history["cold_ndcg"], name="pseudo-cold A NDCG@20", mode="lines+markers")
    figure.add_scatter(x=history["epoch"], y=history["loss"], name="loss", mode="lines+markers", yaxis="y2")
    return figure.update_layout(
        title="LoRA tuning (epoch 0 is the frozen encoder)",
        xaxis={"title": "epoch", "dtick": 1},
        yaxis={"title": "NDCG@20"},
        yaxis2={"title": "loss", "overlaying": "y", "side": "right"},
        legend={"orientation": "h"},
    )
