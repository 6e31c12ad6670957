"""What pages are made of."""

import pandas as pd
import plotly.graph_objects as go

from tailor.evaluation.page import draw, table


def test_cells_of_a_table():
    frame = pd.DataFrame({"name": ["<b>"], "count": [1234], "share": [0.12345], "none": [float("nan")]})
    cells = table(frame, 2)
    assert cells.columns == ["name", "count", "share", "none"]
    assert cells.rows == [["<b>", "1,234", "0.12", "–"]]


def test_a_plot_has_its_id_and_leaves_the_figure_as_it_was():
    figure = go.Figure()
    html = draw("curve", figure)
    assert 'id="curve"' in html
    assert figure.layout.margin.l is None
