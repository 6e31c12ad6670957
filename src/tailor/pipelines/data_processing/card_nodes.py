"""Nodes that describe the data: the learning curve, the data card and its page."""

import logging
from dataclasses import asdict

import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.data import card as data_card
from tailor.data.card_warnings import warn
from tailor.data.config import DataProcessingOptions
from tailor.data.interactions import positive_rows
from tailor.evaluation import card_page, costs, learning_curve
from tailor.evaluation.plan import plan_lines
from tailor.lm.encoder import slowness
from tailor.options import ProjectOptions
from tailor.registry import track
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)


def keep_choosing_rows(interactions: pd.DataFrame) -> pd.DataFrame:
    """Keep train and validation rows: the learning curve is fitted and measured on these alone."""
    return interactions[interactions[c.SPLIT].isin([c.TRAIN, c.VALIDATION])]


def draw_learning_curve(
    rows: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, params: Parameters, seed: int
) -> pd.DataFrame:
    """Measure a cheap model on parts of train; no rows where ``data_processing.card.learning_curve`` is false."""
    if not parse(DataProcessingOptions, params, "data_processing").card.learning_curve:
        return learning_curve.no_curve()
    return learning_curve.learning_curve(rows, users, items, seed)


def describe_data(
    interactions: pd.DataFrame,
    items: pd.DataFrame,
    curve: pd.DataFrame,
    project: Parameters,
    **tables: pd.DataFrame,
) -> JsonObject:
    """Put the data card together; ``tables`` are summary, quality and accounts."""
    options = parse(ProjectOptions, project, "")
    lm, hybrid, lists = options.lm_finetuning, options.hybrid_cf, options.evaluation
    features, encoder = options.feature_engineering, lm.encoder
    rows = positive_rows(interactions)
    card = data_card.describe(rows, items, tables, features.text, encoder.max_length, features.user_text)
    settings = len(lists.frontier.methods) * len(lists.frontier.strengths)
    work = costs.Workload.of(card, lm, hybrid, lists, settings, lists.frontier.max_users, slowness())
    estimates = costs.estimate(work)
    for line in plan_lines(estimates, work):
        log.info(line)
    return card.to_json() | {
        "warnings": warn(card, encoder.base_model),
        "costs": [asdict(cost) for cost in estimates],
        "machine": costs.MACHINE,
        "learning_curve": curve.to_dict(orient="records"),
    }


def write_data_card(card: JsonObject, model_name: str) -> str:
    """Build the page of the data card and log both to the run."""
    html = card_page.build(card, f"Data card: {model_name}")
    track.log_data_card(card, html)
    return html
