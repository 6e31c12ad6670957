"""The metrics table: every list set measured by item bucket and user bucket, in long form."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor.metrics import diversity
from tailor.metrics.accuracy import RANKING_METRICS, hits, propensities, propensity_recall
from tailor.metrics.exposure import exposure, parity

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


@dataclass(frozen=True)
class Content:
    """What metrics beyond accuracy look at, besides lists."""

    vectors: NDArray[np.float32]
    """L2-normalised item embeddings (n_items, m); the same for every model that is compared."""
    categories: sparse.csr_matrix
    """0/1 (n_items, n_categories)."""
    n_train: NDArray[np.int64]
    """(n_items,)."""
    group: NDArray[np.int64]
    """Popularity group per item (n_items,): 0 head, 1 tail, 2 without train interactions."""


def beyond_accuracy_rows(
    lists: NDArray[np.int64],
    positives: sparse.csr_matrix,
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    candidates: NDArray[np.bool_],
    user_bucket: NDArray[np.str_],
    content: Content,
    k: int,
) -> pd.DataFrame:
    """Measure diversity, surprise, calibration and parity of lists at one cut-off, in the same columns.

    Args:
        lists: internal item ids (U, K), -1 for an empty place.
        positives: (U, n_items).
        history: what the users are known for (U, n_items).
        seen: what lists leave out (U, n_items).
        candidates: items that could be listed (n_items,).
        user_bucket: bucket per user (U,).
        content: embeddings, categories, popularity.
        k: cut-off.
    """
    top, has = lists[:, :k], np.diff(positives.indptr) > 0
    hit = hits(top, positives)
    weighted = propensity_recall(top, positives, propensities(content.n_train), k)
    per_user = {
        ("propensity_recall", k): weighted,
        ("intra_list_diversity", k): diversity.intra_list_diversity(top, content.vectors),
        ("unexpectedness", k): diversity.mean_unexpectedness(top, history, content.vectors),
        ("serendipity", k): np.where(has, diversity.serendipity(top, hit, history, content.vectors), np.nan),
        ("popularity_calibration", k): diversity.popularity_calibration(top, history, content.group, 3),
    }
    if content.categories.shape[1]:
        per_user[("category_diversity", k)] = diversity.category_diversity(top, content.categories)
        per_user[("category_calibration", k)] = diversity.category_calibration(top, history, content.categories)
    shown = (len(lists) - np.diff(sparse.csc_matrix(seen).indptr)) * candidates
    wanted = np.diff(sparse.csc_matrix(positives).indptr)
    even = parity(top, hit, shown, wanted, content.group, 3)
    over_lists = [(ALL, ALL, name, k, value, len(lists)) for name, value in even.items()]
    frame = pd.DataFrame(over_lists, columns=["item_bucket", "user_bucket", "metric", "k", "value", "n_users"])
    return pd.concat([_means(pd.DataFrame(per_user), user_bucket, ALL), frame], ignore_index=True)


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
