"""Nodes that put the report together."""

from typing import Any

import mlflow
import pandas as pd
import plotly.graph_objects as go

from tailor import columns as c
from tailor.config import parse
from tailor.evaluation import report as page
from tailor.evaluation import sample_users as people
from tailor.evaluation import seeds
from tailor.evaluation.protocol import EvalProtocol
from tailor.models.base import Engine
from tailor.options import EvaluationOptions

Engines = dict[str, Engine[Any]]


def explain_sample_users(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
    recommendations: pd.DataFrame,
    params: dict[str, Any],
    seed: int,
) -> list[dict[str, Any]]:
    """Tell of three users what the registered model gives them, and why."""
    name = parse(EvaluationOptions, params, "evaluation").registered
    scorer: Any = {"hybrid_frozen": frozen, "hybrid_lora": lora}[name]["hybrid"]
    mine = recommendations.query("model == @name and split == 'test' and candidates == 'mixed'")
    titles = items[c.TITLE] if c.TITLE in items else items[c.ITEM]
    return people.tell(scorer, users, items, titles, protocol.history, mine, seed)


def collect_figures(
    comparison: go.Figure, trade_off: go.Figure, frontier: go.Figure, calibration: go.Figure, training: go.Figure
) -> dict[str, go.Figure]:
    """Put the plots side by side."""
    return {
        "comparison": comparison,
        "trade_off": trade_off,
        "frontier": frontier,
        "calibration": calibration,
        "training": training,
    }


def note_seed(
    summary: pd.DataFrame, fingerprint: dict[str, str], tracked: dict[str, Any], parameters: dict[str, Any]
) -> pd.DataFrame:
    """Keep this seed's summary beside those of other seeds with the same recipe on the same data."""
    same = fingerprint["data_hash"] + str(tracked["git_commit"])
    return summary.assign(**{seeds.SEED: parameters["seed"], seeds.RECIPE: seeds.recipe(parameters, same)})


def collect_tables(
    clicks: pd.DataFrame, ratings: pd.DataFrame, quality: pd.DataFrame, data_summary: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Put the smaller tables side by side."""
    return {"clicks": clicks, "ratings": ratings, "quality": quality, "data_summary": data_summary}


def write_report(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    metrics: pd.DataFrame,
    seed_summaries: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    told: list[dict[str, Any]],
    balance: dict[str, Any],
    figures: dict[str, go.Figure],
    promotion: dict[str, Any],
    params: dict[str, Any],
) -> str:
    """Build the page and log it to the run."""
    o = parse(EvaluationOptions, params, "evaluation")
    provenance = {name: str(value) for name, value in promotion.items()}
    html = page.build(
        page.Material(
            registered=o.registered,
            k=max(o.k),
            summary=summary,
            comparisons=comparisons,
            metrics=metrics,
            seeds=seeds.spread(seed_summaries),
            sample_users=told,
            balance=balance,
            figures=figures,
            provenance=provenance,
            **tables,
        )
    )
    mlflow.log_text(html, "report.html")
    return html
