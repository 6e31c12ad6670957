"""What a run leaves in MLflow beside the model: tables, the dataset, what was chosen, plots, the report."""

from collections.abc import Iterator

import mlflow
import mlflow.data.pandas_dataset
import pandas as pd
import plotly.graph_objects as go

from tailor.registry.versions import git_commit
from tailor.types import JsonObject, Parameters

#: Figures of the data card that runs are compared by.
_OF_THE_CARD = ("users", "items", "items_taken", "interactions", "sparsity", "gini", "largest_share", "short_histories")
#: Characters of a digest and of a parameter that MLflow keeps.
_MAX_DIGEST, _MAX_PARAM = 36, 6000


def track(
    tables: dict[str, pd.DataFrame],
    split: pd.DataFrame,
    fingerprint: dict[str, str],
    chosen: JsonObject,
    catalogue: str,
) -> JsonObject:
    """Log tables of all models, the split as the dataset, and what validation chose to the run that is open.

    Args:
        tables: by name; each is an artifact ``tables/name.csv``, which MLflow's page shows.
        split: user_id, item_id, split.
        fingerprint: data_hash and split_hash; the latter is the dataset's digest.
        chosen: as of :func:`tailor.evaluation.chosen.describe_choice`; logged as parameters ``chosen.*``.
        catalogue: name of the dataset.

    Returns:
        run_id (None where no run is open), git_commit, dataset (name and digest).
    """
    for name, table in tables.items():
        mlflow.log_text(table.to_csv(index=False), f"tables/{name}.csv")
    mlflow.log_dict(chosen, "chosen.json")
    mlflow.log_params({f"chosen.{name}": str(value)[:_MAX_PARAM] for name, value in _flat(chosen)})
    dataset = mlflow.data.pandas_dataset.from_pandas(
        split, name=catalogue, digest=fingerprint["split_hash"][:_MAX_DIGEST]
    )
    mlflow.log_input(dataset, context="train, validation, test", tags={"data_hash": fingerprint["data_hash"]})
    run = mlflow.active_run()
    known = {"name": dataset.name, "digest": dataset.digest}
    return {"run_id": run.info.run_id if run else None, "git_commit": git_commit(), "dataset": known}


def log_report(html: str, figures: dict[str, go.Figure]) -> None:
    """Log the report and each of its plots, as a page and as JSON, to the run that is open."""
    mlflow.log_text(html, "report.html")
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"figures/{name}.html")
        mlflow.log_text(str(figure.to_json()), f"figures/{name}.json")


def log_data_card(card: JsonObject, html: str) -> None:
    """Log the data card, its page and its main figures (``data.users``, …) to the run that is open."""
    mlflow.log_metrics({f"data.{name}": float(card["sizes"][name]) for name in _OF_THE_CARD})
    mlflow.log_dict(card, "data_card.json")
    mlflow.log_text(html, "data_card.html")


def log_experiment(table: pd.DataFrame, figure: go.Figure, verdict: str) -> None:
    """Log what an experiment says to the run that is open: the table, ``experiment.<metric>.*``, a figure, a sentence.

    Args:
        table: as of :func:`tailor.evaluation.experiment_report.metric_table`.
        figure: how the difference went.
        verdict: in one sentence; the run's tag ``verdict``.
    """
    mlflow.log_text(table.to_csv(index=False), "tables/experiment_metrics.csv")
    for row in table.to_dict("records"):
        names = ("difference", "sequence_low", "sequence_high", "ratio_p")
        mlflow.log_metrics({f"experiment.{row['metric']}.{name}": float(row[name]) for name in names})
    mlflow.log_figure(figure, "figures/experiment.html")
    mlflow.set_tag("verdict", verdict)


def _flat(nested: Parameters, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield dotted names and values; weights of short histories are in the JSON alone."""
    for key, value in nested.items():
        if isinstance(value, dict):
            if not key.startswith("few_shot_"):
                yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
