"""New interactions in a model that is served already: no language model, search or gate is fitted again."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.data.buckets import HEAD_SHARE, tail_items
from tailor.data.ids import IdMap
from tailor.data.interactions import binary, empty_rows, positive_rows, taller
from tailor.data.item_times import ItemTimes
from tailor.data.people import SuppressionList
from tailor.errors import BadInputError
from tailor.evaluation.drift import interpret_psi, psi, psi_by_chance
from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import Csr, Floats, Mask, Query, TrainSet
from tailor.serving.events import EVENTS_UNTIL
from tailor.serving.people import without_suppressed
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tailor.serving.strengths import STRENGTHS, least_taken, taken

log = logging.getLogger(__name__)
#: Principal axes of the item embeddings along which drift is looked at.
_AXES = 3
_NEW, _WARMED = "users that are new", "items that were cold"
#: Key of ``about``, and what it says of a model that has taken rows in.
FIT_ON, UPDATE = "fit_on", "update"
_SUPPRESSED_MEANWHILE = "people suppressed while it was made, and left out"


@dataclass(frozen=True)
class Update:
    """A model that has taken rows in, and what it was made of."""

    recommender: Recommender
    counts: dict[str, int]
    before: Recommender = field(repr=False)
    """What took the rows in."""
    rows: pd.DataFrame = field(repr=False)
    sweeps: int
    model_id: str | None = None
    """Of the champion in MLflow that it is an update of; None: not known."""

    def until(self, place: int) -> "Update":
        """Return the update, whose model says that it has taken in all events up to a place."""
        about = self.recommender.about | {EVENTS_UNTIL: place}
        return replace(self, recommender=self.recommender.keeping_the_encoder(replace(self.recommender, about=about)))

    def of(self, model_id: str | None) -> "Update":
        """Return the update, which says of which champion it is one."""
        return replace(self, model_id=model_id)

    def holds(self, suppressed: SuppressionList) -> bool:
        """Tell whether somebody of the list is among the users."""
        return bool(suppressed.mask(self.recommender.user_ids).any())

    def leaving_out(self, suppressed: SuppressionList) -> "Update":
        """Return what the update would be if it had begun after these people were suppressed.

        It is made again from what it was made of without them, so that nothing of their rows is learnt or counted.

        Raises:
            BadInputError: no rows of others are left.
        """
        if not self.holds(suppressed):
            return self
        theirs, stays = suppressed.mask(self.rows[c.USER]), without_suppressed(self.before, suppressed)
        rows, users = self.rows[~theirs], int(suppressed.mask(self.recommender.user_ids).sum())
        log.info(
            "People who were suppressed while the update was made: %d; it is made again without their %d new rows and "
            "%d known interactions",
            users,
            int(theirs.sum()),
            stays.counts["interactions"],
        )
        if rows.empty:
            raise BadInputError(
                "There is nothing to take in any more: all new rows are of people who asked to be forgotten while the "
                "update was made. Nothing was registered."
            )
        again = with_interactions(stays.recommender, rows, self.sweeps)
        place = self.recommender.about.get(EVENTS_UNTIL)
        counts = {**self.counts, **again.counts, _SUPPRESSED_MEANWHILE: users}
        again = replace(again, model_id=self.model_id, counts=counts)
        return again if place is None else again.until(place)


def with_events(interactions: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Return both as one table in which each user has each item once, at its last time.

    Where rows say how sure they are, the surest counts, unless one speaks against the pair: that blocks it, whenever it
    was, as in a fit.

    Args:
        interactions: user_id and item_id, and timestamp (seconds since 1970) where there is one; without, they come
            before the events.
        events: user_id, item_id and timestamp.

    Raises:
        BadInputError: there is no row.
    """
    if interactions.empty and events.empty:
        raise BadInputError(
            "There is nothing to take in: no new_interactions.csv with rows, and no event since the last update that "
            "says something (docs/pipelines/update.md)."
        )
    both = pd.concat([table for table in (interactions, events) if len(table)], ignore_index=True)
    if c.TIMESTAMP in both:
        both = both.sort_values(c.TIMESTAMP, kind="stable", na_position="first", ignore_index=True)
    if c.CONFIDENCE in both:
        sure = both.assign(**{c.CONFIDENCE: both[c.CONFIDENCE].fillna(1.0)}).groupby([c.USER, c.ITEM])[c.CONFIDENCE]
        least, most = sure.transform("min"), sure.transform("max")
        both = both.assign(**{c.CONFIDENCE: least.where(least <= 0, most)})
    return both.drop_duplicates([c.USER, c.ITEM], keep="last", ignore_index=True)


