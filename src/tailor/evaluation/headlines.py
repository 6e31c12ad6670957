"""The few figures that a run is compared by: headlines of one model, and its ratios to the best baseline."""

import math

import pandas as pd

from tailor import columns as c
from tailor.metrics.base import ALL, Headline, Metric, compared_headlines, headlines
from tailor.types import JsonObject

#: Names of our own models: what they are compared with is a baseline if it is none of these.
HYBRIDS = ("hybrid_frozen", "hybrid_lora")
_KEYS = [c.SPLIT, c.CANDIDATES, "item_bucket", "user_bucket", "metric"]


def figure_name(metric: Metric, line: Headline, k: int) -> str:
    """Return the name of a headline figure.

    >>> from tailor.metrics.base import find_metric
    >>> ndcg = find_metric("ndcg")
    >>> figure_name(ndcg, Headline("t", "warm", "tail"), 20), figure_name(ndcg, Headline("t", split="validation"), 5)
    ('warm.tail.ndcg_at_20', 'validation.mixed.ndcg_at_5')
    """
    parts = [line.split] if line.split != c.TEST else []
    parts += [line.candidates, *(bucket for bucket in (line.item_bucket, line.user_bucket) if bucket != ALL)]
    return ".".join([*parts, f"{metric.name}_at_{k}"])


def headline_figures(metrics: pd.DataFrame, model: str, k: int) -> dict[str, float]:
    """Return every registered headline of one model at cut-off k, by name; those without a value are left out.

    Args:
        metrics: the long table of metrics of all models.
        model: its name.
        k: cut-off.
    """
    at_k = metrics[(metrics["k"] == k) & (metrics[c.MODEL] == model)].set_index(_KEYS)["value"]
    figures = {}
    for metric, line in headlines():
        key = (line.split, line.candidates, line.item_bucket, line.user_bucket, metric.name)
        value = float(at_k.get(key, float("nan")))
        if math.isfinite(value):
            figures[figure_name(metric, line, k)] = value
    return figures


def best_baselines(comparisons: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return, per headline, the comparison with the best model that is none of ours; see :func:`best_others`."""
    return best_others(comparisons[~comparisons["against"].isin(HYBRIDS)], summary)


def best_others(comparisons: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return, per headline, the comparison with the best of the other models; no rows where there is none.

    Args:
        comparisons: of one model with others, as of :func:`tailor.evaluation.measure.compare`.
        summary: one row per model.

    Returns:
        Rows of ``comparisons``, with the columns title, figure (of the model) and baseline_figure.
    """
    means, rows = summary.set_index(c.MODEL), []
    for name, table in comparisons.groupby("headline", sort=False):
        title = compared_headlines()[str(name)][1].title
        place = int(means.loc[table["against"], title].fillna(-1).to_numpy().argmax())
        row = table.iloc[place].to_dict()
        figures = {"figure": means.loc[row[c.MODEL], title], "baseline_figure": means.loc[row["against"], title]}
        rows.append(row | {"title": title} | figures)
    return pd.DataFrame(rows, columns=[*comparisons.columns, "title", "figure", "baseline_figure"])


def ratios(best: pd.DataFrame) -> dict[str, float]:
    """Return the ratios to the best baselines with their 95 % intervals, by name; a baseline of 0 has none.

    Args:
        best: as of :func:`best_baselines`.
    """
    by_name: JsonObject = {}
    for row in best.to_dict(orient="records"):
        bounds = {"": row["ratio"], ".low": row["ratio_low"], ".high": row["ratio_high"]}
        if all(math.isfinite(value) for value in bounds.values()):
            by_name |= {f"ratio.{row['headline']}{suffix}": float(value) for suffix, value in bounds.items()}
    return by_name
