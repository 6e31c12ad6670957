"""Nodes of ``evaluation``: lists, metrics, tables and plots. Only ``measure`` sees test positives."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import SplitOptions
from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation import measure as evaluate
from tailor.evaluation import plots
from tailor.evaluation.protocol import EvalProtocol, test_protocol, validation_protocol
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
    metadata: ItemMetadata,
    params: dict[str, Any],
) -> pd.DataFrame:
    """Measure the saved lists by every registered metric."""
    protocols = {c.VALIDATION: (validation_protocol(items, train), validation), c.TEST: (protocol, truth)}
    return evaluate.measure_known_users(recommendations, protocols, users, metadata, _options(params))


def measure_new_users(
    recommendations: pd.DataFrame, users: pd.DataFrame, new_user: Matrix, metadata: ItemMetadata, params: dict[str, Any]
) -> pd.DataFrame:
    """Measure the saved lists of new users."""
    return evaluate.measure_new_users(recommendations, new_user, users, metadata, _options(params))


def compare_models(
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    protocol: EvalProtocol,
    truth: Matrix,
    metadata: ItemMetadata,
    params: dict[str, Any],
    seed: int,
) -> pd.DataFrame:
    """Compare the registered model with every other, user by user, by every headline metric."""
    o = _options(params)
    values = evaluate.headline_values(recommendations, protocol, truth, users, metadata, max(o.k))
    return evaluate.compare(values, o.registered, seed)


def join_metrics(known: pd.DataFrame, new: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Put all figures into one table."""
    return pd.concat([known, new], ignore_index=True).assign(seed=seed)


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
    return ratings.measure(models, interactions, users, items, train, _options(params).block_users)


def summarise(
    metrics: pd.DataFrame, frozen_curves: pd.DataFrame, lora_curves: pd.DataFrame, params: dict[str, Any]
) -> tuple[pd.DataFrame, go.Figure, go.Figure]:
    """Reduce the metrics to a summary and a comparison; draw what each boost costs and gains."""
    k = max(_options(params).k)
    table = plots.summary_table(metrics, k)
    curves = {"frozen encoder": frozen_curves, "LoRA encoder": lora_curves}
    return table, plots.comparison_plot(table, k), plots.trade_off_plot(curves)
