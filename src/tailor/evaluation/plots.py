"""The summary that people read, one row per model, and the plots of a run."""

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import DEFAULT_PLOTLY_COLORS
from plotly.subplots import make_subplots

from tailor import columns as c
from tailor.metrics.base import headlines

_KEYS = ["split", "candidates", "item_bucket", "user_bucket", "metric"]


def summary_table(metrics: pd.DataFrame, k: int) -> pd.DataFrame:
    """Return one row per model, in the order of ``metrics``, and one column per headline figure at cut-off k."""
    at_k = metrics[metrics["k"] == k].set_index([*_KEYS, "model"])["value"]
    models = list(dict.fromkeys(metrics["model"]))
    table = pd.DataFrame({c.MODEL: models})
    for metric, line in headlines():
        key = (line.split, line.candidates, line.item_bucket, line.user_bucket, metric.name)
        table[line.title] = [float(at_k.get((*key, model), float("nan"))) for model in models]
    return table


def comparison_plot(summary: pd.DataFrame, k: int) -> go.Figure:
    """Draw the NDCG of every model on warm, tail, cold and mixed positives side by side."""
    figure = go.Figure()
    for metric, line in headlines():
        if metric.name == "ndcg" and line.compared_as is not None:
            figure.add_bar(name=line.title, x=summary[c.MODEL], y=summary[line.title])
    return figure.update_layout(
        barmode="group",
        title=f"NDCG@{k} on test, full ranking",
        yaxis={"title": f"NDCG@{k}"},
        legend={"orientation": "h"},
    )


#: A legend that leaves room for the titles of the x-axes.
_BELOW = {"orientation": "h", "y": -0.25}
#: Boost -> title, what it gains, what it costs.
_BOOSTS = {
    "cold_boost": ("Cold boost", "NDCG of cold items in mixed lists", "NDCG of mixed lists"),
    "tail_boost": ("Tail boost", "NDCG of tail items in warm lists", "NDCG of warm lists"),
    "popularity_debias": ("Popularity debias", "Catalog coverage of warm lists", "NDCG of warm lists"),
}


def trade_off_plot(curves: dict[str, pd.DataFrame]) -> go.Figure:
    """Draw what each boost costs and gains, by setting, on validation: accuracy against what it exposes.

    Args:
        curves: per encoder a table with boost, value, accuracy, exposure.
    """
    figure = make_subplots(cols=len(_BOOSTS), subplot_titles=[title for title, _, _ in _BOOSTS.values()])
    for column, (boost, (_, exposure, accuracy)) in enumerate(_BOOSTS.items(), start=1):
        for colour, (name, table) in zip(DEFAULT_PLOTLY_COLORS, curves.items(), strict=False):
            rows = table[table["boost"] == boost]
            figure.add_scatter(
                x=rows["exposure"],
                y=rows["accuracy"],
                text=[f"{boost} = {value:g}" for value in rows["value"]],
                mode="lines+markers",
                name=name,
                line={"color": colour},
                showlegend=column == 1,
                row=1,
                col=column,
            )
        figure.update_xaxes(title=exposure, col=column)
        figure.update_yaxes(title=accuracy, col=column)
    return figure.update_layout(title="Trade-off curves of the boosts (validation, pseudo-cold B)", legend=_BELOW)


def calibration_plot(curve: pd.DataFrame) -> go.Figure:
    """Draw the share of cells that were clicked against the mean predicted probability, by group of cells."""
    figure = go.Figure()
    for name, rows in curve.groupby(c.MODEL, sort=False):
        figure.add_scatter(x=rows["predicted"], y=rows["clicked"], mode="lines+markers", name=str(name))
    ends = [curve["predicted"].min(), curve["predicted"].max()]
    figure.add_scatter(x=ends, y=ends, mode="lines", name="perfect", line={"dash": "dot", "color": "grey"})
    return figure.update_layout(
        title="Click probabilities on test: groups with equal numbers of clicks",
        xaxis={"title": "predicted", "type": "log"},
        yaxis={"title": "clicked", "type": "log"},
        legend={"orientation": "h"},
    )


_GAINS = {
    "intra_list_diversity": "intra-list diversity",
    "catalog_coverage": "catalog coverage",
    "tail_ndcg": "NDCG of tail items",
}


def frontier_plot(table: pd.DataFrame) -> go.Figure:
    """Draw NDCG against what re-ranking gains, a line per method; the star is the balance preset."""
    figure = make_subplots(cols=len(_GAINS))
    plain = table[table["method"] == "none"]
    for column, (name, title) in enumerate(_GAINS.items(), start=1):
        methods = table[table["method"] != "none"].groupby("method", sort=False)
        for colour, (method, rows) in zip(DEFAULT_PLOTLY_COLORS, methods, strict=False):
            line = pd.concat([plain, rows])
            figure.add_scatter(
                x=line[name],
                y=line["ndcg"],
                text=[f"{method} {strength:g}" for strength in line["strength"]],
                marker={"symbol": ["star" if chosen else "circle" for chosen in line["balance"]], "size": 9},
                mode="lines+markers",
                name=str(method),
                line={"color": colour},
                showlegend=column == 1,
                row=1,
                col=column,
            )
        figure.update_xaxes(title=title, col=column)
    figure.update_yaxes(title="NDCG", col=1)
    return figure.update_layout(title="Re-ranking mixed lists (test)", legend=_BELOW)
