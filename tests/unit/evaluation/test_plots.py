"""Plots: every model has a name in each, and the operating point lies on the curve."""

import pandas as pd
import plotly.graph_objects as go
import pytest

from tailor.evaluation.plots import comparison_plot, frontier_plot, name_rows, trade_off_plot

MODELS = [f"model_{number}" for number in range(23)]


def test_every_model_of_the_table_is_named_beside_its_row():
    summary = pd.DataFrame({"model": MODELS} | {f"{name} NDCG": 0.1 for name in ("warm", "tail", "cold", "mixed")})
    figure = comparison_plot(summary.assign(**{"mixed-cold NDCG": 0.2}), 20)
    assert list(figure.layout.yaxis.tickvals) == MODELS
    assert [trace.name for trace in figure.data] == [
        "warm NDCG",
        "tail NDCG",
        "cold NDCG",
        "mixed NDCG",
        "mixed-cold NDCG",
    ]
    assert all(list(trace.y) == MODELS for trace in figure.data)
    assert len({trace.marker.symbol for trace in figure.data}) == 5  # told apart without colours too
    more = name_rows(go.Figure(), MODELS).layout.height - name_rows(go.Figure(), MODELS[:3]).layout.height
    assert more >= 20 * 20  # each row has room for its name


def curve(boost, settings=(0.0, 0.25, 0.5)):
    rows = [(boost, value, 0.4 - value / 10, 0.1 + value) for value in settings]
    return pd.DataFrame(rows, columns=["boost", "value", "accuracy", "exposure"])


CURVES = {
    "hybrid_frozen": curve("tail_boost"),
    "hybrid_lora": pd.concat([curve("cold_boost"), curve("tail_boost"), curve("popularity_debias")]),
}


def test_the_operating_point_lies_on_the_curve_of_the_registered_model():
    figure = trade_off_plot(CURVES, "hybrid_lora", {"tail_boost": 0.25, "cold_boost": 0.5, "popularity_debias": 0.0})
    stars = [trace for trace in figure.data if trace.name == "operating point"]
    assert [star.x[0] for star in stars] == pytest.approx([0.6, 0.35, 0.1])
    assert [star.y[0] for star in stars] == pytest.approx([0.35, 0.375, 0.4])
    assert sum(bool(star.showlegend) for star in stars) == 1
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles == [
        "Cold boost: operating point 0.5", "Tail boost: operating point 0.25", "Popularity debias: operating point 0",
    ]  # fmt: skip


def test_nothing_is_marked_where_no_point_is_known_and_a_boost_without_a_curve_has_none():
    assert "operating point" not in [trace.name for trace in trade_off_plot(CURVES).data]
    figure = trade_off_plot(CURVES, "hybrid_frozen", {"tail_boost": 0.5, "cold_boost": 0.0})
    stars = [trace for trace in figure.data if trace.name == "operating point"]
    assert len(stars) == 1 and stars[0].x[0] == pytest.approx(0.6)


def test_each_method_of_re_ranking_has_a_line_and_the_preset_a_star():
    methods = [f"method_{number}" for number in range(13)]
    rows = [("none", 0.0, False), *((method, 0.5, method == "method_2") for method in methods)]
    table = pd.DataFrame(rows, columns=["method", "strength", "balance"]).assign(
        ndcg=0.3, intra_list_diversity=0.5, catalog_coverage=0.5, tail_ndcg=0.1
    )
    figure = frontier_plot(table)
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert named == methods
    stars = {trace.name for trace in figure.data if "star" in trace.marker.symbol}
    assert stars == {"method_2"}