def with_interactions(
    recommender: Recommender, rows: pd.DataFrame, sweeps: int, counts_before: Mapping[str, int] | None = None
) -> Update:
    """Take interactions in.

    Users' factors are fold-ins of their histories, so these grow and new users join. The factorization goes on from
    where it stands; EASE, transitions and popularity have closed forms and are computed anew from all histories.

    Args:
        recommender: with histories.
        rows: user_id and item_id (known items), and timestamp where there is one; without, in the order they came.
        sweeps: of the factorization.
        counts_before: of what was done to the recommender before; they join the counts of the update.

    Raises:
        BadInputError: the model takes no interactions in.
    """
    model = recommender.model
    if not isinstance(model, HybridScorer):
        raise BadInputError(f"The model '{model.recipe.name}' takes no interactions in, only the hybrid does")
    new_users = pd.Index(rows[c.USER].unique()).difference(pd.Index(recommender.user_ids), sort=False)
    users = recommender.users.extend(new_users)
    every, rows = rows, positive_rows(rows)
    came, known = _new_cells(recommender, users, rows), grown(recommender.histories, len(users))
    histories = joined(known, came, _new_confidence(recommender, users, rows))
    blocked = _blocked(recommender, users, every)
    if blocked is not None:
        histories = without_pairs(histories, blocked)
    data = _train_set(recommender, model, histories)
    n_blocked = 0 if blocked is None else int(blocked.nnz)
    n_blocked_before = 0 if recommender.blocked is None else int(recommender.blocked.nnz)
    touched = np.bincount(came.indices, minlength=came.shape[1]) > 0
    counts = {
        **(counts_before or {}),
        "interactions": int(came.nnz),
        "of them known before": int(came.multiply(known.history).nnz),
        _NEW: len(new_users),
        "items touched": int(touched.sum()),
        _WARMED: int((touched & ~model.warm).sum()),
    }
    if n_blocked > n_blocked_before:
        counts["pairs that are blocked now"] = n_blocked - n_blocked_before
    item_times, n_again = _item_times(recommender, rows)
    if n_again:
        counts["rows met again, which count once in what is trending"] = n_again
    model_now = replace(
        recommender,
        model=model.partial_fit(data, sweeps),
        users=users,
        histories=histories,
        blocked=blocked,
        about=recommender.about | {FIT_ON: UPDATE},
        item_times=item_times,
    )
    return Update(recommender.keeping_the_encoder(model_now), counts, recommender, every, sweeps)


def _item_times(recommender: Recommender, rows: pd.DataFrame) -> tuple[ItemTimes | None, int]:
    """Return when items were taken, with the rows that count as taken, and how many rows were met again.

    None where the model knows no times. What an earlier update has counted counts once: in a model that is an update,
    a row of a known pair that is not later than the newest that was counted is taken for one that was counted.
    """
    times = recommender.item_times
    if times is None or c.TIMESTAMP not in rows:
        return times, 0
    counted = taken(rows, recommender.about.get(STRENGTHS, {}), recommender.event_options.least)
    if recommender.about.get(FIT_ON) != UPDATE:
        return times.with_rows(counted, recommender.items), 0
    again = _is_known(recommender, counted) & (counted[c.TIMESTAMP] <= times.until).to_numpy()
    return times.with_rows(counted[~again], recommender.items), int(again.sum())


def _is_known(recommender: Recommender, rows: pd.DataFrame) -> Mask:
    """Mark the rows (n,) whose pair was taken before, by the histories, or is blocked."""
    user, item = recommender.users.indices(rows[c.USER]), recommender.items.indices(rows[c.ITEM])
    known = np.zeros(len(rows), dtype=bool)
    there, least = user >= 0, 0.0
    if not there.any():
        return known
    if c.CONFIDENCE in rows:
        least = least_taken(recommender.about.get(STRENGTHS, {}), recommender.event_options.least)
    weights = np.asarray(recommender.histories.weights[user[there], item[there]]).ravel()
    known[there] = (weights > 0) & (weights >= np.float32(least))
    if recommender.blocked is not None:
        known[there] |= np.asarray(recommender.blocked[user[there], item[there]]).ravel() > 0
    return known


def _train_set(recommender: Recommender, model: HybridScorer, histories: Query) -> TrainSet:
    """Return all histories as what is learnt from; head and tail are told apart as they were when it was fitted."""
    counts = np.bincount(histories.history.indices, minlength=histories.n_items)
    warm = model.warm | (counts > 0)
    share, seed = float(recommender.about.get("head_share", HEAD_SHARE)), int(recommender.about.get("seed", 0))
    return TrainSet.of(
        histories.history,
        warm,
        order=histories.order,
        confidence=histories.confidence,
        tail=tail_items(counts, recommender.item_domains, share, seed),
        item_features=model.item_features,
        profiles=histories.profile,
    ).with_domains(model.domains)


def grown(histories: Query, n_users: int) -> Query:
    """Return the histories with empty rows for users who join."""

    def rows(matrix: Csr | None) -> Csr | None:
        return None if matrix is None else taller(matrix, n_users)

    def wide(known: Floats) -> Floats:
        return np.vstack([known, np.zeros((n_users - len(known), known.shape[1]), np.float32)])

    order, history, confidence = rows(histories.order), rows(histories.history), rows(histories.confidence)
    return Query.of(
        histories.history if history is None else history,
        order,
        confidence,
        profile=wide(histories.profile),
        user_index=np.arange(n_users),
        user_text=wide(histories.user_text),
    )


