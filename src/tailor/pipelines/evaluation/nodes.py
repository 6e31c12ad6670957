"""Nodes of ``evaluation``: lists, metrics, tables and plots. Only those that measure see test positives."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.interactions import bucket_items, category_matrix
from tailor.evaluation import measure, plots
from tailor.evaluation.protocol import test_protocol, validation_protocol
from tailor.evaluation.tables import Content
from tailor.lm.embeddings import Embeddings
from tailor.metrics import rating
from tailor.models.base import Engine
from tailor.options import EvaluationOptions, SplitOptions

Engines = dict[str, Engine[Any]]
Matrix = sparse.csr_matrix


def _options(params: dict[str, Any]) -> EvaluationOptions:
    return parse(EvaluationOptions, params, "evaluation")


def _all_models(baselines: Engines, frozen: Engines, lora: Engines) -> Engines:
    return {**baselines, "hybrid_frozen": frozen["hybrid"], "hybrid_lora": lora["hybrid"]}


def build_test_positives(test: Matrix, cold: Matrix) -> Matrix:
    """Return what counts on test, warm and cold, for the nodes that measure."""
    return sparse.csr_matrix(test + cold)


def recommend_on_validation(
    baselines: Engines,
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    train: Matrix,
    params: dict[str, Any],
    seed: int,
) -> pd.DataFrame:
    """List for every known user with the models that have not seen pseudo-cold B."""
    protocol, models = validation_protocol(items, train), _all_models(baselines, frozen, lora)
    return measure.list_known_users(models, protocol, c.VALIDATION, users, items, _options(params), seed)


def recommend_on_test(
    baselines: Engines,
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    params: dict[str, Any],
    seed: int,
    **matrices: Matrix,
) -> pd.DataFrame:
    """List for every known user with the final models; no test positive is among the inputs.

    ``matrices``, here and below: what ``test_protocol`` takes.
    """
    protocol, models = test_protocol(items, **matrices), _all_models(baselines, frozen, lora)
    return measure.list_known_users(models, protocol, c.TEST, users, items, _options(params), seed)


def recommend_to_new_users(
    baselines: Engines,
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    new_user: Matrix,
    params: dict[str, Any],
    seed: int,
) -> pd.DataFrame:
    """List for new users of whom the first few items are revealed."""
    models = _all_models(baselines, frozen, lora)
    return measure.list_new_users(models, new_user, users, items, _options(params), seed)


def join_lists(validation_lists: pd.DataFrame, test_lists: pd.DataFrame) -> pd.DataFrame:
    """Put all lists into one table."""
    return pd.concat([validation_lists, test_lists], ignore_index=True)


def measure_known_users(
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    params: dict[str, Any],
    **matrices: Matrix,
) -> pd.DataFrame:
    """Measure accuracy and exposure of the saved lists."""
    protocols = {
        c.VALIDATION: (validation_protocol(items, matrices["train"]), matrices["validation"]),
        c.TEST: (test_protocol(items, **matrices), positives),
    }
    return measure.measure_known_users(recommendations, protocols, users, items, _options(params))


def measure_new_users(
    recommendations: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, new_user: Matrix, params: dict[str, Any]
) -> pd.DataFrame:
    """Measure the saved lists of new users."""
    return measure.measure_new_users(recommendations, new_user, users, items, _options(params))


def measure_beyond_accuracy(
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    embeddings: Embeddings,
    categories: pd.DataFrame,
    params: dict[str, Any],
    **matrices: Matrix,
) -> pd.DataFrame:
    """Measure diversity, surprise and calibration; distances are the frozen encoder's, for every model alike."""
    group = np.select([bucket_items(items, c.HEAD), bucket_items(items, c.TAIL)], [0, 1], default=2)
    n_train = items[c.N_TRAIN].to_numpy(dtype=np.int64)
    content = Content(embeddings.vectors, category_matrix(items, categories), n_train, group)
    protocol, k = test_protocol(items, **matrices), max(_options(params).k)
    return measure.measure_beyond_accuracy(recommendations, protocol, positives, users, items, content, k)


def compare_models(
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    params: dict[str, Any],
    seed: int,
    **matrices: Matrix,
) -> pd.DataFrame:
    """Compare the registered model with every other, user by user."""
    options, protocol = _options(params), test_protocol(items, **matrices)
    values = measure.per_user_ndcg(recommendations, protocol, positives, users, items, max(options.k))
    return measure.compare(values, options.registered, seed)


def join_metrics(known: pd.DataFrame, new: pd.DataFrame, beyond: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Put all figures into one table."""
    return pd.concat([known, new, beyond], ignore_index=True).assign(seed=seed)


def measure_clicks(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    split: dict[str, Any],
    params: dict[str, Any],
    **matrices: Matrix,
) -> tuple[pd.DataFrame, pd.DataFrame, go.Figure]:
    """Measure the click probabilities of the hybrids on test; the head was fitted on validation's shorter window."""
    o, protocol = parse(SplitOptions, split, "data_processing.split"), test_protocol(items, **matrices)
    horizon, block = (1 - o.train - o.validation) / o.validation, _options(params).block_users
    models: dict[str, Any] = {"hybrid_frozen": frozen["hybrid"], "hybrid_lora": lora["hybrid"]}
    table, curve = measure.measure_clicks(models, protocol, positives, users, horizon, block)
    return table, curve, plots.calibration_plot(curve)


def measure_ratings(
    frozen: Engines,
    lora: Engines,
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    train: Matrix,
    params: dict[str, Any],
) -> pd.DataFrame:
    """Measure rating predictions of the hybrids on test; no rows where the catalogue has no ratings."""
    models = {"hybrid_frozen": frozen["hybrid"], "hybrid_lora": lora["hybrid"]}
    return rating.measure(models, interactions, users, items, train, _options(params).block_users)


def summarise(
    metrics: pd.DataFrame, frozen_curves: pd.DataFrame, lora_curves: pd.DataFrame, params: dict[str, Any]
) -> tuple[pd.DataFrame, go.Figure, go.Figure]:
    """Boil the metrics down to a table, a comparison and the trade-offs of the boosts."""
    k = max(_options(params).k)
    table = plots.summary_table(metrics, k)
    curves = {"frozen encoder": frozen_curves, "LoRA encoder": lora_curves}
    return table, plots.comparison_plot(table, k), plots.price_plot(curves)
