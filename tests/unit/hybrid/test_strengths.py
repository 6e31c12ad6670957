"""Strengths on the validation side of the split: fits, histories, what is left out, and other strengths of a search."""

import numpy as np
import pytest
from scipy import sparse

from tailor.data.events import EventOptions
from tailor.data.interactions import binary
from tailor.evaluation.protocol import test_protocol as rules_of_test
from tailor.evaluation.protocol import train_rows, validation_protocol
from tailor.hybrid.holdout import gather_train_set, hold_out
from tailor.hybrid.strengths import searched_kinds, with_other_strengths
from tests.unit.hybrid.test_holdout import rows_of

WEIGHTS = {"view": 0.2, "cart": 0.6, "buy": 1.0, "returned": -0.5, "not_for_me": "bar"}


@pytest.fixture(scope="module")
def strengths(tables):
    """Every third train row is a view; the first user has two blocked pairs."""
    known = sparse.csr_matrix(tables.matrices["train"] + tables.matrices["validation"], dtype=np.float32)
    train = tables.matrices["train"].tocoo()
    rows = np.arange(train.nnz) % 3 == 0
    views = sparse.csr_matrix((np.full(rows.sum(), 0.8), (train.row[rows], train.col[rows])), known.shape)
    free = np.flatnonzero(known[[0]].toarray().ravel() == 0)[:2]
    blocked = sparse.csr_matrix((np.ones(2), ([0, 0], free)), known.shape)
    return sparse.csr_matrix(known - views - blocked, dtype=np.float32)


@pytest.fixture(scope="module")
def rows(tables, strengths):
    return rows_of(tables) | {"strengths": strengths}


def test_confidences_are_in_fits_and_histories(tables, rows):
    made, plain = hold_out(tables.items, 0, **rows), hold_out(tables.items, 0, **rows_of(tables))
    data = made.train_set(tables.features)
    assert set(np.round(data.confidence.data, 3)) == {np.float32(0.2), np.float32(1)}
    assert (binary(data.confidence) != plain.train_set(tables.features).interactions).nnz == 0
    assert made.histories.confidence.nnz == made.histories.history.nnz
    assert plain.train_set(tables.features).confidence is None


def test_blocked_pairs_are_left_out_of_lists(tables, rows, strengths):
    blocked = np.flatnonzero(strengths[[0]].toarray().ravel() < 0)
    made = hold_out(tables.items, 0, **rows)
    assert made.seen[[0]].toarray().ravel()[blocked].tolist() == [1, 1]
    assert made.histories.history[[0]].toarray().ravel()[blocked].tolist() == [0, 0]
    known = {name: rows[name] for name in ("train", "validation", "order", "side_features", "strengths")}
    known |= {"cold_unused": tables.matrices["cold_unused"]}
    for rules in (rules_of_test(tables.items, **known), validation_protocol(tables.items, **train_rows(known))):
        assert rules.seen[[0]].toarray().ravel()[blocked].tolist() == [1, 1]
        assert rules.histories.confidence.nnz == rules.histories.history.nnz


def test_few_shot_users_reveal_what_is_no_weaker_than_validation(tables, rows, strengths):
    made, plain = hold_out(tables.items, 0, **rows), hold_out(tables.items, 0, **rows_of(tables))
    weak = (made.reveal_order.astype(bool).multiply(strengths < 1)).nnz
    assert weak == 0
    assert 0 < made.reveal_order.nnz < plain.reveal_order.nnz


def test_final_train_sets_have_confidences(tables, rows):
    side = rows["side_features"]
    data = gather_train_set(rows["train"], rows["order"], tables.items, side, None, rows["strengths"])
    assert data.weights is data.confidence
    assert data.confidence.data.min() == pytest.approx(0.2)
    assert gather_train_set(rows["train"], rows["order"], tables.items, side).confidence is None


def test_kinds_that_a_search_may_weigh():
    assert searched_kinds(EventOptions(weights=WEIGHTS)) == {"view": 0.2, "cart": 0.6}
    assert searched_kinds(EventOptions(weights=WEIGHTS, positive=0.5)) == {"view": 0.2}
    assert searched_kinds(EventOptions()) == {}
    assert searched_kinds(EventOptions(weights={"view": 0.2, "buy": 0.3333333})) == {"view": 0.2}  # hits have 0.333333


def test_other_strengths_change_the_pairs_of_their_kind_alone(tables, rows):
    made = hold_out(tables.items, 0, **rows)
    changed = with_other_strengths(made, {"view": 0.2, "cart": 0.6}, {"view": 0.6, "cart": 0.3})
    before, after = made.histories.confidence.data, changed.histories.confidence.data
    np.testing.assert_allclose(after, np.where(before < 0.5, 0.6, 1.0))
    assert changed.train_set(tables.features).confidence.data.min() == pytest.approx(0.6)
    plain = hold_out(tables.items, 0, **rows_of(tables))
    assert with_other_strengths(plain, {"view": 0.2}, {"view": 0.5}) is plain


def test_a_search_may_swap_two_strengths(tables, rows):
    made = hold_out(tables.items, 0, **rows)
    changed = with_other_strengths(made, {"view": 0.2, "buy": 1.0}, {"view": 1.0, "buy": 0.2})
    before, after = made.histories.confidence.data, changed.histories.confidence.data
    np.testing.assert_allclose(before + after, 1.2)


def test_tuned_strengths_take_the_place_of_those_of_the_catalogue():
    options = EventOptions(weights=WEIGHTS).with_weights({"view": 0.4, "gone": 0.9})
    assert options.weights == WEIGHTS | {"view": 0.4}
