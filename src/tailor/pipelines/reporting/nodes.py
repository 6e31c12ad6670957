"""Nodes that put the report together."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.evaluation import report, sample_users, seeds
from tailor.evaluation.protocol import test_protocol
from tailor.models.base import Engine
from tailor.options import EvaluationOptions
from tailor.registry import track

Engines = dict[str, Engine[Any]]
Matrix = sparse.csr_matrix


def note_seed(
    summary: pd.DataFrame, fingerprint: dict[str, str], tracked: dict[str, Any], parameters: dict[str, Any]
) -> pd.DataFrame:
    """Keep this seed's summary beside those of other seeds with the same recipe on the same data."""
    same = fingerprint["data_hash"] + str(tracked["git_commit"])
    return summary.assign(**{seeds.SEED: parameters["seed"], seeds.RECIPE: seeds.recipe(parameters, same)})


def explain_sample_users(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    recommendations: pd.DataFrame,
    params: dict[str, Any],
    seed: int,
    **matrices: Matrix,
) -> list[dict[str, Any]]:
    """Explain to three users what the registered model gives them; ``matrices`` is what ``test_protocol`` takes."""
    name = parse(EvaluationOptions, params, "evaluation").registered
    scorer: Any = {"hybrid_frozen": frozen, "hybrid_lora": lora}[name]["hybrid"]
    lists = recommendations.query("model == @name and split == 'test' and candidates == 'mixed'")
    titles = items[c.TITLE] if c.TITLE in items else items[c.ITEM]
    return sample_users.tell(scorer, users, items, titles, test_protocol(items, **matrices).history, lists, seed)


def collect_figures(**figures: go.Figure) -> dict[str, go.Figure]:
    """Put the plots side by side, by name."""
    return figures


def collect_tables(**tables: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Put the tables side by side, by name."""
    return tables


def write_report(
    tables: dict[str, pd.DataFrame],
    seed_summaries: pd.DataFrame,
    examples: list[dict[str, Any]],
    balance: dict[str, Any],
    figures: dict[str, go.Figure],
    promotion: dict[str, Any],
    params: dict[str, Any],
) -> str:
    """Build the page and log it to the run."""
    options = parse(EvaluationOptions, params, "evaluation")
    material = report.Material(
        registered=options.registered,
        k=max(options.k),
        seeds=seeds.spread(seed_summaries),
        people=examples,
        balance=balance,
        figures=figures,
        provenance={name: str(value) for name, value in promotion.items()},
        **tables,
    )
    html = report.build(material)
    track.log_report(html)
    return html
