"""Nodes of ``lm_finetuning``."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import UserTextOptions
from tailor.data.domains import domain_masks
from tailor.data.interactions import category_matrix, pseudo_cold_items, trainable_items, tuned_items
from tailor.data.text import unpack_pieces
from tailor.data.user_texts import is_late
from tailor.lm import user_texts
from tailor.lm.config import LMOptions
from tailor.lm.domain_adapters import pooled_by_domain, tune_domains
from tailor.lm.embeddings import Embeddings, embed_pooled
from tailor.lm.encoder import encode_base, load_base, tokenise
from tailor.lm.peft import Adapter, weights_hash
from tailor.lm.ranks import in_ranks
from tailor.lm.training_data import TrainingData
from tailor.types import Parameters


def _options(params: Parameters) -> LMOptions:
    return parse(LMOptions, params, "lm_finetuning")


def tune_adapter(
    item_text: pd.DataFrame,
    items: pd.DataFrame,
    train: sparse.csr_matrix,
    teacher: dict[str, np.ndarray],
    item_categories: pd.DataFrame,
    params: Parameters,
    seed: int,
) -> tuple[Adapter, pd.DataFrame]:
    """Tune the adapter on warm items outside both pseudo-cold samples; sample A chooses the epoch, if any.

    With ``enabled: false`` nothing is tuned, and the steps after this one pass on that there is nothing.
    """
    options = _options(params)
    if not options.enabled:
        return Adapter.none(), pd.DataFrame(columns=["epoch", "loss", "cold_ndcg"], dtype="float64")
    data = TrainingData(
        pieces=unpack_pieces(item_text[c.PIECES]),
        user_factors=teacher["user_factors"],
        item_factors=teacher["item_factors"],
        train=train,
        trainable=tuned_items(items, options.max_items, seed),
        stop_on=pseudo_cold_items(items, "A"),
        categories=category_matrix(items, item_categories),
    )
    adapter, history = in_ranks(options.processes, tune_domains, data, options, seed, domain_masks(items))
    return adapter, pd.DataFrame(history)


def encode_frozen(item_text: pd.DataFrame, items: pd.DataFrame, params: Parameters) -> Embeddings:
    """Embed the catalogue with the base model as it is."""
    options = _options(params)
    tokens = tokenise(item_text[c.TEXT].tolist(), options.encoder)
    base_hash = weights_hash(load_base(options.encoder))
    about = {"encoder": "frozen", "base_hash": base_hash, "options": options.encoder.model_dump()}
    pooled = in_ranks(options.processes, encode_base, tokens, options.encoder, "encode frozen")
    return embed_pooled(pooled, items, trainable_items(items), options, about)


def encode_tuned(item_text: pd.DataFrame, items: pd.DataFrame, adapter: Adapter, params: Parameters) -> Embeddings:
    """Embed the catalogue with the adapter merged into the base model, and that of each item's domain if it has one; no
    rows where nothing was tuned.
    """
    if not adapter.is_tuned:
        return Embeddings.none()
    options = _options(params)
    tokens = tokenise(item_text[c.TEXT].tolist(), options.encoder)
    pooled = in_ranks(options.processes, pooled_by_domain, adapter, tokens, options, domain_masks(items))
    return embed_pooled(pooled, items, trainable_items(items), options, adapter.provenance)


def encode_user_texts(
    user_text: pd.DataFrame, params: Parameters, user_text_params: Parameters
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Embed what users wrote by the base model; return what is known before the test window begins, and the rest."""
    options = parse(UserTextOptions, user_text_params, "feature_engineering.user_text")
    known = user_texts.encode(user_text, _options(params).encoder, options.max_pieces)
    late = is_late(user_text)
    return known.take(~late).arrays(), known.take(late).arrays()


def plot_training(history: pd.DataFrame) -> go.Figure:
    """Draw loss and pseudo-cold NDCG@20 by epoch."""
    figure = go.Figure()
    figure.add_scatter(x=history["epoch"], y=history["cold_ndcg"], name="pseudo-cold A NDCG@20", mode="lines+markers")
    figure.add_scatter(x=history["epoch"], y=history["loss"], name="loss", mode="lines+markers", yaxis="y2")
    return figure.update_layout(
        title="Tuning the language model (epoch 0: before the objective)",
        xaxis={"title": "epoch", "dtick": 1},
        yaxis={"title": "NDCG@20"},
        yaxis2={"title": "loss", "overlaying": "y", "side": "right"},
        legend={"orientation": "h"},
    )
