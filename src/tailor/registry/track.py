"""What a run leaves in MLflow beside the model: figures, plots, the report."""

import mlflow
import pandas as pd
import plotly.graph_objects as go

from tailor import columns as c
from tailor.registry.versions import git_commit
from tailor.types import JsonObject

_LOGGED = ("ndcg", "recall", "hit_rate", "catalog_coverage", "tail_coverage", "gini", "arp", "aplt", "novelty")
#: Figures of the data card that runs are compared by.
_OF_THE_CARD = ("users", "items", "items_taken", "interactions", "sparsity", "gini", "largest_share", "short_histories")


def track(metrics: pd.DataFrame, figures: dict[str, go.Figure]) -> JsonObject:
    """Log the long-tail figures of every model, and plots by name, to the run that is open.

    Returns:
        run_id (None where no run is open), n_metrics, git_commit.
    """
    test = metrics[(metrics["split"] == c.TEST) & metrics["metric"].isin(_LOGGED) & metrics["value"].notna()]
    logged = test[test["user_bucket"].isin(["all"]) | test["user_bucket"].str.startswith("new_")]
    names = logged[["model", "candidates", "item_bucket", "user_bucket", "metric"]].agg(".".join, axis=1)
    mlflow.log_metrics(dict(zip(names + "_at_" + logged["k"].astype(str), logged["value"].astype(float), strict=True)))
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"figures/{name}.html")
    run = mlflow.active_run()
    return {"run_id": run.info.run_id if run else None, "n_metrics": len(logged), "git_commit": git_commit()}


def log_report(html: str) -> None:
    """Log the report to the run that is open."""
    mlflow.log_text(html, "report.html")


def log_data_card(card: JsonObject, html: str) -> None:
    """Log the data card, its page and its main figures (``data.users``, …) to the run that is open."""
    mlflow.log_metrics({f"data.{name}": float(card["sizes"][name]) for name in _OF_THE_CARD})
    mlflow.log_dict(card, "data_card.json")
    mlflow.log_text(html, "data_card.html")
