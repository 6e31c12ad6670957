"""Nodes of ``update``."""

import logging
from typing import Any

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from mlflow.pyfunc import PyFuncModel

from tailor import columns as c
from tailor.config import parse
from tailor.data.cleaning import clean_interactions, columns_of_update
from tailor.data.config import DataProcessingOptions
from tailor.data.quality import QualityReport
from tailor.evaluation.config import UpdateOptions
from tailor.evaluation.drift import SHIFTED, STABLE
from tailor.evaluation.update_rules import UpdateEvidence
from tailor.registry import update as registry
from tailor.serving.recommender import Recommender
from tailor.serving.update import Update, drift, with_interactions
from tailor.serving.update_check import check_update
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)


def read_new(
    raw: pd.DataFrame, champion: PyFuncModel, params: Parameters, strengths: Parameters | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Repair and count the new rows, by the catalogue's mapping; rows of items that the champion lacks are dropped.

    ``cleaning.until`` is the date of the catalogue; new rows may be later. ``strengths``: of kinds of behaviour, as a
    search chose them.
    """
    report, options = QualityReport(), parse(DataProcessingOptions, params, "data_processing")
    columns = columns_of_update(raw, options)
    items = pd.DataFrame({c.ITEM: _recommender(champion).item_ids.astype(str)})
    cleaning = options.cleaning.model_copy(update={"until": None})
    events = options.events.with_weights(strengths or {})
    cleaned = clean_interactions(raw, items, columns, cleaning, report, "new_interactions", events=events)
    return cleaned.reset_index(drop=True), report.to_frame(), report.accounts()


def fold_in(
    champion: PyFuncModel, interactions: pd.DataFrame, params: Parameters, seed: int
) -> tuple[Update, pd.DataFrame, go.Figure]:
    """Take the rows in; tell how far distributions have moved."""
    options, model = parse(UpdateOptions, params, "update"), _recommender(champion)
    update = with_interactions(model, interactions, options.sweeps)
    table = drift(model, update, interactions, options.sample_users, options.k, seed)
    figure = px.bar(table, x="distribution", y="psi", color="interpretation", title="Drift: population stability index")
    for line in (STABLE, SHIFTED):
        figure.add_hline(y=line, line_dash="dot")
    log.info("Took in: %s", ", ".join(f"{count} {name}" for name, count in update.counts.items()))
    return update, table, figure


def check(champion: PyFuncModel, interactions: pd.DataFrame, params: Parameters, seed: int) -> UpdateEvidence:
    """Update the champion by most of the rows; compare it with the champion on the others, and on what is old."""
    options, model = parse(UpdateOptions, params, "update"), _recommender(champion)
    return check_update(model, interactions, options.sweeps, options.sample_users, options.k, options.holdout, seed)


def register(
    update: Update,
    drift_table: pd.DataFrame,
    evidence: UpdateEvidence,
    figure: go.Figure,
    params: Parameters,
    model_name: str,
) -> JsonObject:
    """Register what became of the champion; the alias moves where every rule holds."""
    limits = parse(UpdateOptions, params, "update").max_psi
    return registry.register_update(update, drift_table, evidence, figure, limits, model_name)


def _recommender(champion: PyFuncModel) -> Recommender:
    model: Any = champion.unwrap_python_model()
    recommender: Recommender = model.recommender
    return recommender
