"""Rows behind rows: what was handed out never changes, and what is there is not copied again."""

import numpy as np
import pytest
from scipy import sparse

from tailor.appending import ColumnBlocks, append, append_columns


@pytest.mark.parametrize("dtype", [np.float32, np.float16, bool, np.int64, object])
def test_rows_stand_behind_rows(dtype):
    array = np.arange(6).reshape(3, 2).astype(dtype)
    grown = append(append(array, array[:1]), array[1:])
    np.testing.assert_array_equal(grown, np.concatenate([array, array[:1], array[1:]]))
    assert grown.dtype == array.dtype
    assert type(grown) is np.ndarray
    assert append(grown, array[:0]) is grown
    assert append(np.zeros(2, np.float32), np.ones(1)).dtype == np.float64


def test_what_is_there_is_left_where_it_is():
    first = append(np.zeros((100, 4), np.float32), np.ones((1, 4), np.float32))
    second = append(first, np.full((5, 4), 2, np.float32))
    assert np.shares_memory(first, second)
    assert first.shape == (101, 4)
    assert first.sum() == 4
    assert second.sum() == 4 + 5 * 8


def test_two_that_go_on_from_one_part():
    start = append(np.zeros((3, 1)), np.ones((1, 1)))
    left, right = append(start, np.full((1, 1), 2.0)), append(start, np.full((1, 1), 3.0))
    assert left[:, 0].tolist() == [0, 0, 0, 1, 2]
    assert right[:, 0].tolist() == [0, 0, 0, 1, 3]
    assert append(left, np.full((1, 1), 4.0))[:, 0].tolist() == [0, 0, 0, 1, 2, 4]


def test_rows_cut_out_of_the_middle_are_copied():
    grown = append(np.arange(4.0)[:, None], np.array([[4.0]]))
    for part, expected in (
        (grown[1:], [1, 2, 3, 4, 9]),
        (grown[:2], [0, 1, 9]),
        (grown[::2], [0, 2, 4, 9]),
        (grown[::-1], [4, 3, 2, 1, 0, 9]),
    ):
        assert append(part, np.array([[9.0]]))[:, 0].tolist() == expected
    assert grown[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_row_costs_a_copy_of_all_only_where_the_room_is_full():
    array, copies = np.zeros((1, 3), np.float32), 0
    for _ in range(1000):
        grown = append(array, np.ones((1, 3), np.float32))
        copies += not np.shares_memory(grown, array)
        array = grown
    assert copies <= 5  # 64, 130, 262, 526, …
    assert array.sum() == 3000


def test_columns_stand_behind_columns():
    array = np.arange(6.0).reshape(2, 3)
    first = append_columns(array, array[:, :1])
    second = append_columns(first, array)
    np.testing.assert_array_equal(second, np.hstack([array, array[:, :1], array]))
    assert np.shares_memory(first, second)


@pytest.fixture
def columns():
    return np.random.default_rng(0).normal(size=(5, 11)).astype(np.float32)


def test_columns_in_blocks_are_one_array(columns):
    blocks = ColumnBlocks(5, size=4).append(columns[:, :3]).append(columns[:, 3:10]).append(columns[:, 10:])
    assert [block.shape[1] for block in blocks.blocks] == [4, 4, 3]
    assert blocks.width == 11
    np.testing.assert_array_equal(blocks.toarray(), columns)
    np.testing.assert_array_equal(ColumnBlocks.of(columns).toarray(), columns)
    assert ColumnBlocks(5).toarray().shape == (5, 0)
    history = sparse.csr_matrix(np.array([[0, 2, 0, 0, 1], [0, 0, 0, 0, 0]], np.float32))
    np.testing.assert_allclose(blocks.weigh(history), history @ columns, rtol=1e-6)
    rows, places = np.array([4, 1]), np.array([10, 0, 4])
    np.testing.assert_array_equal(blocks.cells(rows, places), columns[np.ix_(rows, places)])


def test_a_block_is_copied_only_where_it_must_be(columns):
    blocks = ColumnBlocks(5, size=4).append(columns[:, :6])
    left, right = blocks.append(columns[:, 6:7]), blocks.append(columns[:, 7:8])
    assert np.shares_memory(blocks.blocks[1], left.blocks[1])
    assert not np.shares_memory(left.blocks[1], right.blocks[1])
    np.testing.assert_array_equal(left.toarray(), columns[:, :7])
    np.testing.assert_array_equal(right.toarray()[:, 6], columns[:, 7])
    changed = left.with_columns(np.array([5, 1]), columns[:, [10, 9]])
    expected = columns[:, :7].copy()
    expected[:, [5, 1]] = columns[:, [10, 9]]
    np.testing.assert_array_equal(changed.toarray(), expected)
    np.testing.assert_array_equal(left.toarray(), columns[:, :7])
    one = left.with_columns(np.array([5]), columns[:, [10]])
    assert one.blocks[0] is left.blocks[0]
    np.testing.assert_array_equal(one.append(columns[:, 7:9]).toarray()[:, 7:], columns[:, 7:9])
