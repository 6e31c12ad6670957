"""The validation side of the split: what is hidden from the fits, and what is measured."""

import numpy as np
import pytest
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import empty_rows, keep_items
from tailor.data.side_features import SideFeatures
from tailor.hybrid.holdout import MIXED_COLD, Holdout, hold_out
from tailor.models.base import FittedModel, Query
from tailor.models.registry import build


class Scores(FittedModel):
    """Says the same to all."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, np.float32)

    @property
    def n_items(self):
        return len(self.scores)

    def _score(self, query):
        return np.tile(self.scores, (len(query), 1))

    def state(self):
        return {}


def test_pseudo_cold_b_is_hidden(holdout, tables):
    b = (tables.items[c.PSEUDO_COLD] == "B").to_numpy()
    assert holdout.interactions[:, np.flatnonzero(b)].nnz == 0
    assert holdout.histories.history[:, np.flatnonzero(b)].nnz == 0
    assert holdout.seen[:, np.flatnonzero(b)].nnz > 0
    assert holdout.reveal_order[:, np.flatnonzero(b)].nnz == 0
    np.testing.assert_array_equal(holdout.cold, b)
    assert not (holdout.warm & b).any()
    assert not (holdout.tail & b).any()
    assert not holdout.candidates[(tables.items[c.BUCKET] == c.COLD).to_numpy()].any()


def test_few_shot_users_are_in_no_fit_but_keep_their_history(holdout):
    n_known = int((np.diff(holdout.seen.indptr) > 0).sum())
    assert len(holdout.few_shot_users) == round(0.1 * n_known)
    assert holdout.interactions[holdout.few_shot_users].nnz == 0
    assert holdout.histories.history[holdout.few_shot_users].nnz > 0
    others = np.setdiff1d(np.arange(len(holdout.histories)), holdout.few_shot_users)
    assert (holdout.interactions[others] != holdout.histories.history[others]).nnz == 0


def test_the_train_set_is_what_is_not_hidden(holdout, tables):
    data = holdout.train_set(tables.features)
    assert (data.interactions != holdout.interactions).nnz == 0
    assert ((data.order > 0) != (data.interactions > 0)).nnz == 0
    assert (data.order != tables.order.multiply(data.interactions > 0)).nnz == 0
    np.testing.assert_array_equal(data.warm, holdout.warm)
    np.testing.assert_array_equal(data.item_features, tables.features)


def test_few_shot_users_reveal_their_first_items_in_time(holdout, tables):
    """Places come from train and validation rows alone, in the order of the timestamps."""
    places = tables.reveal_order
    user = tables.users[c.USER].iloc[int(np.diff(places.indptr).argmax())]
    rows = tables.interactions[tables.interactions[c.USER] == user]
    rows = rows[rows[c.SPLIT].isin([c.TRAIN, c.VALIDATION, c.NEW_USER])]
    earliest = rows.loc[rows[c.TIMESTAMP].idxmin(), c.ITEM]
    row = places[[tables.users[c.USER].tolist().index(user)]]
    assert tables.items[c.ITEM].iloc[row.indices[row.data.argmin()]] == earliest
    assert (holdout.reveal_order != keep_items(places, holdout.warm)).nnz == 0


def test_without_an_order_the_same_cells_are_revealed(holdout, tables):
    train, validation = tables.matrices["train"], tables.matrices["validation"]
    built = Holdout.build(train, validation, tables.items, 0)
    assert built.histories.order is None
    assert built.train_set(tables.features).order is None
    known = keep_items(sparse.csr_matrix(train + validation), built.warm)
    assert ((built.reveal_order > 0) != (known > 0)).nnz == 0
    for row in range(20):
        values = built.reveal_order[[row]].data
        assert len(set(values.tolist())) == len(values)


def test_another_seed_draws_other_users(holdout, tables):
    other = Holdout.build(tables.matrices["train"], tables.matrices["validation"], tables.items, 1)
    assert len(other.few_shot_users) == len(holdout.few_shot_users)
    assert other.few_shot_users.tolist() != holdout.few_shot_users.tolist()


def test_an_order_that_misses_rows_is_refused(tables):
    order = tables.order.copy()
    order.data[:10] = 0
    order.eliminate_zeros()
    with pytest.raises(ValueError, match="order has shape"):
        Holdout.build(tables.matrices["train"], tables.matrices["validation"], tables.items, 0, order=order)


def test_measures_by_hand(holdout):
    """One list for all: each figure is the mean over the users with a positive of its kind."""
    popular = np.asarray(holdout.interactions.sum(axis=0)).ravel()
    values = holdout.measure(Scores(popular), 10)
    k, rows = 10, np.flatnonzero(np.diff(holdout.validation.indptr) > 0)

    def ndcg(candidates, counted):
        per_user = []
        for user in rows:
            seen = set(holdout.seen[[user]].indices.tolist())
            wanted = set(holdout.validation[[user]].indices.tolist()) & set(np.flatnonzero(counted).tolist())
            allowed = [i for i in np.flatnonzero(candidates) if i not in seen]
            best = sorted(allowed, key=lambda i: (-popular[i], holdout.tie_rank[i]))[:k]
            gain = sum(1 / np.log2(place + 2) for place, item in enumerate(best) if item in wanted)
            if wanted:
                per_user.append(gain / sum(1 / np.log2(place + 2) for place in range(min(k, len(wanted)))))
        return np.mean(per_user)

    warm = holdout.candidates & ~holdout.cold
    assert values[c.WARM] == pytest.approx(ndcg(warm, warm))
    assert values[c.TAIL] == pytest.approx(ndcg(warm, holdout.tail))
    assert values[c.COLD] == pytest.approx(ndcg(holdout.cold, holdout.cold))
    assert values[c.MIXED] == pytest.approx(ndcg(holdout.candidates, holdout.candidates))
    assert values[MIXED_COLD] == pytest.approx(ndcg(holdout.candidates, holdout.cold))


def test_a_fitted_model_is_measured(holdout, tables):
    data = holdout.train_set(tables.features)
    values = {name: holdout.measure(build(name, {}, 0).fit(data), 10) for name in ("random", "popular", "text_knn")}
    assert values["text_knn"][c.WARM] > values["popular"][c.WARM] > values["random"][c.WARM]
    assert values["text_knn"][c.COLD] > 1.2 * values["popular"][c.COLD]


def test_queries_of_the_train_set_are_its_users(holdout, tables):
    queries = holdout.train_set(tables.features).queries()
    assert isinstance(queries, Query)
    assert queries.user_index.tolist() == list(range(len(queries)))


def rows_of(tables):
    """What `hold_out` takes of users' rows."""
    matrices = {name: tables.matrices[name] for name in ("train", "validation")}
    side = vars(SideFeatures.nothing(len(tables.users)))
    return matrices | {"order": tables.order, "reveal_order": tables.reveal_order, "side_features": side}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_share_of_the_users_with_train_rows_is_in_no_fit(tables, holdout, share):
    made = hold_out(tables.items, 0, share, **rows_of(tables))
    known = np.flatnonzero(np.diff(holdout.seen.indptr) > 0)
    assert len(made.few_shot_users) == round(share * len(known))
    assert np.isin(made.few_shot_users, known).all()
    assert (np.diff(made.few_shot_users) > 0).all()
    fitted = np.flatnonzero(np.diff(made.interactions.indptr) > 0)
    assert not np.isin(made.few_shot_users, fitted).any()
    if share == 0.1:
        assert made.few_shot_users.tolist() == holdout.few_shot_users.tolist()
    if share == 0:
        assert (made.interactions != made.histories.history).nnz == 0


