"""Nodes that put the report together."""

from typing import Unpack

import pandas as pd
import plotly.graph_objects as go

from tailor.config import parse
from tailor.data.domains import domain_masks
from tailor.evaluation import chosen, report, sample_users, seeds
from tailor.evaluation.protocol import TestRows, test_protocol
from tailor.evaluation.ranking import LazyTables
from tailor.evaluation.user_sample import describe_sample
from tailor.hybrid.scorer import by_encoder
from tailor.models.base import FittedModel
from tailor.options import EvaluationOptions
from tailor.registry import track
from tailor.serving.champion import load_version
from tailor.serving.visit import visit
from tailor.types import JsonObject, Parameters

Models = dict[str, FittedModel]


def note_seed(
    summary: pd.DataFrame, fingerprint: dict[str, str], tracked: JsonObject, parameters: Parameters
) -> pd.DataFrame:
    """Keep this seed's summary beside those of other seeds with the same recipe on the same data."""
    same = fingerprint["data_hash"] + str(tracked["git_commit"])
    return summary.assign(**{seeds.SEED: parameters["seed"], seeds.RECIPE: seeds.recipe(parameters, same)})


def explain_sample_users(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    test_lists: LazyTables,
    params: Parameters,
    seed: int,
    **known: Unpack[TestRows],
) -> list[JsonObject]:
    """Explain to three users what the registered model gives them; ``known`` is what ``test_protocol`` takes."""
    name = parse(EvaluationOptions, params, "evaluation").registered
    scorer = by_encoder(frozen, lora)[name]
    lists = test_lists[name]().query("candidates == 'mixed'")
    histories = test_protocol(items, **known).histories
    return sample_users.describe_users(scorer, users, items, histories, lists, seed)


def tabulate_boosts(frozen: Models, lora: Models, items: pd.DataFrame, name: str) -> pd.DataFrame:
    """Say where the boosts of the registered model stand in each domain; no rows where there is one."""
    return chosen.tabulate_points(by_encoder(frozen, lora)[name], list(domain_masks(items)))


def walk_visit(registered: JsonObject) -> list[JsonObject]:
    """Walk through a visitor's first minutes with the registered model, as it is served."""
    return visit(load_version(registered["name"], registered["version"]))


def collect_figures(**figures: go.Figure) -> dict[str, go.Figure]:
    """Put the plots side by side, by name."""
    return figures


def collect_tables(**tables: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Put the tables side by side, by name."""
    return tables


def write_report(
    tables: dict[str, pd.DataFrame],
    seed_summaries: pd.DataFrame,
    examples: list[JsonObject],
    visited: list[JsonObject],
    balance: JsonObject,
    figures: dict[str, go.Figure],
    promotion: JsonObject,
    params: Parameters,
) -> str:
    """Build the page, and log it and its figures to the run."""
    options = parse(EvaluationOptions, params, "evaluation")
    material = report.Material(
        registered=options.registered,
        fit_on=options.fit_on,
        k=max(options.k),
        seeds=seeds.spread(seed_summaries),
        sample_users=examples,
        visit=visited,
        balance=balance,
        figures=figures,
        provenance={name: str(value) for name, value in promotion.items()},
        sample=describe_sample(tables["data_summary"], options.max_users),
        **tables,
    )
    html = report.build(material)
    track.log_report(html, report.all_figures(material))
    return html
