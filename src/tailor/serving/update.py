"""New interactions in a model that is served already: no language model, search or gate is fitted again."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.data.buckets import HEAD_SHARE, tail_items
from tailor.data.ids import IdMap
from tailor.data.interactions import binary
from tailor.errors import BadInputError
from tailor.evaluation.drift import interpret_psi, psi
from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import Csr, Floats, Query, TrainSet
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings

#: Principal axes of the item embeddings along which drift is looked at.
_AXES = 3
_NEW, _WARMED = "users that are new", "items that were cold"


@dataclass(frozen=True)
class Update:
    """A model that has taken rows in, and what they were."""

    recommender: Recommender
    counts: dict[str, int]


def with_interactions(recommender: Recommender, rows: pd.DataFrame, sweeps: int) -> Update:
    """Take interactions in.

    Users' factors are fold-ins of their histories, so these grow and new users join. The factorization goes on from
    where it stands; EASE, transitions and popularity have closed forms and are computed anew from all histories.

    Args:
        recommender: with histories.
        rows: user_id and item_id (known items), and timestamp where there is one; without, in the order they came.
        sweeps: of the factorization.

    Raises:
        BadInputError: the model takes no interactions in.
    """
    model = recommender.model
    if not isinstance(model, HybridScorer):
        raise BadInputError(f"The model '{model.recipe.name}' takes no interactions in, only the hybrid does")
    new_users = pd.Index(rows[c.USER].unique()).difference(pd.Index(recommender.user_ids), sort=False)
    users = recommender.users.extend(new_users)
    came, known = _new_cells(recommender, users, rows), grown(recommender.histories, len(users))
    histories = joined(known, came)
    data = _train_set(recommender, model, histories)
    touched = np.bincount(came.indices, minlength=came.shape[1]) > 0
    counts = {
        "interactions": int(came.nnz),
        "of them known before": int(known.history.nnz + came.nnz - histories.history.nnz),
        _NEW: len(new_users),
        "items touched": int(touched.sum()),
        _WARMED: int((touched & ~model.warm).sum()),
    }
    model_now = replace(
        recommender,
        model=model.partial_fit(data, sweeps),
        users=users,
        histories=histories,
        about=recommender.about | {"fit_on": "update"},
    )
    return Update(recommender.keeping_the_encoder(model_now), counts)


def _train_set(recommender: Recommender, model: HybridScorer, histories: Query) -> TrainSet:
    """Return all histories as what is learnt from; head and tail are told apart as they were when it was fitted."""
    counts = np.bincount(histories.history.indices, minlength=histories.n_items)
    warm = model.warm | (counts > 0)
    share, seed = float(recommender.about.get("head_share", HEAD_SHARE)), int(recommender.about.get("seed", 0))
    return TrainSet.of(
        histories.history,
        warm,
        order=histories.order,
        tail=tail_items(counts, recommender.item_domains, share, seed),
        item_features=model.item_features,
        profiles=histories.profile,
    ).with_domains(model.domains)


def grown(histories: Query, n_users: int) -> Query:
    """Return the histories with empty rows for users who join."""

    def rows(matrix: Csr | None) -> Csr | None:
        if matrix is None:
            return None
        indptr = np.append(matrix.indptr, np.full(n_users - matrix.shape[0], matrix.indptr[-1]))
        return sparse.csr_matrix((matrix.data, matrix.indices, indptr), shape=(n_users, matrix.shape[1]))

    def wide(known: Floats) -> Floats:
        return np.vstack([known, np.zeros((n_users - len(known), known.shape[1]), np.float32)])

    order, history = rows(histories.order), rows(histories.history)
    return Query.of(
        histories.history if history is None else history,
        order,
        profile=wide(histories.profile),
        user_index=np.arange(n_users),
        user_text=wide(histories.user_text),
    )


def joined(histories: Query, came: Csr) -> Query:
    """Return the histories with more cells, whose values are places behind what is known."""
    stored = histories.history if histories.order is None else histories.order
    cells = sparse.csr_matrix(stored.maximum(came), dtype=np.float32)
    order = None if histories.order is None else cells
    return replace(histories, history=binary(cells), order=order, memo={})


def _new_cells(recommender: Recommender, users: IdMap, rows: pd.DataFrame) -> Csr:
    """Return the new cells (U, n_items), behind what is known of each user; 1 where the model knows no order."""
    user, item = users.indices(rows[c.USER]), recommender.items.indices(rows[c.ITEM])
    data, shape = np.ones(len(rows)), (len(users), len(recommender.items))
    known_order = recommender.histories.order
    if known_order is not None:
        latest = np.zeros(len(users))
        latest[: known_order.shape[0]] = known_order.max(axis=1).toarray().ravel()
        time = rows[c.TIMESTAMP].to_numpy() if c.TIMESTAMP in rows else np.zeros(len(rows))
        order = np.lexsort((np.arange(len(rows)), time, user))
        first = np.searchsorted(user[order], user[order])
        data[order] = latest[user[order]] + 1 + np.arange(len(rows)) - first
    cells = sparse.csr_matrix((data.astype(np.float32), (user, item)), shape=shape)
    cells.sort_indices()
    return cells


def drift(before: Recommender, update: Update, rows: pd.DataFrame, n_users: int, k: int, seed: int) -> pd.DataFrame:
    """Compare what comes with what was known.

    Args:
        before: the model as it was.
        update: what became of it.
        rows: the interactions that came.
        n_users: users (drawn by seed) whose lists are compared.
        k: length of these lists.
        seed: of the draw.

    Returns:
        Columns distribution, psi, reading: popularity of the items taken, their embeddings along the catalogue's
        principal axes, and the scores of lists.
    """
    item, known = before.items.indices(rows[c.ITEM]), before.histories.history.indices
    popularity = np.log1p(np.bincount(known, minlength=len(before.item_ids)))
    centred = before.item_features - before.item_features.mean(axis=0)
    axes = np.linalg.svd(centred.T @ centred)[0][:, :_AXES]
    values = {"popularity": psi(popularity[known], popularity[item])}
    for number, axis in enumerate((centred @ axes).T, start=1):
        values[f"embedding_{number}"] = psi(axis[known], axis[item])
    drawn = np.random.default_rng(seed).permutation(before.user_ids)[:n_users]
    requests, settings = [Request(user_id=str(user)) for user in drawn], Settings(k=k)
    before_it, after_it = (
        np.concatenate([answer.scores for answer in model.recommend(requests, settings)])
        for model in (before, update.recommender)
    )
    values["scores"] = psi(before_it, after_it)
    rows_of_table = [(name, value, interpret_psi(value)) for name, value in values.items()]
    return pd.DataFrame(rows_of_table, columns=["distribution", "psi", "interpretation"])
