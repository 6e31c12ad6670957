"""Self-contained HTML pages: templates with every value escaped, and plots drawn by the Plotly that is inside."""

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tailor.evaluation.tables import NOTHING


@dataclass(frozen=True)
class Table:
    """Text cells."""

    columns: list[str]
    rows: list[list[str]]


def render(template: str, **values: object) -> str:
    """Return a page; ``plotly_js`` is filled in.

    Args:
        template: file beside this module.
        values: what the template names; escaped unless it is markup.
    """
    environment = Environment(
        loader=PackageLoader("tailor.evaluation", "."), autoescape=True, undefined=StrictUndefined
    )
    source = Markup(get_plotlyjs())  # noqa: S704  (Plotly's own source)
    return environment.get_template(template).render(plotly_js=source, **values)


def draw(name: str, figure: go.Figure) -> Markup:
    """Return a plot as markup under the id ``name``; its title stands above it as text, which breaks on a phone.

    Empty where the plot has lines and none of them has a point.
    """
    figure = go.Figure(figure)
    if figure.data and all(line.x is not None and not len(line.x) for line in figure.data):
        return Markup()
    title = figure.layout.title.text or ""
    figure.update_layout(template="plotly_white", margin={"l": 10, "r": 10, "t": 70, "b": 20}, title=None)
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True, title_standoff=8)
    config = {"responsive": True, "displayModeBar": False}
    html = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config)
    caption = Markup('<figure class="plot"><figcaption>{}</figcaption>').format(title)
    return caption + Markup(html) + Markup("</figure>")  # noqa: S704  (made by Plotly from figures)


def table(frame: pd.DataFrame, digits: int) -> Table:
    """Return the cells of a table as text: floats with so many digits, integers with separators of thousands."""

    def cell(value: object) -> str:
        if isinstance(value, float):
            return NOTHING if pd.isna(value) else f"{value:.{digits}f}"
        return f"{value:,}" if isinstance(value, int) else str(value)

    return Table([str(name) for name in frame], [[cell(v) for v in row] for row in frame.itertuples(index=False)])
