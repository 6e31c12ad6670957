"""The verdict in words: the registered model against the best baseline, and against plain collaborative filtering."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from tailor.evaluation.headlines import best_baselines, best_others
from tailor.models.registry import BASELINES

#: Plain collaborative filtering, which reads interactions alone: of these the first that was fitted is compared with.
PLAIN_CF = ("ials", "implicit_als", "ease", "item_knn")
#: Baselines that read the texts of items: without one of them, nothing stands beside a figure of cold items.
OF_TEXTS = frozenset({"text_knn", "text_ease", "text_ials", "marec", "dropoutnet"})
#: A ratio above which the baseline's figure is next to nothing: the difference is told in its place.
_NEXT_TO_NOTHING = 5.0
BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"
_IN_WORDS = {BETTER: "better than {}", WORSE: "worse than {}"}
Lines = list[dict[str, str]]


def against_best_baseline(comparisons: pd.DataFrame, summary: pd.DataFrame) -> Lines:
    """Compare, per headline, with the baseline whose mean is the best; our other hybrid is no baseline.

    Args:
        comparisons: of one model with others, as of :func:`tailor.evaluation.measure.compare`.
        summary: one row per model.

    Returns:
        Per headline, as text: headline, figure, against, baseline_figure, difference, low, high, ratio (empty where the
        baseline has no hit), verdict, words, css.
    """
    return [_line(row) for row in best_baselines(comparisons, summary).to_dict(orient="records")]


def against_plain_cf(comparisons: pd.DataFrame, summary: pd.DataFrame) -> Lines:
    """Compare, per headline, with the first model of :data:`PLAIN_CF` that was fitted; no lines where none was.

    Arguments and lines are those of :func:`against_best_baseline`.
    """
    fitted = set(comparisons["against"])
    name = next((name for name in PLAIN_CF if name in fitted), None)
    return [_line(row) for row in best_others(comparisons[comparisons["against"] == name], summary).to_dict("records")]


def sentence(model: str, baseline: str, lines: Iterable[Mapping[str, str]]) -> str:
    """Say in one sentence what all comparisons with one kind of baseline showed.

    Args:
        model: its name.
        baseline: what it is compared with, in words.
        lines: as of :func:`against_best_baseline`.

    Example:
        >>> line = {"headline": "tail NDCG", "verdict": "worse", "ratio": "-12 % [-20 %, -3 %]"}
        >>> sentence("ours", "ease", [line, line | {"headline": "warm NDCG", "verdict": "no difference shown"}])
        'Against ease, ours is worse on tail NDCG (-12 % [-20 %, -3 %]); no difference is shown on warm NDCG.'
    """
    by_verdict: dict[str, list[str]] = {BETTER: [], WORSE: [], NO_DIFFERENCE: []}
    for line in lines:
        verdict = line["verdict"]
        interval = "" if verdict == NO_DIFFERENCE else f" ({line['ratio'] or _difference(line)})"
        by_verdict[verdict].append(line["headline"] + interval)
    parts = [f"{verdict} on {_listed(by_verdict[verdict])}" for verdict in (BETTER, WORSE) if by_verdict[verdict]]
    clauses = [f"{model} is {' and '.join(parts)}"] if parts else []
    if by_verdict[NO_DIFFERENCE]:
        of = "" if parts else f" of {model}"
        clauses.append(f"no difference{of} is shown on {_listed(by_verdict[NO_DIFFERENCE])}")
    return f"Against {baseline}, {'; '.join(clauses)}." if clauses else f"{model} was compared with no other model."


def left_out(comparisons: pd.DataFrame) -> str:
    """Say which of the usual baselines were not compared, and whether any reads texts; nothing where all were.

    Args:
        comparisons: of one model with others.

    Example:
        >>> left_out(pd.DataFrame({"against": [name for name in BASELINES if name != "ease"]}))
        'Not compared in this run: ease.'
    """
    fitted = set(comparisons["against"])
    missing = [name for name in BASELINES if name not in fitted and name not in ("random", "constant")]
    if not missing:
        return ""
    text = f"Not compared in this run: {', '.join(missing)}."
    if not fitted & OF_TEXTS:
        text += " None of them that reads texts was: the others have nothing to go by for cold items."
    return text


def _line(row: Mapping[Any, Any]) -> dict[str, str]:
    verdict, against = str(row["verdict"]), str(row["against"])
    return {
        "headline": str(row["title"]),
        "against": against,
        **{name: f"{row[name]:.4f}" for name in ("figure", "baseline_figure")},
        **{name: f"{row[name]:+.4f}" for name in ("difference", "low", "high")},
        "ratio": _percent(*(float(row[name]) for name in ("ratio", "ratio_low", "ratio_high"))),
        "verdict": verdict,
        "words": _IN_WORDS.get(verdict, "no difference to {} shown").format(against),
        "css": verdict.split(maxsplit=1)[0],
    }


def _percent(*ratios: float) -> str:
    """Write ratios as changes with their interval; nothing where the baseline had no hit, in a resample too, or few."""
    if not all(math.isfinite(ratio) for ratio in ratios) or ratios[0] > _NEXT_TO_NOTHING:
        return ""
    change, low, high = (f"{100 * (ratio - 1):+.0f} %" for ratio in ratios)
    return f"{change} [{low}, {high}]"


def _difference(line: Mapping[str, str]) -> str:
    return f"{line['difference']} [{line['low']}, {line['high']}]"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plain_cf_of(lines: Lines) -> str:
    """Return what the report calls the model of plain collaborative filtering, its name in parentheses."""
    return f"plain collaborative filtering ({lines[0]['against']})" if lines else "plain collaborative filtering"
