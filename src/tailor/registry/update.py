"""Register what became of a champion that has taken new interactions in."""

import logging

import mlflow
import pandas as pd
import plotly.graph_objects as go

from tailor.registry.publish import log_package
from tailor.registry.versions import CHALLENGER, CHAMPION, DECISION, REASONS, REPLACED, git_commit, tag
from tailor.serving.events import EVENTS_UNTIL
from tailor.serving.update import Update
from tailor.types import JsonObject

log = logging.getLogger(__name__)
_KEPT_TAGS = ("model", "seed", "data_hash")


def register_update(update: Update, drift: pd.DataFrame, figure: go.Figure, max_psi: float, name: str) -> JsonObject:
    """Register an updated champion; the alias moves, in one call and last, where scores have not shifted.

    Args:
        update: the model, and what it has taken in.
        drift: columns distribution and psi; the row ``scores`` decides.
        figure: of it, for the run that is open.
        max_psi: the alias moves below it.
        name: in the registry.

    Returns:
        name, version, alias, the version's tags and the counts of the update.
    """
    client = mlflow.MlflowClient()
    psi = dict(zip(drift["distribution"], drift["psi"], strict=True))
    mlflow.log_metrics({f"drift.{key}": value for key, value in psi.items()})
    mlflow.log_figure(figure, "figures/drift.html")
    old = client.get_model_version_by_alias(name, CHAMPION)
    number = str(log_package(update.recommender, name).registered_model_version)
    decision = "promoted" if psi["scores"] < max_psi else "refused"
    reason = f"update of version {old.version}: PSI of scores {psi['scores']:.3f}, limit {max_psi:g}"
    tags = {DECISION: decision, REASONS: reason, "fit_on": "update", "git_commit": git_commit()}
    until = update.recommender.about.get(EVENTS_UNTIL)
    tags |= {} if until is None else {EVENTS_UNTIL: str(until)}
    tags |= {REPLACED: str(old.version)} if decision == "promoted" else {}
    tag(name, number, {key: old.tags[key] for key in _KEPT_TAGS if key in old.tags} | tags)
    alias = CHAMPION if decision == "promoted" else CHALLENGER
    client.set_registered_model_alias(name, alias, number)
    log.info("Version %s: %s (%s)", number, decision, reason)
    return {"name": name, "version": number, "alias": alias} | tags | update.counts
