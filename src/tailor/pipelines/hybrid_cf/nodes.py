"""Nodes of ``hybrid_cf``. None of them has a test row among its inputs."""

import numpy as np
import pandas as pd
from scipy import sparse

from tailor.config import parse
from tailor.data.interactions import final_rows
from tailor.hybrid import holdout as holdouts
from tailor.hybrid import selection
from tailor.hybrid.blend_choice import BLEND_COLUMNS
from tailor.hybrid.boost_curves import CURVE_COLUMNS
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import scorer_of
from tailor.lm.embeddings import Embeddings
from tailor.models.base import FittedModel, TrainSet
from tailor.models.fitting import fit_all
from tailor.models.registry import build
from tailor.types import JsonObject, Parameters

Models = dict[str, FittedModel]
Arrays = dict[str, np.ndarray]
Matrix = sparse.csr_matrix


def _options(params: Parameters, holdout: Holdout) -> HybridOptions:
    return selection.without_order(parse(HybridOptions, params, "hybrid_cf"), holdout)


def gather_train_set(
    train: Matrix,
    validation: Matrix,
    order: Matrix,
    items: pd.DataFrame,
    side_features: Arrays,
    fit_on: str,
    user_texts: Arrays | None = None,
    strengths: Matrix | None = None,
) -> TrainSet:
    """Gather what the final models are fitted on: train, and the validation rows where ``fit_on`` says so."""
    fitted = final_rows(train, validation, items, fit_on)
    return holdouts.gather_train_set(fitted, order, items, side_features, user_texts, strengths)


def select_baselines(
    holdout: Holdout, embeddings: Embeddings, params: Parameters, tuned: Parameters, seed: int
) -> tuple[JsonObject, pd.DataFrame, Models]:
    """Choose every baseline's options on validation, or take those of a search; its fit makes the validation lists."""
    data = holdout.train_set(embeddings.vectors)
    return selection.select_baselines(holdout, data, _options(params, holdout), seed, tuned)


def refit_baselines(train_set: TrainSet, embeddings: Embeddings, choice: Parameters, seed: int) -> Models:
    """Fit every baseline again, on the whole train set, for test lists."""
    data = train_set.with_features(embeddings.vectors)
    return fit_all({name: build(name, options, seed) for name, options in choice.items()}, lambda _: data)


def select_hybrid(
    holdout: Holdout, embeddings: Embeddings, params: Parameters, tuned: Parameters, seed: int
) -> tuple[JsonObject, pd.DataFrame, Models]:
    """Choose the options of the hybrid's sources on validation, or take those of a search; return their fit too.

    Here and below: without embeddings the encoder is left out, and so is its hybrid.
    """
    if embeddings.is_empty:
        return {}, pd.DataFrame(columns=selection.TRIAL_COLUMNS), {}
    data = holdout.train_set(embeddings.vectors)
    options = _options(params, holdout).with_parts(embeddings.dimensions)
    choice, trials, scorer = selection.select_hybrid(holdout, data, options, seed, tuned)
    return choice, trials, {"hybrid": scorer}


def fit_hybrid(
    holdout: Holdout,
    train_set: TrainSet,
    embeddings: Embeddings,
    choice: Parameters,
    params: Parameters,
    seed: int,
    selected: Models | None = None,
) -> tuple[Models, Models, pd.DataFrame, pd.DataFrame]:
    """Fit the blend on sources that know no pseudo-cold B, then the sources on the whole train set by that recipe.

    ``selected``: what was fitted for the choice already; without it the sources are fitted here.
    """
    if embeddings.is_empty:
        return {}, {}, pd.DataFrame(columns=CURVE_COLUMNS), pd.DataFrame(columns=BLEND_COLUMNS)
    data = holdout.train_set(embeddings.vectors)
    options = _options(params, holdout).with_parts(embeddings.dimensions)
    known = scorer_of(selected) if selected else None
    final_data = train_set.with_features(embeddings.vectors)
    scorer, final, fitted = selection.fit_hybrid_twice(holdout, data, final_data, choice, options, seed, known)
    curves, models = pd.DataFrame(fitted.curves), pd.DataFrame(fitted.models, columns=BLEND_COLUMNS)
    return {"hybrid": scorer}, {"hybrid": final}, curves, models
