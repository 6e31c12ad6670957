"""Masks over items, matrices of splits, and what is derived from them."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.interactions import (
    binary,
    bucket_items,
    category_matrix,
    cells,
    empty_rows,
    first_of_each_row,
    in_order,
    keep_items,
    keep_users,
    last_of_each_row,
    order_matrix,
    pseudo_cold_items,
    recency,
    restrict_order,
    split_matrix,
    trainable_items,
    warm_items,
)

USERS = pd.DataFrame({"user_id": ["u", "v", "w"]})
ITEMS = pd.DataFrame({"item_id": list("abcd")})
ROWS = pd.DataFrame(
    {
        "user_id": ["u", "u", "u", "v", "v", "u"],
        "item_id": ["a", "b", "c", "c", "a", "d"],
        "timestamp": [4.0, 2.0, 3.0, 9.0, 8.0, 1.0],
        "split": ["train", "train", "validation", "train", "new_user", "test"],
    }
)
ORDER = sparse.csr_matrix(np.array([[3, 1, 2, 0], [1, 0, 2, 0], [0, 0, 0, 0]], np.float32))


def matrix(rows):
    return sparse.csr_matrix(np.array(rows, np.float32))


def test_masks_of_the_item_table():
    items = pd.DataFrame(
        {
            "n_train": [3, 1, 2, 0, 0],
            "bucket": ["head", "tail", "tail", "cold", "unseen"],
            "pseudo_cold": ["none", "A", "B", "none", "none"],
        }
    )
    assert warm_items(items).tolist() == [True, True, True, False, False]
    assert pseudo_cold_items(items, "B").tolist() == [False, False, True, False, False]
    assert trainable_items(items).tolist() == [True, False, False, False, False]
    assert bucket_items(items, "tail").tolist() == [False, True, True, False, False]


def test_a_split_is_a_matrix_of_ones():
    train = split_matrix(ROWS, USERS, ITEMS, ["train"])
    assert train.dtype == np.float32
    assert train.toarray().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    both = split_matrix(ROWS, USERS, ITEMS, ("train", "validation"))
    assert both.toarray().tolist() == [[1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert split_matrix(ROWS, USERS, ITEMS, ["cold"]).nnz == 0


def test_an_order_numbers_the_rows_of_each_user_from_1_in_time():
    order = order_matrix(ROWS, USERS, ITEMS, ("train", "validation", "new_user"))
    assert order.toarray().tolist() == ORDER.toarray().tolist()
    assert order.has_sorted_indices


def test_an_order_counts_only_the_splits_asked_for():
    assert order_matrix(ROWS, USERS, ITEMS, ("train",)).toarray().tolist() == [[2, 1, 0, 0], [0, 0, 1, 0], [0] * 4]
    assert order_matrix(ROWS, USERS, ITEMS, ("cold",)).nnz == 0


@pytest.mark.parametrize("timed", [True, False])
def test_an_order_does_not_depend_on_how_rows_come(timed):
    rng = np.random.default_rng(0)
    pairs = [(f"u{u}", f"i{i}") for u in range(9) for i in rng.choice(30, 12, replace=False)]
    rows = pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(split="train", timestamp=rng.integers(0, 3, 108))
    rows = rows if timed else rows.drop(columns="timestamp")
    users, items = (pd.DataFrame({name: sorted(rows[name].unique())}) for name in ("user_id", "item_id"))
    order = order_matrix(rows, users, items, ["train"])
    again = order_matrix(rows.sample(frac=1, random_state=1), users, items, ["train"])
    assert (order != again).nnz == 0
    for row in order:
        assert sorted(row.data) == list(range(1, 13))
    if timed:
        time = split_times(rows, users, items)
        for row in range(9):
            assert (np.diff(time[[row]].data[np.argsort(order[[row]].data)]) >= 0).all()


def split_times(rows, users, items):
    """Timestamps + 1 in the cells of an order."""
    row = users.set_index("user_id").assign(n=range(len(users)))["n"][rows["user_id"]].to_numpy()
    column = items.set_index("item_id").assign(n=range(len(items)))["n"][rows["item_id"]].to_numpy()
    times = sparse.csr_matrix((rows["timestamp"].to_numpy() + 1.0, (row, column)))
    times.sort_indices()
    return times


def test_an_order_is_restricted_to_cells_with_the_places_they_have():
    kept = restrict_order(ORDER, matrix([[1, 0, 1, 0], [0, 0, 7, 0], [0, 0, 0, 0]]))
    assert kept.toarray().tolist() == [[3, 0, 2, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    assert kept.dtype == np.float32
    assert kept.has_sorted_indices


def test_an_order_that_is_not_known_stays_unknown():
    assert restrict_order(None, ORDER) is None
    assert restrict_order(empty_rows(3, 4), ORDER) is None


def test_recency_halves_from_the_latest_on():
    assert recency(ORDER, 1.0).toarray().tolist() == [[1.0, 0.25, 0.5, 0.0], [0.5, 0.0, 1.0, 0.0], [0.0] * 4]
    assert recency(ORDER, 2.0).toarray()[0].tolist() == pytest.approx([1.0, 0.5, 0.5**0.5, 0.0])


def test_recency_reads_the_order_of_values_not_their_size():
    timestamps = matrix([[400, 100, 399, 0]])
    assert recency(timestamps, 1.0).toarray().tolist() == [[1.0, 0.25, 0.5, 0.0]]


def test_equal_values_stand_side_by_side_in_the_order_of_columns():
    assert recency(matrix([[1, 1, 1, 0]]), 1.0).toarray().tolist() == [[1.0, 0.5, 0.25, 0.0]]


def test_the_first_of_each_row_are_those_of_the_smallest_values():
    assert first_of_each_row(ORDER, 2).toarray().tolist() == [[0, 1, 2, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert first_of_each_row(ORDER, 1).toarray().tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert first_of_each_row(ORDER, 9).toarray().tolist() == ORDER.toarray().tolist()
    assert first_of_each_row(ORDER, 0).nnz == 0
    assert first_of_each_row(ORDER, 0).shape == ORDER.shape


def test_users_and_items_outside_are_emptied_and_shapes_stay():
    kept = keep_users(ORDER, np.array([1, 2]))
    assert kept.toarray().tolist() == [[0, 0, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert kept.nnz == 2
    kept = keep_items(ORDER, np.array([False, True, True, True]))
    assert kept.toarray().tolist() == [[0, 1, 2, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    assert kept.nnz == 3
    assert ORDER.nnz == 5


def test_binary_has_a_one_in_every_stored_cell():
    assert binary(ORDER).toarray().tolist() == (ORDER.toarray() > 0).astype(float).tolist()
    ones = binary(ORDER)
    assert binary(ones) is ones


@pytest.mark.parametrize("derive", [binary, lambda order: recency(order, 1.0)])
def test_what_is_derived_from_a_matrix_shares_nothing_with_it(derive):
    """scipy sorts indices in place: shared ones would be sorted from under the values of the matrix."""
    unsorted = sparse.csr_matrix((np.array([2.0, 1.0], np.float32), np.array([1, 0]), np.array([0, 2])), shape=(1, 2))
    derive(unsorted).sort_indices()
    assert unsorted.toarray().tolist() == [[1.0, 2.0]]


def test_cells_are_rows_and_columns_of_what_is_stored():
    rows, columns = cells(ORDER)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)]
    assert columns.dtype == np.int64


def test_empty_rows_have_no_cell():
    assert empty_rows(2, 3).shape == (2, 3)
    assert empty_rows(2, 3).nnz == 0
    assert empty_rows(0, 3).shape == (0, 3)


def test_categories_stand_in_sorted_order():
    long = pd.DataFrame({"item_id": ["b", "a", "b"], "category": ["war", "drama", "drama"]})
    assert category_matrix(ITEMS, long).toarray().tolist() == [[1, 0], [1, 1], [0, 0], [0, 0]]


def test_cells_in_order_go_from_the_first_to_the_latest_and_equal_ones_by_column():
    order = sparse.csr_matrix(np.array([[3, 0, 1, 2], [0, 0, 0, 0], [5, 5, 0, 4]], np.float32))
    row, items = in_order(order)
    assert row.tolist() == [0, 0, 0, 2, 2, 2]
    assert items.tolist() == [2, 3, 0, 3, 0, 1]


def test_the_last_of_each_row():
    order = sparse.csr_matrix(np.array([[3, 1, 2], [0, 0, 0], [0, 5, 5]], np.float32))
    assert last_of_each_row(order).toarray().tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
