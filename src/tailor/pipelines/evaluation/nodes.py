"""Nodes of ``evaluation``: lists, metrics, tables and plots. Only ``measure`` sees test positives."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import SplitOptions
from tailor.data.interactions import bucket_items, category_matrix
from tailor.evaluation import measure as evaluate
from tailor.evaluation import plots as report
from tailor.evaluation.protocol import EvalProtocol, test_protocol, validation_protocol
from tailor.evaluation.tables import Content
from tailor.lm.embeddings import Embeddings
from tailor.metrics import rating as ratings
from tailor.models.base import Engine
from tailor.options import EvaluationOptions

Engines = dict[str, Engine[Any]]
Matrix = sparse.csr_matrix


def _options(params: dict[str, Any]) -> EvaluationOptions:
    return parse(EvaluationOptions, params, "evaluation")


def _ladder(baselines: Engines, frozen: Engines, lora: Engines) -> Engines:
    return {**baselines, "hybrid_frozen": frozen["hybrid"], "hybrid_lora": lora["hybrid"]}


def build_test_protocol(items: pd.DataFrame, train: Matrix, validation: Matrix, cold_unused: Matrix) -> EvalProtocol:
    """Lay down the rules of test lists; no test positive is among the inputs."""
    return test_protocol(items, train, validation, cold_unused)


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
    protocol, models = validation_protocol(items, train), _ladder(baselines, frozen, lora)
    return evaluate.list_known_users(models, protocol, c.VALIDATION, users, items, _options(params), seed)


def recommend_on_test(
    baselines: Engines,
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
    params: dict[str, Any],
    seed: int,
) -> pd.DataFrame:
    """List for every known user with the final models; no test positive is among the inputs."""
    models = _ladder(baselines, frozen, lora)
    return evaluate.list_known_users(models, protocol, c.TEST, users, items, _options(params), seed)


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
    return evaluate.list_new_users(_ladder(baselines, frozen, lora), new_user, users, items, _options(params), seed)


def join_lists(validation_lists: pd.DataFrame, test_lists: pd.DataFrame) -> pd.DataFrame:
    """Put all lists into one table."""
    return pd.concat([validation_lists, test_lists], ignore_index=True)


def measure_known_users(
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    train: Matrix,
    validation: Matrix,
    protocol: EvalProtocol,
    truth: Matrix,
    params: dict[str, Any],
) -> pd.DataFrame:
    """Measure accuracy and exposure of the saved lists."""
    protocols = {c.VALIDATION: (validation_protocol(items, train), validation), c.TEST: (protocol, truth)}
    return evaluate.measure_known_users(recommendations, protocols, users, items, _options(params))


def measure_new_users(
    recommendations: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, new_user: Matrix, params: dict[str, Any]
) -> pd.DataFrame:
    """Measure the saved lists of new users."""
    return evaluate.measure_new_users(recommendations, new_user, users, items, _options(params))


def measure_beyond_accuracy(
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
    truth: Matrix,
    embeddings: Embeddings,
    categories: pd.DataFrame,
    params: dict[str, Any],
) -> pd.DataFrame:
    """Measure diversity, surprise and calibration; distances are the frozen encoder's, for every model alike."""
    group = np.select([bucket_items(items, c.HEAD), bucket_items(items, c.TAIL)], [0, 1], default=2)
    of_items = category_matrix(items, categories)
    content = Content(embeddings.vectors, of_items, items[c.N_TRAIN].to_numpy(dtype=np.int64), group)
    k = max(_options(params).k)
    return evaluate.measure_beyond_accuracy(recommendations, protocol, truth, users, items, content, k)


def compare_models(
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
    truth: Matrix,
    params: dict[str, Any],
    seed: int,
) -> pd.DataFrame:
    """Compare the registered model with the whole ladder, user by user."""
    o = _options(params)
    values = evaluate.per_user_ndcg(recommendations, protocol, truth, users, items, max(o.k))
    return evaluate.compare(values, o.registered, seed)


def join_metrics(known: pd.DataFrame, new: pd.DataFrame, beyond: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Put all figures into one table."""
    return pd.concat([known, new, beyond], ignore_index=True).assign(seed=seed)


def measure_clicks(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    protocol: EvalProtocol,
    truth: Matrix,
    split: dict[str, Any],
    params: dict[str, Any],
) -> tuple[pd.DataFrame, pd.DataFrame, go.Figure]:
    """Measure the click probabilities of the hybrids on test; the head was fitted on validation's shorter window."""
    o = parse(SplitOptions, split, "data_processing.split")
    horizon = (1 - o.train - o.validation) / o.validation
    models = {"hybrid_frozen": frozen["hybrid"], "hybrid_lora": lora["hybrid"]}
    table, curve = evaluate.measure_clicks(models, protocol, truth, users, horizon, _options(params).block_users)  # type: ignore[arg-type]
    return table, curve, report.calibration_plot(curve)


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
    return ratings.measure(models, interactions, users, items, train, _options(params).block_users)


def summarise(
    metrics: pd.DataFrame, frozen_prices: pd.DataFrame, lora_prices: pd.DataFrame, params: dict[str, Any]
) -> tuple[pd.DataFrame, go.Figure, go.Figure]:
    """Boil the metrics down to a table, a comparison and the price of cold exposure."""
    k = max(_options(params).k)
    table = report.summary_table(metrics, k)
    prices = {"frozen encoder": frozen_prices, "LoRA encoder": lora_prices}
    return table, report.comparison_plot(table, k), report.price_plot(prices)
