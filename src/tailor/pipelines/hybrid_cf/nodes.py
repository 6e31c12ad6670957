"""Nodes of ``hybrid_cf``. None of them has a test row among its inputs."""

from typing import Any

import pandas as pd
from scipy import sparse

from tailor.config import parse
from tailor.data.interactions import warm_items
from tailor.data.side_features import SideFeatures
from tailor.hybrid import selection
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import BLEND_COLUMNS
from tailor.hybrid.scorer import Hybrid
from tailor.lm.embeddings import Embeddings
from tailor.models.base import Engine
from tailor.models.registry import build
from tailor.options import HybridOptions

Engines = dict[str, Engine[Any]]


def _options(params: dict[str, Any]) -> HybridOptions:
    return parse(HybridOptions, params, "hybrid_cf")


def select_baselines(
    train: sparse.csr_matrix,
    validation: sparse.csr_matrix,
    items: pd.DataFrame,
    embeddings: Embeddings,
    params: dict[str, Any],
    tuned: dict[str, Any],
    seed: int,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Choose every baseline's options on validation, or take those of a search."""
    holdout = Holdout.build(train, validation, items, seed)
    return selection.select_baselines(holdout, embeddings.vectors, _options(params), seed, tuned)


def fit_baselines(
    train: sparse.csr_matrix,
    validation: sparse.csr_matrix,
    items: pd.DataFrame,
    embeddings: Embeddings,
    choice: dict[str, Any],
    seed: int,
) -> tuple[Engines, Engines]:
    """Fit every baseline without pseudo-cold B, for validation lists, and on all of train, for test lists."""
    features, warm = embeddings.vectors, warm_items(items)
    holdout = Holdout.build(train, validation, items, seed)
    held_out = {name: build(name, o, seed).fit(holdout.train, holdout.warm, features) for name, o in choice.items()}
    full = {name: build(name, o, seed).fit(train, warm, features) for name, o in choice.items()}
    return held_out, full


def select_hybrid(
    train: sparse.csr_matrix,
    validation: sparse.csr_matrix,
    items: pd.DataFrame,
    told: dict[str, Any],
    embeddings: Embeddings,
    params: dict[str, Any],
    tuned: dict[str, Any],
    seed: int,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Choose the options of the hybrid's arms on validation, or take those of a search."""
    holdout = Holdout.build(train, validation, items, seed, told=SideFeatures(**told))
    return selection.select_hybrid(holdout, embeddings.vectors, _options(params), seed, tuned)


def fit_hybrid(
    train: sparse.csr_matrix,
    validation: sparse.csr_matrix,
    order: sparse.csr_matrix,
    items: pd.DataFrame,
    told: dict[str, Any],
    embeddings: Embeddings,
    choice: dict[str, Any],
    params: dict[str, Any],
    seed: int,
) -> tuple[Engines, Engines, pd.DataFrame, pd.DataFrame]:
    """Fit sources and gate without pseudo-cold B, then the sources on all of train under the same gate."""
    options, features = _options(params), embeddings.vectors
    holdout = Holdout.build(train, validation, items, seed, order, told=SideFeatures(**told))
    scorer, fitted = selection.fit_hybrid(holdout, features, choice, options, seed)
    final = Hybrid(scorer.options, seed, scorer.gate, scorer.click, holdout.told)
    final.fit(train, warm_items(items), features)
    prices, fusions = pd.DataFrame(fitted.prices), pd.DataFrame(fitted.fusions, columns=BLEND_COLUMNS)
    return {"hybrid": scorer}, {"hybrid": final}, prices, fusions
