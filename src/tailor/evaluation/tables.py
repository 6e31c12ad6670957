"""The metrics table: every registered metric of one list set, by item bucket and user bucket, in long form."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor.metrics.base import ALL, Lists, Metric

COLUMNS = ["item_bucket", "user_bucket", "metric", "k", "value", "n_users"]
#: What people read where there is no figure.
NOTHING = "–"
#: A row of the table, in the order of its columns.
Row = tuple[str, str, str, int, float, int]


def measure_lists(
    lists: Lists,
    metrics: Sequence[Metric],
    cutoffs: Sequence[int],
    item_bucket: NDArray[np.str_],
    user_bucket: NDArray[np.str_],
    item_groups: Mapping[str, NDArray[np.bool_]] | None = None,
) -> pd.DataFrame:
    """Measure lists overall and per bucket, and per group of items.

    A bucket of items keeps the list as it is and counts only the bucket's positives, in the ideal too. Users for whom a
    metric is NaN are left out of its mean; ``n_users`` says how many remain.

    Args:
        lists: at least as long as the largest cut-off, where there are candidates.
        metrics: what to measure; the scope of each says whether it is measured on item buckets, and at which k.
        cutoffs: values of k.
        item_bucket: bucket per item (n_items,).
        user_bucket: bucket per user (U,).
        item_groups: masks (n_items,) by name, which may overlap; each is measured as a bucket is. None: none.

    Returns:
        Columns item_bucket, user_bucket, metric, k, value, n_users.
    """
    rows: list[Row] = []
    masks = {str(bucket): item_bucket == bucket for bucket in sorted(set(item_bucket))} | dict(item_groups or {})
    for bucket, counted, chosen in _by_item_bucket(lists, metrics, masks):
        per_user, per_lists = _values(counted, chosen, cutoffs)
        rows += [(bucket, ALL, metric, k, value, len(lists.items)) for metric, k, value in per_lists]
        rows += _means(per_user, user_bucket, bucket) if per_user else []
    return pd.DataFrame(rows, columns=COLUMNS)


def _values(
    lists: Lists, metrics: Sequence[Metric], cutoffs: Sequence[int]
) -> tuple[dict[tuple[str, int], NDArray[np.float64]], list[tuple[str, int, float]]]:
    """Return values of users (U,) by metric and k; and metric, k, value of those of all lists together."""
    per_user, per_lists = {}, []
    for k in cutoffs:
        cut = lists.first(k)
        for metric in metrics:
            if metric.scope.every_cutoff or k == max(cutoffs):
                values = metric.values(cut)
                if metric.per == "user":
                    per_user[metric.name, k] = values
                else:
                    per_lists.append((metric.name, k, float(values[0])))
    return per_user, per_lists


def _by_item_bucket(
    lists: Lists, metrics: Sequence[Metric], masks: Mapping[str, NDArray[np.bool_]]
) -> Iterator[tuple[str, Lists, list[Metric]]]:
    """Yield all items together, then each bucket that has positives, with the metrics that are measured on it."""
    yield ALL, lists, list(metrics)
    chosen = [metric for metric in metrics if metric.scope.item_buckets]
    for bucket, mask in masks.items() if chosen else ():
        counted = lists.of_items(mask)
        if counted.positives.nnz:
            yield bucket, counted, chosen


def _means(
    per_user: Mapping[tuple[str, int], NDArray[np.float64]], user_bucket: NDArray[np.str_], item_bucket: str
) -> list[Row]:
    """Average values of users (U,) by metric and k, over all users and over each user bucket."""
    buckets = sorted(set(user_bucket.tolist()))
    groups = {ALL: np.ones(len(user_bucket), bool)}
    groups |= {bucket: user_bucket == bucket for bucket in buckets if len(buckets) > 1}
    values = np.stack(list(per_user.values()))
    rows: list[Row] = []
    for bucket, members in groups.items():
        of_members = values[:, members]
        counts, sums = (~np.isnan(of_members)).sum(axis=1), np.nansum(of_members, axis=1)
        for (metric, k), total, n in zip(per_user, sums.tolist(), counts.tolist(), strict=True):
            rows += [(item_bucket, bucket, metric, k, total / n, n)] if n else []
    return rows
