"""The summary people read: one row per model, and two plots."""

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import DEFAULT_PLOTLY_COLORS
from plotly.subplots import make_subplots

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


#: A legend that leaves room for the titles of the x-axes.
_BELOW = {"orientation": "h", "y": -0.25}
_DIALS = {
    "cold_boost": ("Cold exposure", "NDCG of cold items in mixed lists", "NDCG of mixed lists"),
    "tail_boost": ("Tail weight", "NDCG of tail items in warm lists", "NDCG of warm lists"),
    "popularity_debias": ("Personal weight", "Catalog coverage of warm lists", "NDCG of warm lists"),
}


def price_plot(prices: dict[str, pd.DataFrame]) -> go.Figure:
    """Draw what each boost costs: accuracy against the NDCG of the items it lifts, by setting, on validation."""
    figure = make_subplots(cols=len(_DIALS), subplot_titles=[title for title, _, _ in _DIALS.values()])
    for column, (boost, (_, exposed, accuracy)) in enumerate(_DIALS.items(), start=1):
        for colour, (name, table) in zip(DEFAULT_PLOTLY_COLORS, prices.items(), strict=False):
            rows = table[table["boost"] == boost]
            figure.add_scatter(
                x=rows["exposed"],
                y=rows["accuracy"],
                text=[f"{boost} = {value:g}" for value in rows["value"]],
                mode="lines+markers",
                name=name,
                line={"color": colour},
                showlegend=column == 1,
                row=1,
                col=column,
            )
        figure.update_xaxes(title=exposed, col=column)
        figure.update_yaxes(title=accuracy, col=column)
    return figure.update_layout(title="The price of the boosts (validation, pseudo-cold B)", legend=_BELOW)


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
    """Draw NDCG against what re-ranking wins, a line per method; the star is the balance preset."""
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
