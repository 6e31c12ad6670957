"""New interactions in a model that is served already: no language model, search or gate is fitted again."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.evaluation.drift import interpret_psi, psi
from tailor.hybrid.scorer import Hybrid
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings

#: Principal axes of the item embeddings along which drift is looked at.
_AXES = 3
_NEW, _WARMED = "users that are new", "items that were cold"


@dataclass(frozen=True)
class Update:
    """A model that has taken rows in, and what they were."""

    served: Recommender
    counts: dict[str, int]


def with_interactions(served: Recommender, rows: pd.DataFrame, sweeps: int) -> Update:
    """Take interactions in.

    Users' factors are fold-ins of their histories, so these grow and new users join. The factorization goes on from
    where it stands; EASE, transitions and popularity have closed forms and are computed anew from all histories.

    Args:
        served: a hybrid with histories.
        rows: user_id and item_id (known items), and timestamp where there is one; without, in the order they came.
        sweeps: of the factorization.

    Raises:
        BadInputError: the model is no hybrid.
    """
    if not isinstance(served.engine, Hybrid):
        raise BadInputError(f"A {type(served.engine).__name__} takes no interactions in, only the hybrid does")
    new_users = pd.Index(rows[c.USER].unique()).difference(pd.Index(served.user_ids), sort=False)
    user_ids = np.concatenate([served.user_ids, new_users.to_numpy(dtype=object)])
    came, known = _places(served, user_ids, rows), _grown(served.history, len(user_ids))
    history = sparse.csr_matrix(known.maximum(came), dtype=np.float32)
    touched = np.bincount(came.indices, minlength=came.shape[1]) > 0
    engine = served.engine.partial_fit(history, served.features, sweeps)
    about = served.about | {"fit_on": "update"}
    counts = {
        "interactions": int(came.nnz),
        "of them known before": int(known.nnz + came.nnz - history.nnz),
        _NEW: len(new_users),
        "items touched": int(touched.sum()),
        _WARMED: int((touched & ~served.engine.warm).sum()),
    }
    changed = replace(served, engine=engine, user_ids=user_ids, history=history, about=about)
    return Update(served.keeping_the_encoder(changed), counts)


def _grown(history: sparse.csr_matrix, n_users: int) -> sparse.csr_matrix:
    indptr = np.append(history.indptr, np.full(n_users - history.shape[0], history.indptr[-1]))
    return sparse.csr_matrix((history.data, history.indices, indptr), shape=(n_users, history.shape[1]))


def _places(served: Recommender, user_ids: NDArray[np.object_], rows: pd.DataFrame) -> sparse.csr_matrix:
    """Return the new cells (U, n_items), behind what is known of each user; 1 where the model knows no order."""
    user, item = pd.Index(user_ids).get_indexer(pd.Index(rows[c.USER])), served.places(rows[c.ITEM].tolist())
    data, shape = np.ones(len(rows)), (len(user_ids), len(served.item_ids))
    if served.history.nnz and np.ptp(served.history.data) > 0:
        latest = np.zeros(len(user_ids))
        latest[: len(served.user_ids)] = served.history.max(axis=1).toarray().ravel()
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
    item, known = before.places(rows[c.ITEM].tolist()), before.history.indices
    popularity = np.log1p(np.bincount(known, minlength=len(before.item_ids)))
    centred = before.features - before.features.mean(axis=0)
    axes = np.linalg.svd(centred.T @ centred)[0][:, :_AXES]
    found = {"popularity": psi(popularity[known], popularity[item])}
    for at, axis in enumerate((centred @ axes).T, start=1):
        found[f"embedding_{at}"] = psi(axis[known], axis[item])
    drawn = np.random.default_rng(seed).permutation(before.user_ids)[:n_users]
    asked, settings = [Request(user_id=str(user)) for user in drawn], Settings(k=k)
    before_it, after_it = (
        np.concatenate([answer.scores for answer in model.recommend(asked, settings)])
        for model in (before, update.served)
    )
    found["scores"] = psi(before_it, after_it)
    told = [(name, value, interpret_psi(value)) for name, value in found.items()]
    return pd.DataFrame(told, columns=["distribution", "psi", "reading"])
