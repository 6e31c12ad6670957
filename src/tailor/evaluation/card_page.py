"""The data card as one self-contained HTML page."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from tailor.evaluation import page
from tailor.types import JsonObject

#: Columns of a table -> titles.
_COSTS = {"pipeline": "pipeline", "size": "what there is to do", "minutes": "minutes", "gib": "GiB"}


def build(card: JsonObject, title: str) -> str:
    """Return the page; every value is escaped, plots are drawn by the Plotly that is inside.

    Args:
        card: :meth:`tailor.data.card.Card.to_json` with ``warnings`` (sentences), ``costs`` (rows), ``machine`` and
            ``learning_curve`` (rows, none where it was not asked for).
        title: of the page.
    """
    sizes = card["sizes"]
    return page.render(
        "card.html.j2",
        title=title,
        subtitle=f"{sizes['users']:,} users, {sizes['items']:,} items, {sizes['interactions']:,} interactions",
        card=card,
        figures={name: page.draw(name, figure) for name, figure in figures(card).items()},
        scripts=_names_and_shares(card["texts"]["scripts"], "name"),
        quality=_rows(card["quality"]),
        accounts=_rows(card["accounts"]),
        costs=page.table(pd.DataFrame(card["costs"])[list(_COSTS)].rename(columns=_COSTS), 1),
        curve=page.table(pd.DataFrame(card["learning_curve"]), 3),
    )


def figures(card: JsonObject) -> dict[str, go.Figure]:
    """Draw what the card can show as plots, by name: long_tail, users, items, months and learning_curve."""
    drawn = {
        "long_tail": _long_tail(card["long_tail"]),
        "users": _bars(card["users_by_history"], "Users by interactions", "users"),
        "items": _bars(card["items_by_interactions"], "Items by interactions", "items"),
    }
    if card["times"]["months"]:
        drawn["months"] = _months(card["times"]["months"])
    if card["learning_curve"]:
        drawn["learning_curve"] = _learning_curve(card["learning_curve"])
    return drawn


def _long_tail(points: list[tuple[float, float]]) -> go.Figure:
    items, held = zip(*points, strict=True)
    figure = go.Figure(go.Scatter(x=items, y=held, mode="lines", name="this catalogue"))
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="all items alike", line={"dash": "dot", "color": "grey"})
    return figure.update_layout(
        title="The long tail: what the most popular items hold",
        xaxis={"title": "share of the items, the most popular first", "tickformat": ".0%"},
        yaxis={"title": "share of the interactions", "tickformat": ".0%"},
        legend={"orientation": "h", "y": -0.25},
    )


def _bars(groups: list[JsonObject], title: str, what: str) -> go.Figure:
    labels = [group["label"] for group in groups]
    figure = go.Figure(go.Bar(x=labels, y=[group["count"] for group in groups]))
    return figure.update_layout(title=title, xaxis={"title": "interactions", "type": "category"}, yaxis={"title": what})


def _months(months: Mapping[str, int]) -> go.Figure:
    figure = go.Figure(go.Bar(x=[f"{month}-01" for month in months], y=list(months.values())))
    return figure.update_layout(title="Interactions per month", yaxis={"title": "interactions"})


def _learning_curve(points: list[JsonObject]) -> go.Figure:
    x, y = [point["interactions"] for point in points], [point["ndcg"] for point in points]
    figure = go.Figure(go.Scatter(x=x, y=y, mode="lines+markers"))
    return figure.update_layout(
        title=f"Learning curve: {points[0]['model']} on validation, warm items",
        xaxis={"title": "train interactions", "rangemode": "tozero"},
        yaxis={"title": "NDCG@20", "rangemode": "tozero"},
    )


def _names_and_shares(entries: list[JsonObject], name: str) -> str:
    return ", ".join(f"{entry[name]} {entry['share']:.1%}" for entry in entries)


def _rows(records: list[JsonObject]) -> page.Table:
    return page.table(pd.DataFrame(records), 0)
