"""What a served model is, for a page or a client to start from; and what to ask a new visitor."""

import numpy as np

from tailor import columns as c
from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import Indices
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Settings
from tailor.types import JsonObject


def describe(model: Recommender, version: str) -> JsonObject:
    """Return what a request to this model can say, and what holds where it says nothing.

    Returns:
        version; items; defaults of the settings; boosts at the operating point (empty: none), boosts_by_domain at that
        of each domain (empty: the same); scenarios as settings at the operating point; categories; filters (numeric
        columns with their range); profile and context columns with values; words: whether it takes any; user_text:
        whether it takes what users wrote.
    """
    metadata = model.metadata
    return {
        "version": version,
        "items": len(model.items),
        "defaults": {name: field.default for name, field in Settings.model_fields.items()},
        "boosts": model.operating_point,
        "boosts_by_domain": model.operating_points,
        "scenarios": model.scenarios,
        "categories": list(metadata.vocabulary.names) if metadata is not None else [],
        "filters": _ranges(model),
        **{name: _columns(model, name) for name in ("profile", "context")},
        "words": model.takes_words,
        "user_text": model.reads_user_texts,
    }


def _ranges(model: Recommender) -> JsonObject:
    """Return the least and largest value of each numeric column."""
    if model.metadata is None:
        return {}
    columns = {
        name: model.metadata.table[name].replace([np.inf, -np.inf], np.nan).dropna()
        for name in model.metadata.numeric_columns
    }
    return {name: {"min": float(col.min()), "max": float(col.max())} for name, col in columns.items() if len(col)}


def _columns(model: Recommender, field: str) -> list[JsonObject]:
    """Return the columns of profiles or contexts; one of intervals takes any number."""
    columns = model.side_feature_columns(field)
    return [{"name": col.name, "values": list(col.values), "numeric": bool(col.edges)} for col in columns]


def bucket_of(model: Recommender, rows: Indices) -> list[str]:
    """Return ``new`` (no train interactions), ``tail`` or nothing for items, by internal id."""
    if not isinstance(model.model, HybridScorer):
        return [""] * len(rows)
    names = np.where(model.model.tail[rows], c.TAIL, "")
    listed: list[str] = np.where(model.model.warm[rows], names, "new").tolist()
    return listed


def elicit(model: Recommender, k: int) -> list[str]:
    """Return the ids of the k items whose answers tell most about a new visitor, the most telling first.

    Only items with train interactions that are still listed are asked about; at most ``MAX_QUESTIONS``.
    """
    # The questions were chosen once, and an item may have expired since.
    listed = model.questions[~model.gone[model.questions]]
    ids: list[str] = model.item_ids[listed[:k]].tolist()
    return ids
