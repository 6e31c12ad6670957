"""What an update is worth beside the champion: on new rows that it has not seen, and on what the champion knew.

Both models rank the whole catalogue, without what has expired. On new rows each answers with the histories that it
holds; neither lists what the update has taken in. The model that is registered was fitted on every old row, so no old
test rows are left: what is forgotten is the difference on the last item of old histories, which both models have seen
and which is hidden from the histories that they answer on.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import binary, last_of_each_row, positive_rows
from tailor.evaluation.update_rules import UpdateEvidence
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import Comparison, paired_bootstrap
from tailor.models.base import Csr, Indices, Query
from tailor.models.listing import recommend
from tailor.serving.recommender import Recommender
from tailor.serving.update import grown, with_interactions, without_pairs

Values = NDArray[np.float64]


def hold_out(rows: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the new rows without the last ones of their users, and these.

    Of a user with n rows n x share are held out, rounded up or down by a seeded draw, so that users with one row take
    part too.

    Args:
        rows: user_id, item_id, and timestamp where there is one; without, in the order they came. Rows whose time is
            missing come first.
        share: in [0, 1).
        seed: of the draw.
    """
    time = rows[c.TIMESTAMP].fillna(-np.inf).to_numpy() if c.TIMESTAMP in rows else np.zeros(len(rows))
    ordered = rows.iloc[np.argsort(time, kind="stable")]
    users, user = np.unique(ordered[c.USER].to_numpy(dtype=str), return_inverse=True)
    sizes = np.bincount(user, minlength=len(users))
    n_held = np.floor(sizes * share + np.random.default_rng(seed).random(len(users)))
    to_end = ordered.groupby(c.USER, sort=False).cumcount(ascending=False).to_numpy()
    held = to_end < n_held[user]
    return ordered[~held], ordered[held]


def check_update(
    before: Recommender, rows: pd.DataFrame, sweeps: int, n_users: int, k: int, share: float, seed: int
) -> UpdateEvidence:
    """Update a model by most of the new rows; compare it with the model as it was on the others, and on old rows.

    Args:
        before: the champion.
        rows: the new interactions.
        sweeps: of the factorization.
        n_users: users without new rows (drawn by seed) on whom forgetting is measured.
        k: length of lists.
        share: of the new rows that is held out.
        seed: of the draws.
    """
    known, held = hold_out(rows, share, seed)
    held = positive_rows(held)  # what speaks against a pair is nothing to be listed
    # A few rows may be held out as a whole: nothing is left to take in then.
    after = with_interactions(before, known, sweeps).recommender if len(known) else before
    new_rows = paired_bootstrap(*_on_new_rows(before, after, held, k), seed=seed)
    users = _without_rows(before, rows, n_users, seed)
    old_rows, overlap = _on_old_rows(before, after, users, k, seed)
    return UpdateEvidence(new_rows, old_rows, overlap)


def _on_new_rows(before: Recommender, after: Recommender, held: pd.DataFrame, k: int) -> tuple[Values, Values]:
    """Return NDCG@k of both models, the update first, for each user with a held-out pair that neither model knows."""
    users = after.users.indices(held[c.USER])
    cells = (
        np.ones(np.count_nonzero(users >= 0), np.float32),
        (
            users[users >= 0],
            after.items.indices(held[c.ITEM])[users >= 0],
        ),
    )
    shape = (len(after.users), len(after.items))
    taken = after.histories.history
    positives = binary(sparse.csr_matrix(cells, shape=shape, dtype=np.float32))
    positives = sparse.csr_matrix(positives - positives.multiply(taken))
    positives.eliminate_zeros()
    rows = np.flatnonzero(np.diff(positives.indptr))
    answers = [
        _values(model, grown(model.histories, shape[0]).take(rows), taken[rows], positives[rows], k)[0]
        for model in (after, before)
    ]
    return answers[0], answers[1]


def _on_old_rows(
    before: Recommender, after: Recommender, users: Indices, k: int, seed: int
) -> tuple[Comparison, float]:
    """Return the comparison on the hidden last items of users (V,), and the mean overlap of their lists."""
    query = before.histories.take(users)
    stored = query.history if query.order is None else query.order
    last = last_of_each_row(stored)
    hidden = without_pairs(query, last)
    (ours, now), (theirs, then) = (_values(model, hidden, hidden.history, last, k) for model in (after, before))
    stayed = [_share_that_stayed(a, b) for a, b in zip(now, then, strict=True)]
    return paired_bootstrap(ours, theirs, seed=seed), float(np.mean(stayed)) if stayed else float("nan")


def _share_that_stayed(now: Indices, then: Indices) -> float:
    before = then[then >= 0]
    return len(np.intersect1d(now[now >= 0], before)) / max(len(before), 1)


def _values(model: Recommender, query: Query, seen: Csr, positives: Csr, k: int) -> tuple[Values, Indices]:
    """Return NDCG@k (B,) and the lists (B, k) of some users over what the model may list."""
    lists = recommend(model.model, query, seen, {c.MIXED: ~model.gone}, k, model.tie_rank)[c.MIXED][0]
    positives = sparse.csr_matrix(positives)
    if not lists.shape[1]:
        return np.zeros(len(query)), lists
    return ndcg(hits(lists, positives), np.diff(positives.indptr), k), lists


def _without_rows(before: Recommender, rows: pd.DataFrame, n_users: int, seed: int) -> Indices:
    """Return known users (V,) with two items at least and no new row, drawn by seed."""
    came = before.users.indices(rows[c.USER].unique())
    able = before.histories.lengths > 1
    able[came[came >= 0]] = False
    return np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(able))[:n_users])
