"""The metrics table: every list set measured by item bucket and user bucket, in long form."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor.metrics.exposure import exposure
from tailor.metrics.ranking import RANKING_METRICS, hits

ALL = "all"


def accuracy_rows(
    lists: NDArray[np.int64],
    positives: sparse.csr_matrix,
    item_bucket: NDArray[np.str_],
    user_bucket: NDArray[np.str_],
    cutoffs: Iterable[int],
) -> pd.DataFrame:
    """Measure lists overall and per bucket.

    A bucket of items keeps the list as it is and counts only the bucket's positives, in the ideal too. Users without a
    positive in the bucket are left out of the mean; ``n_users`` says how many remain.

    Args:
        lists: internal item ids (U, K), -1 for an empty place.
        positives: (U, n_items).
        item_bucket: bucket per item (n_items,).
        user_bucket: bucket per user (U,).
        cutoffs: values of k.

    Returns:
        Columns item_bucket, user_bucket, metric, k, value, n_users.
    """
    hit = hits(lists, positives)
    frames = []
    for bucket in (ALL, *sorted(set(item_bucket))):
        members = np.ones(len(item_bucket), bool) if bucket == ALL else item_bucket == bucket
        n_positives = np.asarray((positives @ members.astype(np.float32)), dtype=np.int64)
        if not n_positives.any():
            continue
        bucket_hit = hit & members[lists]
        per_user = {
            (name, k): metric(bucket_hit, n_positives, k) for name, metric in RANKING_METRICS.items() for k in cutoffs
        }
        frames.append(_means(pd.DataFrame(per_user), user_bucket, bucket))
    columns = ["item_bucket", "user_bucket", "metric", "k", "value", "n_users"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def exposure_rows(
    lists: NDArray[np.int64],
    n_train: NDArray[np.int64],
    tail: NDArray[np.bool_],
    candidates: NDArray[np.bool_],
    n_train_users: int,
    cutoffs: Iterable[int],
) -> pd.DataFrame:
    """Measure what lists show (see :func:`tailor.metrics.exposure.exposure`), in the same columns."""
    rows = [
        (ALL, ALL, name, k, value, len(lists))
        for k in cutoffs
        for name, value in exposure(lists[:, :k], n_train, tail, candidates, n_train_users).items()
    ]
    return pd.DataFrame(rows, columns=["item_bucket", "user_bucket", "metric", "k", "value", "n_users"])


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
