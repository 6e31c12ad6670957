"""The metrics table: every registered metric of one list set, by item bucket and user bucket, in long form."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor.metrics.base import ALL, Lists, Metric

COLUMNS = ["item_bucket", "user_bucket", "metric", "k", "value", "n_users"]
#: What people read where there is no figure.
NOTHING = "–"


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
    frames = []
    masks = {str(bucket): item_bucket == bucket for bucket in sorted(set(item_bucket))} | dict(item_groups or {})
    for bucket, counted, chosen in _by_item_bucket(lists, metrics, masks):
        per_user, per_lists = _values(counted, chosen, cutoffs)
        table = pd.DataFrame(per_lists, columns=["metric", "k", "value"])
        frames.append(table.assign(item_bucket=bucket, user_bucket=ALL, n_users=len(lists.items)))
        if per_user:
            frames.append(_means(pd.DataFrame(per_user), user_bucket, bucket))
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True)[COLUMNS] if filled else pd.DataFrame(columns=COLUMNS)


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


def _means(per_user: pd.DataFrame, user_bucket: NDArray[np.str_], item_bucket: str) -> pd.DataFrame:
    """Average (U, metric × k) over all users and over each user bucket."""
    groups = {ALL: per_user}
    if len(set(user_bucket)) > 1:
        groups |= {str(name): group for name, group in per_user.groupby(user_bucket)}
    frames = []
    for bucket, values in groups.items():
        counted = values.notna().sum()
        frame = pd.DataFrame({"value": values.mean(), "n_users": counted})[counted > 0]
        frame = frame.rename_axis(["metric", "k"]).reset_index()
        frames.append(frame.assign(item_bucket=item_bucket, user_bucket=bucket))
    return pd.concat(frames, ignore_index=True)
