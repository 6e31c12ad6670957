"""The summary that people read, one row per model, and the plots of a run."""

from itertools import cycle

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


#: Pixels of a row with a model's name, of what stands around the rows, and of one panel of several.
_ROW, _AROUND, _PANEL = 26, 130, 330
_SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "x", "star", "pentagon")


def name_rows(figure: go.Figure, models: list[str]) -> go.Figure:
    """Give every model a row with its name, the first one at the top: no name is left out, however many there are."""
    return figure.update_yaxes(
        categoryorder="array",
        categoryarray=models,
        autorange="reversed",
        tickmode="array",
        tickvals=models,
        ticktext=models,
        title=None,
    ).update_layout(height=_AROUND + _ROW * len(models))


def comparison_plot(summary: pd.DataFrame, k: int) -> go.Figure:
    """Draw the NDCG of every model on warm, tail, cold and mixed positives, a row per model and a mark per figure."""
    figure, models = go.Figure(), summary[c.MODEL].astype(str).tolist()
    lines = [line for metric, line in headlines() if metric.name == "ndcg" and line.compared_as is not None]
    for place, line in enumerate(lines):
        marker = {"symbol": _SYMBOLS[place % len(_SYMBOLS)], "size": 9}
        figure.add_scatter(name=line.title, x=summary[line.title], y=models, mode="markers", marker=marker)
    return name_rows(figure, models).update_layout(
        title=f"NDCG@{k} on test, full ranking",
        xaxis={"title": f"NDCG@{k}", "rangemode": "tozero"},
        legend=_ABOVE,
    )


#: A legend over the plot, that goes on in a second row where there is no room.
_ABOVE = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
#: Boost -> title, what it gains, what it costs.
_BOOSTS = {
    "cold_boost": ("Cold boost", "NDCG of cold items in mixed lists", "NDCG of mixed lists"),
    "tail_boost": ("Tail boost", "NDCG of tail items in warm lists", "NDCG of warm lists"),
    "popularity_debias": ("Popularity debias", "Catalog coverage of warm lists", "NDCG of warm lists"),
}


def trade_off_plot(
    curves: dict[str, pd.DataFrame], registered: str = "", operating_point: dict[str, float] | None = None
) -> go.Figure:
    """Draw what each boost costs and gains, by setting, on validation: accuracy against what it exposes.

    Args:
        curves: per encoder a table with boost, value, accuracy, exposure.
        registered: the encoder of ``curves`` whose operating point is marked by a star.
        operating_point: by boost, the setting that validation chose; None: nothing is marked.
    """
    marked = operating_point if registered in curves else None
    titles = [
        title if marked is None else f"{title}: operating point {marked.get(boost, 0.0):g}"
        for boost, (title, _, _) in _BOOSTS.items()
    ]
    figure = make_subplots(rows=len(_BOOSTS), subplot_titles=titles, vertical_spacing=0.12)
    for row, (boost, (_, exposure, accuracy)) in enumerate(_BOOSTS.items(), start=1):
        for colour, (name, table) in zip(cycle(DEFAULT_PLOTLY_COLORS), curves.items(), strict=False):
            rows = table[table["boost"] == boost]
            figure.add_scatter(
                x=rows["exposure"],
                y=rows["accuracy"],
                text=[f"{boost} = {value:g}" for value in rows["value"]],
                mode="lines+markers",
                name=name,
                line={"color": colour},
                showlegend=row == 1,
                row=row,
                col=1,
            )
        if marked is not None:
            _mark(figure, row, curves[registered].query("boost == @boost"), marked.get(boost, 0.0))
        figure.update_xaxes(title=exposure, row=row)
        figure.update_yaxes(title=accuracy, row=row)
    return figure.update_layout(
        title="Trade-off curves of the boosts (validation, pseudo-cold B)",
        legend=_ABOVE | {"y": 1.05},
        height=3 * _PANEL,
    )


def _mark(figure: go.Figure, row: int, curve: pd.DataFrame, setting: float) -> None:
    """Mark the point of a curve whose setting is nearest to the operating point."""
    if not len(curve):
        return
    point = curve.iloc[int((curve["value"] - setting).abs().to_numpy().argmin())]
    figure.add_scatter(
        x=[point["exposure"]],
        y=[point["accuracy"]],
        text=[f"operating point: {setting:g}"],
        mode="markers",
        name="operating point",
        marker={"symbol": "star", "size": 16, "color": "black"},
        cliponaxis=False,
        showlegend=row == 1,
        row=row,
        col=1,
    )


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
        legend=_ABOVE,
    )


_GAINS = {
    "intra_list_diversity": "intra-list diversity",
    "catalog_coverage": "catalog coverage",
    "tail_ndcg": "NDCG of tail items",
}


def frontier_plot(table: pd.DataFrame) -> go.Figure:
    """Draw NDCG against what re-ranking gains, a line per method; the star is the balance preset."""
    figure = make_subplots(rows=len(_GAINS), vertical_spacing=0.12)
    plain = table[table["method"] == "none"]
    for row, (name, title) in enumerate(_GAINS.items(), start=1):
        methods = table[table["method"] != "none"].groupby("method", sort=False)
        for colour, (method, rows) in zip(cycle(DEFAULT_PLOTLY_COLORS), methods, strict=False):
            line = pd.concat([plain, rows])
            chosen = line["balance"].astype(bool)
            figure.add_scatter(
                x=line[name],
                y=line["ndcg"],
                text=[f"{method} {strength:g}" for strength in line["strength"]],
                marker={
                    "symbol": ["star" if star else "circle" for star in chosen],
                    "size": [16 if star else 8 for star in chosen],
                },
                mode="lines+markers",
                name=str(method),
                line={"color": colour},
                showlegend=row == 1,
                row=row,
                col=1,
            )
        figure.update_xaxes(title=title, row=row)
        figure.update_yaxes(title="NDCG", row=row)
    return figure.update_layout(
        title="Re-ranking mixed lists (test); the star is the balance preset",
        legend=_ABOVE | {"y": 1.02},
        height=3 * _PANEL,
    )