def joined(histories: Query, came: Csr, came_confidence: Csr | None = None) -> Query:
    """Return the histories with more cells, whose values are places behind what is known.

    Args:
        histories: of U users.
        came: the new cells (U, n_items).
        came_confidence: how sure these are; None: 1 each. Of a pair that was known, the surer one counts.
    """
    stored = histories.history if histories.order is None else histories.order
    cells = sparse.csr_matrix(stored.maximum(came), dtype=np.float32)
    order = None if histories.order is None else cells
    confidence = None
    if histories.confidence is not None or came_confidence is not None:
        sure = binary(came) if came_confidence is None else came_confidence
        confidence = sparse.csr_matrix(histories.weights.maximum(sure), dtype=np.float32)
    return replace(histories, history=binary(cells), order=order, confidence=confidence, memo={})


def without_pairs(histories: Query, pairs: Csr) -> Query:
    """Return the histories without some pairs, 0/1 (U, n_items)."""

    def rest(matrix: Csr | None) -> Csr | None:
        if matrix is None:
            return None
        left = sparse.csr_matrix(matrix - matrix.multiply(pairs), dtype=np.float32)
        left.eliminate_zeros()
        left.sort_indices()
        return left

    history = rest(histories.history)
    order, confidence = rest(histories.order), rest(histories.confidence)
    return replace(
        histories,
        history=histories.history if history is None else history,
        order=order,
        confidence=confidence,
        memo={},
    )


def _new_confidence(recommender: Recommender, users: IdMap, rows: pd.DataFrame) -> Csr | None:
    """Return how sure the new cells are (U, n_items); None where neither rows nor model tell kinds apart."""
    if c.CONFIDENCE not in rows:
        return None
    cells = (users.indices(rows[c.USER]), recommender.items.indices(rows[c.ITEM]))
    shape = (len(users), len(recommender.items))
    sure = sparse.csr_matrix((rows[c.CONFIDENCE].to_numpy(dtype=np.float32), cells), shape=shape)
    sure.sort_indices()
    return sure


def _blocked(recommender: Recommender, users: IdMap, rows: pd.DataFrame) -> Csr | None:
    """Return the pairs that are blocked (U, n_items): those that were, and those that new rows block; None: none."""
    shape = (len(users), len(recommender.items))
    before = recommender.blocked
    blocked = empty_rows(*shape) if before is None else taller(before, shape[0])
    if c.CONFIDENCE in rows:
        more = rows[rows[c.CONFIDENCE] <= 0]
        cells = (users.indices(more[c.USER]), recommender.items.indices(more[c.ITEM]))
        blocked = binary(sparse.csr_matrix(blocked + sparse.csr_matrix((np.ones(len(more)), cells), shape=shape)))
    return blocked if blocked.nnz else None


def _new_cells(recommender: Recommender, users: IdMap, rows: pd.DataFrame) -> Csr:
    """Return the new cells (U, n_items), behind what is known of each user; 1 where the model knows no order."""
    user, item = users.indices(rows[c.USER]), recommender.items.indices(rows[c.ITEM])
    data, shape = np.ones(len(rows)), (len(users), len(recommender.items))
    known_order = recommender.histories.order
    if known_order is not None:
        latest = np.zeros(len(users))
        latest[: known_order.shape[0]] = known_order.max(axis=1).toarray().ravel()
        time = rows[c.TIMESTAMP].fillna(-np.inf).to_numpy() if c.TIMESTAMP in rows else np.zeros(len(rows))
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
        rows: the interactions that came; of those that speak against a pair nothing was taken.
        n_users: users (drawn by seed) whose lists are compared.
        k: length of these lists.
        seed: of the draw.

    Returns:
        Columns distribution, psi, interpretation, chance: popularity of the items taken, their embeddings along the
        catalogue's principal axes, and the scores of lists. ``chance`` is what as many rows reach without a shift.
    """
    item, known = before.items.indices(positive_rows(rows)[c.ITEM]), before.histories.history.indices
    popularity = np.log1p(np.bincount(known, minlength=len(before.item_ids)))
    centred = before.item_features - before.item_features.mean(axis=0)
    axes = np.linalg.svd(centred.T @ centred)[0][:, :_AXES]
    of_items = {"popularity": popularity}
    of_items |= {f"embedding_{number}": axis for number, axis in enumerate((centred @ axes).T, start=1)}
    values = {name: psi(of_item[known], of_item[item]) for name, of_item in of_items.items()}
    chance = {name: psi_by_chance(of_item[known], len(item), seed) for name, of_item in of_items.items()}
    drawn = np.random.default_rng(seed).permutation(before.user_ids)[:n_users]
    requests, settings = [Request(user_id=str(user)) for user in drawn], Settings(k=k)
    before_it, after_it = (
        np.concatenate([answer.scores for answer in model.recommend(requests, settings)])
        for model in (before, update.recommender)
    )
    values["scores"] = psi(before_it, after_it)
    table = [(name, value, interpret_psi(value), chance.get(name, 0.0)) for name, value in values.items()]
    return pd.DataFrame(table, columns=["distribution", "psi", "interpretation", "chance"])
