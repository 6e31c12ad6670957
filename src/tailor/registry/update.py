"""Register what became of a champion that has taken new interactions in."""

import logging
from dataclasses import asdict

import mlflow
import pandas as pd
import plotly.graph_objects as go

from tailor.evaluation.config import DriftLimits
from tailor.evaluation.update_rules import UpdateEvidence, decide, failed
from tailor.registry.publish import log_package
from tailor.registry.versions import CHALLENGER, CHAMPION, DECISION, REASONS, REPLACED, git_commit, tag
from tailor.serving.events import EVENTS_UNTIL
from tailor.serving.update import Update
from tailor.types import JsonObject

log = logging.getLogger(__name__)
_KEPT_TAGS = ("model", "seed", "data_hash")


def register_update(
    update: Update, drift: pd.DataFrame, evidence: UpdateEvidence, figure: go.Figure, limits: DriftLimits, name: str
) -> JsonObject:
    """Register an updated champion; the alias moves, in one call and last, where every rule holds.

    Args:
        update: the model, and what it has taken in.
        drift: columns distribution, psi and chance.
        evidence: the update beside the champion, on new and on old rows.
        figure: of the drift, for the run that is open.
        limits: of the drift.
        name: in the registry.

    Returns:
        name, version, alias, decision, reasons, what failed, the version's tags and the counts of the update.
    """
    client = mlflow.MlflowClient()
    mlflow.log_metrics(_metrics(drift, evidence))
    mlflow.log_figure(figure, "figures/drift.html")
    old = client.get_model_version_by_alias(name, CHAMPION)
    number = str(log_package(update.recommender, name).registered_model_version)
    decided = decide(drift, evidence, limits)
    decision = "promoted" if decided.promoted else "refused"
    reasons = [f"update of version {old.version}", *decided.reasons]
    mlflow.set_tags({DECISION: decision, REASONS: "; ".join(reasons)})
    tags = {DECISION: decision, "fit_on": "update", "git_commit": git_commit()}
    until = update.recommender.about.get(EVENTS_UNTIL)
    tags |= {} if until is None else {EVENTS_UNTIL: str(until)}
    tags |= {REPLACED: str(old.version)} if decided.promoted else {}
    copied = {key: old.tags[key] for key in _KEPT_TAGS if key in old.tags}
    tag(name, number, copied | tags | {REASONS: "; ".join(reasons)})
    alias = CHAMPION if decided.promoted else CHALLENGER
    client.set_registered_model_alias(name, alias, number)
    log.info("Version %s: %s (%s)", number, decision, "; ".join(failed(reasons) or ["every rule holds"]))
    return {"name": name, "version": number, "alias": alias} | tags | {REASONS: reasons} | update.counts


def _metrics(drift: pd.DataFrame, evidence: UpdateEvidence) -> dict[str, float]:
    """Return what is logged to the run; what could not be measured is left out."""
    metrics = {f"drift.{key}": float(psi) for key, psi in zip(drift["distribution"], drift["psi"], strict=True)}
    for label, comparison in (("new_rows", evidence.new_rows), ("forgotten", evidence.old_rows)):
        metrics |= {f"{label}.{key}": float(value) for key, value in asdict(comparison).items()}
    metrics["forgotten.overlap"] = evidence.overlap
    return {key: value for key, value in metrics.items() if pd.notna(value) and abs(value) != float("inf")}
