"""Register what became of a champion that has taken new interactions in."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict

import mlflow
import pandas as pd
import plotly.graph_objects as go
from mlflow.entities.model_registry import ModelVersion

from tailor.data.people import SuppressionList
from tailor.errors import BadInputError
from tailor.evaluation.config import DriftLimits
from tailor.evaluation.promotion import Decision
from tailor.evaluation.update_rules import UpdateEvidence, decide, failed
from tailor.registry.publish import log_package
from tailor.registry.versions import (
    CHALLENGER,
    CHAMPION,
    DECISION,
    REASONS,
    REPLACED,
    delete_version,
    git_commit,
    logged_model_id,
    tag,
)
from tailor.serving.events import EVENTS_UNTIL
from tailor.serving.update import Update
from tailor.types import JsonObject

log = logging.getLogger(__name__)
_KEPT_TAGS = ("model", "seed", "data_hash")


def register_update(
    update: Update,
    drift: pd.DataFrame,
    evidence: UpdateEvidence,
    figure: go.Figure,
    limits: DriftLimits,
    name: str,
    suppressed: Callable[[], SuppressionList] = SuppressionList,
) -> JsonObject:
    """Register an updated champion; the alias moves, in one call and last, where every rule holds.

    Who is suppressed is read again before the package is made, before the alias moves and after it has moved. An update
    that holds one of these people is made again without them, and the version that held them is deleted. So whoever was
    suppressed before the last look is in no version that stays, and whoever is suppressed later is taken out of this
    one by the pipeline ``forget``, which finds it as champion.

    Args:
        update: the model, and what it was made of.
        drift: columns distribution, psi and chance.
        evidence: the update beside the champion, on new and on old rows.
        figure: of the drift, for the run that is open.
        limits: of the drift.
        name: in the registry.
        suppressed: reads the suppression list as it is now.

    Returns:
        name, version, alias, decision, reasons, what failed, the version's tags and the counts of the update.

    Raises:
        BadInputError: all rows are of people who were suppressed meanwhile.
    """
    mlflow.log_metrics(_metrics(drift, evidence))
    mlflow.log_figure(figure, "figures/drift.html")
    old, decided = mlflow.MlflowClient().get_model_version_by_alias(name, CHAMPION), decide(drift, evidence, limits)
    numbers = list[str]()
    try:
        outcome = _register_last(update, decided, old, numbers, suppressed)
    except BadInputError:
        _withdraw(old, numbers)
        raise
    for number in numbers[:-1]:
        delete_version(name, number)
        log.info("Version %s is deleted: it held people who were suppressed while it was made", number)
    return outcome


def _register_last(
    update: Update,
    decided: Decision,
    old: ModelVersion,
    numbers: list[str],
    suppressed: Callable[[], SuppressionList],
) -> JsonObject:
    """Register versions until one holds nobody of the list as it is then; their numbers join ``numbers``."""
    while True:
        update = update.leaving_out(suppressed())
        numbers.append(str(log_package(update.recommender, old.name).registered_model_version))
        if update.holds(suppressed()):
            continue
        outcome = _published(update, numbers[-1], _if_it_stands(decided, update, old, numbers), old)
        if not update.holds(suppressed()):
            return outcome


def _withdraw(old: ModelVersion, numbers: Sequence[str]) -> None:
    """Make the champion what it was, and delete the versions that were made."""
    client = mlflow.MlflowClient()
    if str(client.get_model_version_by_alias(old.name, CHAMPION).version) in numbers:
        client.set_registered_model_alias(old.name, CHAMPION, old.version)
    for number in numbers:
        delete_version(old.name, number)


def _if_it_stands(decided: Decision, update: Update, old: ModelVersion, ours: Sequence[str]) -> Decision:
    """Refuse an update of a champion that is none any more: it would undo what made the one that answers now."""
    now = mlflow.MlflowClient().get_model_version_by_alias(old.name, CHAMPION)
    made_of = logged_model_id(old.name, old.version)
    is_of_old = None in (update.model_id, made_of) or update.model_id == made_of
    if is_of_old and str(now.version) in (str(old.version), *ours):
        return decided
    reason = f"fails: version {now.version} became the champion while this update of another one was made; run it again"
    return Decision(False, [reason, *decided.reasons])


def _published(update: Update, number: str, decided: Decision, old: ModelVersion) -> JsonObject:
    """Tag a version and give it its alias; return what :func:`register_update` does. ``old`` was the champion."""
    name = old.name
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
    mlflow.MlflowClient().set_registered_model_alias(name, alias, number)
    log.info("Version %s: %s (%s)", number, decision, "; ".join(failed(reasons) or ["every rule holds"]))
    return {"name": name, "version": number, "alias": alias} | tags | {REASONS: reasons} | update.counts


def _metrics(drift: pd.DataFrame, evidence: UpdateEvidence) -> dict[str, float]:
    """Return what is logged to the run; what could not be measured is left out."""
    metrics = {f"drift.{key}": float(psi) for key, psi in zip(drift["distribution"], drift["psi"], strict=True)}
    for label, comparison in (("new_rows", evidence.new_rows), ("forgotten", evidence.old_rows)):
        metrics |= {f"{label}.{key}": float(value) for key, value in asdict(comparison).items()}
    metrics["forgotten.overlap"] = evidence.overlap
    return {key: value for key, value in metrics.items() if pd.notna(value) and abs(value) != float("inf")}
