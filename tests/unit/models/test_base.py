"""What goes into models and comes out: queries and train sets, and what they refuse."""

import numpy as np
import pytest
from scipy import sparse

from tailor.errors import BadInputError
from tailor.models.base import Contexts, Query, TrainSet, part_of_state
from tailor.testing.planted import planted_blocks

HISTORY = sparse.csr_matrix(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.float32))
WARM = np.ones(3, bool)


def test_what_a_query_leaves_out_is_unknown():
    query = Query.of(HISTORY)
    assert (len(query), query.n_items) == (3, 3)
    assert query.lengths.tolist() == [2, 0, 1]
    assert query.order is None
    assert query.weights is query.history
    assert query.user_index.tolist() == [-1, -1, -1]
    assert query.profile.shape == query.context.shape == (3, 0)


def test_a_history_is_what_was_taken_whatever_its_values():
    places = sparse.csr_matrix(np.array([[2, 0, 1], [0, 0, 0], [0, 7, 0]], np.float32))
    query = Query.of(places)
    assert query.history.toarray().tolist() == HISTORY.toarray().tolist()
    assert places.toarray()[0].tolist() == [2, 0, 1]


def test_confidences_are_single_precision():
    confidence = sparse.csr_matrix(np.array([[0.5, 0, 2], [0, 0, 0], [0, 1, 0]], np.float64))
    query = Query.of(HISTORY, confidence=confidence)
    assert query.weights.dtype == np.float32
    assert query.weights.toarray().tolist() == confidence.toarray().tolist()


@pytest.mark.parametrize("name", ["order", "confidence"])
def test_order_and_confidence_have_the_cells_of_the_history(name):
    fewer = sparse.csr_matrix(np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0]], np.float32))
    message = rf"{name} has shape \(3, 3\) and 2 cells, the history \(3, 3\) and 3"
    with pytest.raises(BadInputError, match=message):
        Query.of(HISTORY, **{name: fewer})
    with pytest.raises(BadInputError, match=rf"{name} has shape \(2, 3\)"):
        Query.of(HISTORY, **{name: HISTORY[:2]})


def test_some_of_the_users_keep_all_that_is_known_of_them():
    planted = planted_blocks()
    query = planted.query()
    some = query.take(np.array([7, 2]))
    for name in ("history", "order"):
        np.testing.assert_array_equal(getattr(some, name).toarray(), getattr(query, name).toarray()[[7, 2]])
    for name in ("profile", "context", "user_index"):
        np.testing.assert_array_equal(getattr(some, name), getattr(query, name)[[7, 2]])


def test_blocks_are_the_whole_and_share_no_memo():
    query = planted_blocks().query()
    query.memo["x"] = 1
    parts = list(query.blocks(32))
    assert [rows for rows, _ in parts] == [slice(0, 32), slice(32, 64), slice(64, 80)]
    assert np.concatenate([part.user_index for _, part in parts]).tolist() == query.user_index.tolist()
    assert not any(part.memo for _, part in parts)


def test_interactions_of_cold_items_are_refused():
    with pytest.raises(BadInputError, match="1 train interactions belong to items that must be treated as cold"):
        TrainSet.of(HISTORY, np.array([True, False, True]))


def test_shapes_that_differ_are_refused():
    with pytest.raises(BadInputError, match="interactions have 3 items, warm 2, item_features 3: they must agree"):
        TrainSet.of(HISTORY, WARM[:2], item_features=np.zeros((3, 4), np.float32))
    with pytest.raises(BadInputError, match="interactions have 3 items, warm 3, item_features 4: they must agree"):
        TrainSet.of(HISTORY, WARM, item_features=np.zeros((4, 4), np.float32))


@pytest.mark.parametrize("name", ["order", "confidence"])
def test_a_train_sets_order_and_confidence_have_its_cells(name):
    fewer = sparse.csr_matrix(np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0]], np.float32))
    with pytest.raises(BadInputError, match=rf"{name} has shape \(3, 3\) and 2 cells, the interactions \(3, 3\) and 3"):
        TrainSet.of(HISTORY, WARM, **{name: fewer})


def test_what_a_train_set_leaves_out_is_unknown():
    data = TrainSet.of(HISTORY * 5, WARM)
    assert data.interactions.toarray().tolist() == HISTORY.toarray().tolist()
    assert data.counts.tolist() == [1, 1, 1]
    assert not data.tail.any()
    assert (data.item_features.shape, data.profiles.shape) == ((3, 0), (3, 0))
    assert data.contexts.values.shape == (0, 0)
    assert data.order is None


def test_the_users_of_a_train_set_are_a_query():
    data = planted_blocks().data
    query = data.queries()
    np.testing.assert_array_equal(query.history.toarray(), data.interactions.toarray())
    np.testing.assert_array_equal(query.order.toarray(), data.order.toarray())
    np.testing.assert_array_equal(query.profile, data.profiles)
    assert not query.context.any()
    assert query.context.shape == (80, 2)
    assert query.user_index.tolist() == list(range(80))


def test_users_who_came_after_the_profiles_have_none():
    data = TrainSet.of(HISTORY, WARM, profiles=np.ones((2, 4), np.float32))
    assert data.queries().profile.tolist() == [[1.0] * 4, [1.0] * 4, [0.0] * 4]


def test_features_can_be_exchanged_and_taken_off():
    data = planted_blocks().data
    other = np.zeros_like(data.item_features)
    assert data.with_features(other).item_features is other
    assert data.without_features().item_features.shape == (data.n_items, 0)
    assert data.item_features.any()


def test_no_contexts():
    none = Contexts.none()
    assert len(none.users) == len(none.items) == len(none.values) == 0


def test_a_part_of_a_state_is_found_by_its_whole_name():
    one, two = np.zeros(1), np.zeros(2)
    assert part_of_state({"a/x": one, "ab/x": two, "a/b/y": two}, "a") == {"x": one, "b/y": two}
