"""The report: one self-contained HTML page that answers whether a model is better, for whom, and what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from tailor import columns as c
from tailor.evaluation import page, protocol, stages, verdict
from tailor.evaluation.new_to_domain import NEW_TO_DOMAIN
from tailor.evaluation.plots import name_rows
from tailor.evaluation.terms import explain_columns, explain_models, explain_terms
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
    stories: list[JsonObject]
    """As of :mod:`tailor.evaluation.stories`."""
    visit: list[JsonObject]
    """Steps of :func:`tailor.serving.visit.visit`: step, given, path, titles, note."""
    figures: dict[str, go.Figure]
    """comparison, trade_off, frontier, calibration, training."""
    run: JsonObject
    """catalogue (name, licence, source), times (of the data card), written (a date), chosen (as of
    :func:`tailor.evaluation.chosen.describe_choice`, with registered_boosts: as the registered model states them),
    costs (rows of :func:`tailor.evaluation.stages.stage_table`), provenance."""
    sample: str = ""
    """Of how many users figures are, :func:`tailor.evaluation.user_sample.describe_sample`; empty: of all."""


def build(material: Material) -> str:
    """Return the page; every value is escaped, plots are drawn by the Plotly that is inside."""
    m, about = material, material.run["catalogue"]
    return page.render(
        "report.html.j2",
        title=f"Tailor: {m.registered}",
        subtitle=f"{about['name']}: {_size(m.data_summary)}; {len(m.summary)} models, one split, equal trials",
        registered=m.registered,
        k=m.k,
        fitted=protocol.FITTED[m.fit_on],
        sample=m.sample,
        unmeasured=unmeasured(m.summary),
        figures={name: page.draw(name, figure) for name, figure in all_figures(m).items()},
        stories=m.stories,
        visit=m.visit,
        about=about | {"written": m.run["written"], "dates": _dates(m.run["times"])},
        provenance=m.run["provenance"],
        terms=explain_terms,
        columns=explain_columns([str(name) for name in m.summary]),
        described=explain_models(m.summary[c.MODEL]),
        **_verdicts(m),
        **_tables(m),
        **_chosen(m.run["chosen"]),
    )


def _verdicts(m: Material) -> dict[str, object]:
    """Return the two comparisons, and a sentence for each."""
    best = verdict.against_best_baseline(m.comparisons, m.summary)
    plain = verdict.against_plain_cf(m.comparisons, m.summary)
    sentences = [verdict.sentence(m.registered, "the best baseline", best)]
    sentences += [verdict.sentence(m.registered, verdict.plain_cf_of(plain), plain)] if plain else []
    sentences += filter(None, [verdict.left_out(m.comparisons)])
    sentences += in_people(m.metrics, m.registered, best[0]["against"] if best else "", m.k)
    return {
        "sentences": sentences,
        "verdicts": {"the best baseline of each figure": best, verdict.plain_cf_of(plain): plain},
    }


def _tables(m: Material) -> dict[str, object]:
    costs = pd.DataFrame(m.run["costs"], columns=stages.STAGE_COLUMNS)
    return {
        "models": page.table(m.summary, 3),
        "cutoffs": page.table(by_cutoff(m.metrics), 3),
        "comparisons": page.table(m.comparisons[_COMPARED], 4),
        "gaps": page.table(m.group_gaps, 3),
        "groups": page.table(m.group_figures, 3),
        "quantiles": page.table(m.user_quantiles, 3),
        "clicks": page.table(m.clicks, 4),
        "ratings": page.table(m.ratings, 4),
        "domains": page.table(by_domain(m.domains, m.k), 4),
        "domain_boosts": page.table(m.domain_boosts, 3),
        "seeds": page.table(m.seeds, 4),
        "costs": page.table(costs, 1),
        "data_tables": {
            "Rows of the raw tables": page.table(m.accounts, 0),
            "What was skipped, dropped, repaired or noticed": page.table(m.quality, 0),
            "Split and buckets": page.table(m.data_summary, 0),
        },
    }


def _chosen(chosen: Mapping[str, JsonObject]) -> dict[str, object]:
    """Return what validation chose: options, weights, boosts, and the balance preset in words.

    Boosts stand beside those of the registered model: what a boost adds is the same, in scales of its own items.
    """
    rerank, registered = chosen["rerank"], dict(stages.option_table(chosen["registered_boosts"]).to_numpy())
    boosts = stages.option_table(chosen["boosts"])
    boosts["as registered"] = boosts["option"].map(registered).fillna("")
    return {
        "options": page.table(stages.option_table(chosen["options"]), 4),
        "weights": page.table(stages.weight_table(chosen["weights"]), 3),
        "boosts": page.table(boosts, 4),
        "balance": f"{rerank['method']}, strength {rerank['strength']:g}",
    }


def _dates(times: Mapping[str, object]) -> str:
    """Say from when the interactions are."""
    if not times["present"]:
        return "without times"
    return f"from {times['first']} to {times['last']}" + (
        "" if times["readable"] else " (places in an order, no dates)"
    )


def all_figures(material: Material) -> dict[str, go.Figure]:
    """Return every plot of the page by name: those of the run, and the heat map."""
    return material.figures | {"heat_map": heat_map(material.metrics, material.k)}


_COMPARED = ["headline", "against", "difference", "low", "high", "ratio", "adjusted_p", "n_users", "verdict"]


def unmeasured(summary: pd.DataFrame) -> list[str]:
    """Return the figures that no model has: the split left nothing to find, such as cold items or new users."""
    return [str(name) for name in summary if name != c.MODEL and summary[name].isna().all()]


#: What people read of the groups of items that positives are counted of.
_COUNTED = {ALL: "all", c.KNOWN: "with a row in train or validation", c.WARM: "with a train row"}


def in_people(metrics: pd.DataFrame, model: str, baseline: str, k: int) -> list[str]:
    """Say how many of 100 users find something on their list, as one sentence; none where it was not measured.

    Args:
        metrics: the long table of metrics.
        model: that is registered.
        baseline: that it is compared with; the most popular items are a second one.
        k: places of a list.
    """
    rows = metrics.query("split == 'test' and candidates == 'mixed' and metric == 'hit_rate' and k == @k")
    rows = rows[(rows["user_bucket"] == ALL) & (rows["item_bucket"] == ALL)]
    of_100 = {str(name): round(100 * value) for name, value in zip(rows[c.MODEL], rows["value"], strict=True)}
    if model not in of_100:
        return []
    others = [f"{of_100[name]} by {name}" for name in dict.fromkeys((baseline, "popular")) if name in of_100]
    beside = f"; by the lists of others: {', '.join(others)}" if others else ""
    return [f"Of 100 who took something later, {of_100[model]} find some of it among their {k} items{beside}."]


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
    text = table.map(lambda v: f"{v:.3f}".removeprefix("0") if pd.notna(v) else "")
    figure = go.Figure(
        go.Heatmap(
            z=scaled, x=list(table.columns), y=list(table.index), text=text, texttemplate="%{text}", colorscale="Blues",
            showscale=False,
        )
    )  # fmt: skip
    return name_rows(figure, [str(name) for name in table.index]).update_layout(
        title=f"NDCG@{k} of mixed lists by bucket; the darkest is a bucket's best",
        xaxis={"tickmode": "linear", "tickangle": -45},
    )


def _size(data_summary: pd.DataFrame) -> str:
    counts = data_summary.groupby("what", sort=False)["count"].sum()
    names = {"interactions by split": "interactions", "items by bucket": "items", "users by bucket": "users"}
    return ", ".join(f"{counts[what]:,} {name}" for what, name in names.items() if what in counts)
