"""The report: one self-contained HTML page that answers whether a model is better, for whom, and what it costs."""

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from tailor import columns as c
from tailor.evaluation import page, protocol
from tailor.evaluation.headlines import best_others
from tailor.evaluation.new_to_domain import NEW_TO_DOMAIN
from tailor.metrics.base import ALL
from tailor.types import JsonObject


@dataclass(frozen=True)
class Material:
    """What a report is made of: tables and plots that the run has left."""

    registered: str
    fit_on: str
    """Rows that the models of test lists are fitted on: ``train`` or ``train_and_validation``."""
    k: int
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    metrics: pd.DataFrame
    clicks: pd.DataFrame
    ratings: pd.DataFrame
    """Empty where the catalogue has no ratings."""
    domains: pd.DataFrame
    """Figures of each of several domains; empty where there is one."""
    domain_boosts: pd.DataFrame
    """As of :func:`tailor.evaluation.chosen.tabulate_points`; empty where there is one domain."""
    seeds: pd.DataFrame
    """As of :func:`tailor.evaluation.seeds.spread`."""
    quality: pd.DataFrame
    accounts: pd.DataFrame
    """Rows read, skipped, dropped, repaired and kept, by table."""
    data_summary: pd.DataFrame
    group_figures: pd.DataFrame
    group_gaps: pd.DataFrame
    user_quantiles: pd.DataFrame
    """These three as of :func:`tailor.evaluation.groups.measure_groups`."""
    sample_users: list[JsonObject]
    """As of :func:`tailor.evaluation.sample_users.tell`."""
    visit: list[JsonObject]
    """Steps of :func:`tailor.serving.visit.visit`: step, given, path, titles, note."""
    balance: JsonObject
    figures: dict[str, go.Figure]
    """comparison, trade_off, frontier, calibration, training."""
    provenance: dict[str, str]
    sample: str = ""
    """Of how many users figures are, :func:`tailor.evaluation.user_sample.describe_sample`; empty: of all."""


def build(material: Material) -> str:
    """Return the page; every value is escaped, plots are drawn by the Plotly that is inside."""
    m = material
    return page.render(
        "report.html.j2",
        title=f"Tailor: {m.registered}",
        subtitle=f"{len(m.summary)} models, one split, as many trials for each; {_size(m.data_summary)}",
        registered=m.registered,
        k=m.k,
        fitted=protocol.FITTED[m.fit_on],
        sample=m.sample,
        verdicts=verdicts(m.summary, m.comparisons),
        unmeasured=unmeasured(m.summary),
        models=page.table(m.summary, 3),
        cutoffs=page.table(by_cutoff(m.metrics), 4),
        comparisons=page.table(m.comparisons[_COMPARED], 4),
        figures={name: page.draw(name, figure) for name, figure in all_figures(m).items()},
        gaps=page.table(m.group_gaps, 4),
        groups=page.table(m.group_figures, 4),
        quantiles=page.table(m.user_quantiles, 4),
        balance=f"{m.balance['method']}, strength {m.balance['strength']:g}",
        sample_users=m.sample_users,
        visit=m.visit,
        clicks=page.table(m.clicks, 4),
        ratings=page.table(m.ratings, 4),
        domains=page.table(by_domain(m.domains, m.k), 4),
        domain_boosts=page.table(m.domain_boosts, 3),
        seeds=page.table(m.seeds, 4),
        data_tables=[page.table(m.accounts, 0), page.table(m.quality, 0), page.table(m.data_summary, 0)],
        provenance=m.provenance,
    )


def all_figures(material: Material) -> dict[str, go.Figure]:
    """Return every plot of the page by name: those of the run, and the heat map."""
    return material.figures | {"heat_map": heat_map(material.metrics, material.k)}


_COMPARED = ["headline", "against", "difference", "low", "high", "ratio", "adjusted_p", "n_users", "verdict"]


def verdicts(summary: pd.DataFrame, comparisons: pd.DataFrame) -> list[dict[str, str]]:
    """Return, per headline, the comparison with the best other model, in words and figures."""
    lines = []
    for best in best_others(comparisons, summary).to_dict(orient="records"):
        figures = {name: f"{best[name]:+.4f}" for name in ("difference", "low", "high")}
        models = {"figure": f"{best['figure']:.4f}", "against": str(best["against"])}
        words = {"verdict": str(best["verdict"]), "css": str(best["verdict"]).split()[0]}
        lines.append({"headline": str(best["title"])} | models | figures | words)
    return lines