def test_a_split_without_pseudo_cold_items_is_said_to_be_one(tables, caplog):
    items = tables.items.assign(**{c.PSEUDO_COLD: "none"})
    made = hold_out(items, 0, **rows_of(tables))
    assert caplog.messages == [
        "No item is pseudo-cold: choices are made on warm items, and cold items take the warm weights"
    ]
    assert not made.has_cold_items
    np.testing.assert_array_equal(made.warm, (items[c.N_TRAIN] > 0).to_numpy())
    values = made.measure(build("popular", {}, 0).fit(made.train_set(tables.features)), 10)
    assert values[c.WARM] == values[c.MIXED] > 0
    assert values[c.COLD] == values[MIXED_COLD] == 0


@pytest.mark.parametrize("timed", [True, False])
def test_a_catalogue_without_times_is_said_to_be_one(tables, caplog, timed):
    order = tables.order if timed else empty_rows(*tables.order.shape)
    made = hold_out(tables.items, 0, **(rows_of(tables) | {"order": order}))
    assert made.knows_order == timed
    reason = "data_processing.split.strategy is random"
    readers = "slit, recent_ease, recent_text, transformer, sasrec, transition_knn"
    said = f"The catalogue has no times, or {reason}: {readers} left out"
    assert caplog.messages == ([] if timed else [said])


def test_every_model_is_measured_on_the_same_sample_of_users(holdout, tables):
    asked = []

    class Notes(Scores):
        def _score(self, query):
            asked.append(query.user_index.tolist())
            return super()._score(query)

    popular = np.asarray(tables.matrices["train"].sum(axis=0)).ravel().astype(np.float32)
    with_rows = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    for _ in range(2):
        values = holdout.measure(Notes(popular), 10, max_users=15)
    assert asked[0] == asked[1]
    assert len(asked[0]) == 15
    assert set(asked[0]) < set(with_rows)
    everybody = holdout.measure(Notes(popular), 10)
    assert asked[2] == with_rows.tolist()
    assert holdout.measure(Notes(popular), 10, max_users=len(with_rows)) == everybody
    assert values != everybody
