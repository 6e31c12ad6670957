"""What MLflow says of a registered version: its figures, its card, and descriptions of model, run and experiment."""

import math
import time
from dataclasses import dataclass

import mlflow
import pandas as pd
from mlflow.entities import Metric
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from tailor.evaluation import groups, headlines, model_card
from tailor.evaluation.user_sample import describe_sample
from tailor.registry.versions import logged_model_id
from tailor.types import JsonObject

#: Figures of tuning the language model that are logged by epoch, under the names they have in MLflow.
_BY_EPOCH = {"loss": "lm.loss", "cold_ndcg": "lm.cold_ndcg"}


@dataclass(frozen=True)
class Measured:
    """Tables that the run has left."""

    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    summary: pd.DataFrame
    lm_history: pd.DataFrame
    """epoch, loss, cold_ndcg."""
    data_summary: pd.DataFrame
    k: int
    """Cut-off of the headline figures."""
    group_gaps: pd.DataFrame
    user_quantiles: pd.DataFrame
    """Both as of :func:`tailor.evaluation.groups.measure_groups`."""
    max_users: int | None = None
    """Users that figures are of, at most; None: all."""


def describe(registered: JsonObject, dataset: JsonObject, measured: Measured) -> str:
    """Log the headline figures with the version's model and dataset; write its card and all descriptions.

    Args:
        registered: as of :func:`tailor.registry.publish.register`.
        dataset: name and digest of the dataset of the run.
        measured: tables of the run.

    Returns:
        The card, in Markdown.
    """
    figures = headlines.headline_figures(measured.metrics, registered["model"], measured.k)
    best = headlines.best_baselines(measured.comparisons, measured.summary)
    sample = describe_sample(measured.data_summary, measured.max_users)
    card = model_card.build(
        model_card.Card(
            registered,
            best,
            figures,
            measured.data_summary,
            measured.k,
            measured.group_gaps,
            measured.user_quantiles,
            sample,
        )
    )
    client, name, version = mlflow.MlflowClient(), registered["name"], registered["version"]
    client.update_model_version(name, version, description=card)
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, description=_OF_THE_MODEL)
    if registered["run_id"]:
        gaps = groups.figures_of_gaps(measured.group_gaps, registered["model"])
        _log_metrics(registered, dataset, figures | headlines.ratios(best) | gaps)
        _log_history(registered["run_id"], measured.lm_history)
        _note(registered, best)
    return card


def _log_metrics(registered: JsonObject, dataset: JsonObject, figures: dict[str, float]) -> None:
    client, run_id = mlflow.MlflowClient(), registered["run_id"]
    model_id = logged_model_id(registered["name"], registered["version"])
    about = {"dataset_name": dataset["name"], "dataset_digest": dataset["digest"]}
    metrics = [
        Metric(name, value, _now(), 0, model_id=model_id, run_id=run_id, **about) for name, value in figures.items()
    ]
    client.log_batch(run_id, metrics=metrics)


def _log_history(run_id: str, history: pd.DataFrame) -> None:
    """Log each epoch as a step; the client is asked, so that MLflow adds none of it to the run's models."""
    rows = history.to_dict(orient="records")
    metrics = [
        Metric(name, float(row[column]), _now(), int(row["epoch"]))
        for row in rows
        for column, name in _BY_EPOCH.items()
        if math.isfinite(row[column])
    ]
    mlflow.MlflowClient().log_batch(run_id, metrics=metrics)


def _note(registered: JsonObject, best: pd.DataFrame) -> None:
    """Describe the run, and its experiment if nobody has yet."""
    client, run_id = mlflow.MlflowClient(), registered["run_id"]
    lines = [f"Registered **{registered['name']}** version {registered['version']} ({registered['model']})."]
    lines += [
        f"* {row['title']} {row['figure']:.4f}, {row['against']} {row['baseline_figure']:.4f}: {row['verdict']}"
        for row in best.to_dict(orient="records")
    ]
    client.set_tag(run_id, MLFLOW_RUN_NOTE, "\n".join(lines))
    experiment = client.get_experiment(client.get_run(run_id).info.experiment_id)
    if MLFLOW_RUN_NOTE not in experiment.tags:
        client.set_experiment_tag(experiment.experiment_id, MLFLOW_RUN_NOTE, _OF_THE_EXPERIMENT)


def _now() -> int:
    return int(time.time() * 1000)


_OF_THE_MODEL = """Recommenders for the long tail, made by Tailor. The alias `champion` is what production should run,
`challenger` the latest that was refused. The description of a version is its model card; tags say what was decided."""

_OF_THE_EXPERIMENT = """Runs of Tailor on one catalogue. Metrics are the headline figures of the registered model at the
largest k, `group_gap.*` from its best to its worst group of users, `ratio.*` to the best baseline with 95 % bounds
(`.low`, `.high`), `lm.*` by epoch, `data.*` of the data. All models and metrics: the artifacts `tables/` and
`report.html`. What validation chose: the parameters `chosen.*`."""