def unmeasured(summary: pd.DataFrame) -> list[str]:
    """Return the figures that no model has: the split left nothing to find, such as cold items or new users."""
    return [str(name) for name in summary if name != c.MODEL and summary[name].isna().all()]


#: What people read of the groups of items that positives are counted of.
_COUNTED = {ALL: "all", c.KNOWN: "with a row in train or validation", c.WARM: "with a train row"}


def by_cutoff(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return recall and NDCG of mixed test lists at every cut-off, over all positives and over those of known items.

    Args:
        metrics: the long table of metrics.

    Returns:
        Columns model, test items, users, and recall@k and NDCG@k for every k; a row per model and group of items.
    """
    rows = metrics.query("split == 'test' and candidates == 'mixed' and user_bucket == 'all'")
    rows = rows[rows["metric"].isin(["recall", "ndcg"]) & rows["item_bucket"].isin(_COUNTED)]
    figure = rows["metric"].map({"recall": "recall@", "ndcg": "NDCG@"}) + rows["k"].astype(str)
    keys = {c.MODEL: rows[c.MODEL], "test items": rows["item_bucket"].map(_COUNTED), "users": rows["n_users"]}
    table = rows.assign(**keys, figure=figure).pivot_table("value", list(keys), "figure", sort=False)
    columns = [f"{name}@{k}" for name in ("recall", "NDCG") for k in sorted(rows["k"].unique())]
    return table[[name for name in columns if name in table]].rename_axis(columns=None).reset_index()


def by_domain(metrics: pd.DataFrame, k: int) -> pd.DataFrame:
    """Return NDCG@k of test lists of each domain: of known users, and of who is new to the domain.

    Args:
        metrics: the long table of metrics by domain; without rows where there is one domain.
        k: cut-off.

    Returns:
        Columns domain, model, and a column for each kind of list; a row per domain and model.
    """
    rows = metrics.query("split == 'test' and metric == 'ndcg' and item_bucket == 'all'")
    rows = rows[(rows["k"] == k) & rows["user_bucket"].isin([ALL, NEW_TO_DOMAIN])]
    lists = rows[c.CANDIDATES].where(rows["user_bucket"] == ALL, "new to the domain")
    if rows.empty:
        return pd.DataFrame(columns=[c.DOMAIN, c.MODEL])
    table = rows.assign(lists=lists).pivot_table("value", [c.DOMAIN, c.MODEL], "lists", sort=False)
    return table.rename_axis(columns=None).reset_index()


def heat_map(metrics: pd.DataFrame, k: int) -> go.Figure:
    """Draw NDCG of mixed test lists by model and bucket of items or users, each bucket scaled to its best model."""
    rows = metrics.query("split == 'test' and candidates == 'mixed' and metric == 'ndcg' and k == @k")
    of_items = rows[rows["user_bucket"] == "all"].assign(bucket=lambda d: "items: " + d["item_bucket"])
    of_users = rows[(rows["item_bucket"] == "all") & (rows["user_bucket"] != "all")]
    both = pd.concat([of_items, of_users.assign(bucket=lambda d: "users: " + d["user_bucket"])])
    table = both.pivot_table(index=c.MODEL, columns="bucket", values="value", sort=False)
    scaled = table / table.max().where(table.max() > 0, 1)
    text = table.map(lambda v: f"{v:.3f}" if pd.notna(v) else "")
    figure = go.Figure(
        go.Heatmap(
            z=scaled, x=list(table.columns), y=list(table.index), text=text, texttemplate="%{text}", colorscale="Blues",
            showscale=False,
        )
    )  # fmt: skip
    return figure.update_layout(
        title=f"NDCG@{k} of mixed lists by bucket; the darkest is a bucket's best", yaxis={"autorange": "reversed"}
    )


def _size(data_summary: pd.DataFrame) -> str:
    counts = data_summary.groupby("what", sort=False)["count"].sum()
    names = {"interactions by split": "interactions", "items by bucket": "items", "users by bucket": "users"}
    return ", ".join(f"{counts[what]:,} {name}" for what, name in names.items() if what in counts)
