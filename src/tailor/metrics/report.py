"""The summary people read: one row per model, and two plots."""

import pandas as pd
import plotly.graph_objects as go

from tailor import columns as c

#: Column of the summary -> (split, candidates, item bucket, user bucket, metric).
_HEADLINES = {
    "warm NDCG": (c.TEST, c.WARM, "all", "all", "ndcg"),
    "tail NDCG": (c.TEST, c.WARM, c.TAIL, "all", "ndcg"),
    "cold NDCG": (c.TEST, c.COLD, "all", "all", "ndcg"),
    "mixed NDCG": (c.TEST, c.MIXED, "all", "all", "ndcg"),
    "mixed-cold NDCG": (c.TEST, c.MIXED, c.COLD, "all", "ndcg"),
    "new user, 3 items": (c.TEST, c.WARM, "all", "new_3", "ndcg"),
    "warm recall": (c.TEST, c.WARM, "all", "all", "recall"),
    "coverage": (c.TEST, c.MIXED, "all", "all", "catalog_coverage"),
    "tail coverage": (c.TEST, c.MIXED, "all", "all", "tail_coverage"),
    "APLT": (c.TEST, c.MIXED, "all", "all", "aplt"),
    "novelty (bits)": (c.TEST, c.MIXED, "all", "all", "novelty"),
    "validation warm NDCG": (c.VALIDATION, c.WARM, "all", "all", "ndcg"),
}
_KEYS = ["split", "candidates", "item_bucket", "user_bucket", "metric"]


def summary_table(metrics: pd.DataFrame, k: int) -> pd.DataFrame:
    """Return one row per model, in the order of the ladder, and one column per headline figure at cut-off k."""
    at_k = metrics[metrics["k"] == k].set_index([*_KEYS, "model"])["value"]
    models = list(dict.fromkeys(metrics["model"]))
    table = pd.DataFrame({c.MODEL: models})
    for title, key in _HEADLINES.items():
        table[title] = [float(at_k.get((*key, model), float("nan"))) for model in models]
    return table


def comparison_plot(summary: pd.DataFrame, k: int) -> go.Figure:
    """Draw the accuracy of every model on warm, tail, cold and mixed positives side by side."""
    figure = go.Figure()
    for column in ("warm NDCG", "tail NDCG", "cold NDCG", "mixed NDCG", "mixed-cold NDCG"):
        figure.add_bar(name=column, x=summary[c.MODEL], y=summary[column])
    return figure.update_layout(
        barmode="group",
        title=f"NDCG@{k} on test, full ranking",
        yaxis={"title": f"NDCG@{k}"},
        legend={"orientation": "h"},
    )


def price_plot(prices: dict[str, pd.DataFrame]) -> go.Figure:
    """Draw what exposing cold items costs: mixed NDCG against cold NDCG in mixed lists, by shift, on validation."""
    figure = go.Figure()
    for name, table in prices.items():
        figure.add_scatter(
            x=table["mixed_cold_ndcg"],
            y=table["mixed_ndcg"],
            text=[f"shift {shift:g}" for shift in table["shift"]],
            mode="lines+markers",
            name=name,
        )
    return figure.update_layout(
        title="The price of cold exposure (validation, pseudo-cold B)",
        xaxis={"title": "NDCG of cold items in mixed lists"},
        yaxis={"title": "NDCG of mixed lists"},
    )
