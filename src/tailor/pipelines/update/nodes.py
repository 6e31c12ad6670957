"""Nodes of ``update``."""

import logging
from typing import Any

import mlflow
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from mlflow.pyfunc import PyFuncModel

from tailor import columns as c
from tailor.config import parse
from tailor.data.cleaning import QualityReport, clean_interactions
from tailor.data.config import CleaningOptions, ColumnOptions
from tailor.evaluation.drift import SHIFTED, STABLE
from tailor.options import UpdateOptions
from tailor.registry.promote import DECISION, REASONS, REPLACED
from tailor.registry.publish import CHALLENGER, CHAMPION, git_commit, log_package, tag
from tailor.serving.recommender import Recommender
from tailor.serving.update import Update, drift, with_interactions

log = logging.getLogger(__name__)


def read_new(raw: pd.DataFrame, champion: PyFuncModel, cleaning: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Repair and count the new rows; items that the champion does not know are dropped and counted."""
    report, options = QualityReport(), parse(CleaningOptions, cleaning, "data_processing.cleaning")
    carried = (c.USER, c.ITEM, c.TIMESTAMP, c.VALUE)
    columns = ColumnOptions(interactions={name: name for name in carried if name in raw or name in carried[:2]})
    items = pd.DataFrame({c.ITEM: _recommender(champion).item_ids.astype(str)})
    return clean_interactions(raw, items, columns, options, report), report.to_frame()


def fold_in(
    champion: PyFuncModel, interactions: pd.DataFrame, params: dict[str, Any], seed: int
) -> tuple[Update, pd.DataFrame, go.Figure]:
    """Take the rows in; tell how far distributions have moved."""
    o, served = parse(UpdateOptions, params, "update"), _recommender(champion)
    update = with_interactions(served, interactions, o.sweeps)
    table = drift(served, update, interactions, o.sample_users, o.k, seed)
    figure = px.bar(table, x="distribution", y="psi", color="reading", title="Drift: population stability index")
    for line in (STABLE, SHIFTED):
        figure.add_hline(y=line, line_dash="dot")
    log.info("Took in: %s", ", ".join(f"{count} {name}" for name, count in update.counts.items()))
    return update, table, figure


def register(
    update: Update, table: pd.DataFrame, figure: go.Figure, params: dict[str, Any], name: str
) -> dict[str, Any]:
    """Register what became of the champion; the alias moves, in one call and last, where scores have not shifted."""
    o, client = parse(UpdateOptions, params, "update"), mlflow.MlflowClient()
    psi = dict(zip(table["distribution"], table["psi"], strict=True))
    mlflow.log_metrics({f"drift.{key}": value for key, value in psi.items()})
    mlflow.log_figure(figure, "figures/drift.html")
    old = client.get_model_version_by_alias(name, CHAMPION)
    number = str(log_package(update.served, name).registered_model_version)
    promoted = psi["scores"] < o.max_psi
    decision = "promoted" if promoted else "refused"
    reason = f"update of version {old.version}: PSI of scores {psi['scores']:.3f}, limit {o.max_psi:g}"
    told = {DECISION: decision, REASONS: reason, "fit_on": "update", "git_commit": git_commit()}
    told |= {REPLACED: str(old.version)} if promoted else {}
    kept = {key: old.tags[key] for key in ("model", "seed", "data_hash") if key in old.tags}
    tag(name, number, kept | told)
    client.set_registered_model_alias(name, CHAMPION if promoted else CHALLENGER, number)
    log.info("Version %s: %s (%s)", number, decision, reason)
    return {"name": name, "version": number, "alias": CHAMPION if promoted else CHALLENGER} | told | update.counts


def _recommender(champion: PyFuncModel) -> Recommender:
    model: Any = champion.unwrap_python_model()
    found: Recommender = model.recommender
    return found
