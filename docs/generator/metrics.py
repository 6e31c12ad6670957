"""The page of metrics: everything that a run measures, from the registry."""

from docs.generator.markdown import code, first_sentence, table
from tailor.evaluation import measure  # noqa: F401  (imports whatever registers metrics)
from tailor.metrics import Metric, headlines, registered_metrics

INTRODUCTION = """# Metrics

Every metric that a run measures, from the registry; a metric of your own is one function
([CONTRIBUTING](../../CONTRIBUTING.md#a-metric)). What the figures mean, and what they do not, is in
[how Tailor is measured](../explanation/evaluation.md); files and columns are in
[evaluation](../pipelines/evaluation.md).
"""
PER = {"user": "each user, then their mean", "lists": "all lists together"}


def _row(one: Metric) -> tuple[str, ...]:
    scope = one.scope
    where = [", ".join(scope.candidates), f"on {' and '.join(scope.splits)}"]
    more = [("by item bucket", scope.item_buckets), ("new users too", scope.new_users)]
    where += [words for words, holds in more if holds]
    where.append("at every k" if scope.every_cutoff else "at the largest k")
    return code(one.name), first_sentence(one.function.__doc__), PER[one.per], "; ".join(where)


def page() -> str:
    """Return the page: all metrics, then the columns of the summary."""
    columns = (
        (line.title, code(one.name), line.split, line.candidates, line.item_bucket, line.user_bucket)
        for one, line in headlines()
    )
    summary = table(("column", "metric", "split", "candidates", "item bucket", "user bucket"), columns)
    listed = table(("metric", "what it is", "of", "measured on"), map(_row, registered_metrics()))
    return f"{INTRODUCTION}\n## All metrics\n\n{listed}\n\n## Columns of the summary\n\n{summary}\n"
