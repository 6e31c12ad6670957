"""From requests to histories: what is known comes first, then what the request says, in its order."""

import numpy as np
import pytest
from scipy import sparse

from tailor.data.ids import IdMap
from tailor.models.base import Query
from tailor.serving.history import join_histories, rows_of_ids, widened
from tailor.serving.schema import Request, Settings

IDS = IdMap(["a", "b", "c", "d"])
NONE = np.zeros((1, 0), np.float32)


def csr(*rows):
    return sparse.csr_matrix(np.array(rows, np.float32))


def join(request, users=(-1,), settings=None, histories=None):
    histories = histories or Query.of(csr([1, 1, 0, 0]), csr([2, 1, 0, 0]))
    return join_histories(histories, np.array(users), [request], settings or Settings(), IDS, NONE, NONE)


def test_lists_become_rows():
    matrix, n_unknown = rows_of_ids([["c", "x", "a", "y"], [], ["b"]], IDS)
    assert matrix.toarray().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert n_unknown.tolist() == [2, 0, 0]
    nothing, n_unknown = rows_of_ids([[], []], IDS)
    assert (nothing.shape, nothing.nnz, n_unknown.tolist()) == ((2, 4), 0, [0, 0])


def test_of_an_id_that_is_named_twice_the_later_value_counts():
    matrix, _ = rows_of_ids([["a", "b", "a"]], IDS, [[1.0, 2.0, 3.0]])
    assert matrix.toarray().tolist() == [[3, 2, 0, 0]]
    batch = join(Request(history=["a", "b", "a"]))
    assert batch.query.history.toarray().tolist() == [[1, 1, 0, 0]]
    assert batch.query.order.toarray().tolist() == [[3, 2, 0, 0]]
    assert batch.n_given.tolist() == [2]


def test_what_a_request_says_comes_after_what_is_known():
    batch = join(Request("u", history=["d", "ghost", "c"]), users=[0])
    assert batch.query.history.toarray().tolist() == [[1, 1, 1, 1]]
    assert batch.query.order.toarray().tolist() == [[2, 1, 5, 3]]  # the unknown one keeps its place
    assert (batch.n_given.tolist(), batch.n_unknown.tolist()) == ([2], [1])
    assert batch.query.user_index.tolist() == [0]
    assert batch.query.confidence is None


def test_an_item_that_is_named_again_is_the_latest():
    batch = join(Request("u", history=["b"]), users=[0])
    assert batch.query.order.toarray().tolist() == [[2, 3, 0, 0]]


def test_where_no_order_is_known_the_stored_items_share_a_place():
    batch = join(Request("u", history=["c", "d"]), users=[0], histories=Query.of(csr([1, 1, 0, 0])))
    assert batch.query.order.toarray().tolist() == [[1, 1, 2, 3]]


def test_of_who_is_not_known_only_the_request_counts():
    batch = join(Request(history=["c"]))
    assert batch.query.history.toarray().tolist() == [[0, 0, 1, 0]]
    assert join(Request()).query.lengths.tolist() == [0]


def test_weights_and_half_life():
    batch = join(Request("u", history=["d", "c"], weights=[0.5, 3.0]), users=[0])
    assert batch.query.confidence.toarray().tolist() == [[1, 1, 3, 0.5]]
    faded = join(Request("u", history=["d", "c", "b"]), users=[0], settings=Settings(half_life=2.0))
    np.testing.assert_allclose(faded.query.confidence.toarray(), [[0.5**1.5, 1, 0.5**0.5, 0.5]], rtol=1e-6)
    both = join(Request(history=["d", "c"], weights=[4.0, 1.0]), settings=Settings(half_life=1.0))
    assert both.query.confidence.toarray().tolist() == [[0, 0, 1, 2]]


def test_a_half_life_acts_on_stored_histories_too():
    """Places 1, 2, 3 of the stored items, two of the request's behind them: 4, 3 and 2 back; 1 and 0 the request's."""
    stored = Query.of(csr([1, 1, 1, 0]), csr([20, 30, 10, 0]))
    alone = join(Request("u"), users=[0], settings=Settings(half_life=1.0), histories=stored)
    assert alone.query.confidence.toarray().tolist() == [[0.5, 1, 0.25, 0]]
    behind = join(Request("u", history=["d", "a"]), users=[0], settings=Settings(half_life=1.0), histories=stored)
    assert behind.query.confidence.toarray().tolist() == [[1, 0.25, 0.0625, 0.5]]
    no_order = join(Request("u"), users=[0], settings=Settings(half_life=1.0), histories=Query.of(csr([1, 1, 0, 0])))
    assert no_order.query.confidence.toarray().tolist() == [[1, 1, 0, 0]]
    tiny = join(Request("u"), users=[0], settings=Settings(half_life=1e-3), histories=stored)
    assert tiny.query.confidence.nnz == 3


def test_a_weight_that_would_be_0_keeps_its_item():
    batch = join(Request(history=["a", "b", "c", "d"]), settings=Settings(half_life=1e-3))
    confidence = batch.query.confidence
    assert confidence.nnz == batch.query.history.nnz == 4
    assert (confidence.data > 0).all()


@pytest.mark.parametrize(
    ("request_", "users", "profile", "path"),
    [
        (Request("u"), [0], [[0.0]], "known_user"),
        (Request("u", history=["x"]), [0], [[0.0]], "known_user"),
        (Request("u", history=["c"]), [0], [[0.0]], "fold_in"),
        (Request(history=["c"]), [-1], [[1.0]], "fold_in"),
        (Request(profile={"age": 3}), [-1], [[1.0]], "profile"),
        (Request(), [-1], [[0.0]], "popular"),
    ],
)
def test_paths(request_, users, profile, path):
    histories = Query.of(csr([1, 1, 0, 0]))
    profiles, none = np.array(profile, np.float32), np.zeros((1, 0), np.float32)
    batch = join_histories(histories, np.array(users), [request_], Settings(), IDS, profiles, none)
    assert batch.path(0) == path


def test_a_user_without_items_is_not_known_by_them():
    """A row of the table, and nothing in it: the profile, or what is popular."""
    empty = Query.of(csr([0, 0, 0, 0]))
    assert join(Request("u"), users=[0], histories=empty).path(0) == "popular"


def test_histories_over_a_larger_catalogue():
    wide = widened(Query.of(csr([1, 0], [0, 1]), csr([1, 0], [0, 2])), 3)
    assert wide.history.toarray().tolist() == [[1, 0, 0], [0, 1, 0]]
    assert wide.order.toarray().tolist() == [[1, 0, 0], [0, 2, 0]]
    assert widened(Query.of(csr([1, 0])), 3).order is None
