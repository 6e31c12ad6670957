"""Nodes that put the report together."""

from typing import Any

import mlflow
import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.cf.base import Engine
from tailor.options import EvaluationOptions, parse
from tailor.reporting import page, people

Engines = dict[str, Engine[Any]]


def tell_people(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    train: sparse.csr_matrix,
    recommendations: pd.DataFrame,
    params: dict[str, Any],
    seed: int,
) -> list[dict[str, Any]]:
    """Tell of three users what the registered model gives them, and why."""
    name = parse(EvaluationOptions, params, "evaluation").registered
    scorer: Any = {"hybrid_frozen": frozen, "hybrid_lora": lora}[name]["hybrid"]
    mine = recommendations.query("model == @name and split == 'test' and candidates == 'mixed'")
    titles = items[c.TITLE] if c.TITLE in items else items[c.ITEM]
    return people.tell(scorer, users, items, titles, train, mine, seed)


def collect_figures(
    comparison: go.Figure, prices: go.Figure, frontier: go.Figure, calibration: go.Figure, training: go.Figure
) -> dict[str, go.Figure]:
    """Put the plots side by side."""
    return {
        "comparison": comparison,
        "prices": prices,
        "frontier": frontier,
        "calibration": calibration,
        "training": training,
    }


def write_report(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    metrics: pd.DataFrame,
    clicks: pd.DataFrame,
    quality: pd.DataFrame,
    data_summary: pd.DataFrame,
    told: list[dict[str, Any]],
    balance: dict[str, Any],
    figures: dict[str, go.Figure],
    promotion: dict[str, Any],
    params: dict[str, Any],
) -> str:
    """Build the page and log it to the run."""
    o = parse(EvaluationOptions, params, "evaluation")
    provenance = {name: str(value) for name, value in promotion.items()}
    tables = (summary, comparisons, metrics, clicks, quality, data_summary)
    html = page.build(page.Material(o.registered, max(o.k), *tables, told, balance, figures, provenance))
    mlflow.log_text(html, "report.html")
    return html
