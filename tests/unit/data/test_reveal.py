"""Histories that are cut short."""

import numpy as np
import pytest
from scipy import sparse

from tailor.data.reveal import REVEALS, reveal

#: Items in the order 3, 0, 1, 2; items 5, 4; one item; none. Of eight items the last user has all, in rising order.
PLACES = sparse.csr_matrix(
    np.array(
        [
            [2, 3, 4, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 7, 5, 0, 0],
            [0, 0, 0, 0, 0, 0, 9, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [1, 2, 3, 4, 5, 6, 7, 8],
        ],
        np.float32,
    )
)


def items_of(matrix, row):
    return sorted(matrix[[row]].indices.tolist())


def test_the_first_items_are_known_and_all_others_to_come():
    cut = reveal(PLACES, 2, "first", 0)
    assert items_of(cut.known, 0) == [0, 3]
    assert items_of(cut.hidden, 0) == [1, 2]
    assert (cut.seen != (cut.known > 0)).nnz == 0
    assert cut.known[0, 3] == 1
    assert cut.known[0, 0] == 2


@pytest.mark.parametrize(
    ("n", "row", "known", "hidden", "seen"),
    [
        (1, 4, [2], [3, 4, 5, 6, 7], [0, 1, 2]),
        (3, 4, [0, 1, 2], [3, 4, 5, 6, 7], [0, 1, 2]),
        (5, 4, [0, 1, 2, 3, 4], [5, 6, 7], [0, 1, 2, 3, 4]),
        (1, 0, [3], [0, 1, 2], [3]),
        (0, 0, [], [0, 1, 2, 3], []),
        (0, 4, [], [3, 4, 5, 6, 7], [0, 1, 2]),
    ],
)
def test_the_latest_items_before_the_last_ones(n, row, known, hidden, seen):
    cut = reveal(PLACES, n, "latest", 0)
    assert [items_of(part, row) for part in (cut.known, cut.hidden, cut.seen)] == [known, hidden, seen]


def test_random_items_follow_the_seed_and_keep_their_places():
    cuts = [reveal(PLACES, 3, "random", seed) for seed in range(20)]
    drawn = {tuple(items_of(cut.known, 4)) for cut in cuts}
    assert len(drawn) > 5
    assert all(len(items) == 3 for items in drawn)
    again = reveal(PLACES, 3, "random", 7)
    assert (again.known != cuts[7].known).nnz == 0
    assert all((cut.known.data == PLACES[cut.known.nonzero()].A1).all() for cut in cuts)


@pytest.mark.parametrize("how", REVEALS)
def test_nobody_plays_who_has_nothing_left(how):
    cut = reveal(PLACES, 1, how, 0)
    assert [row for row in range(5) if cut.hidden[[row]].nnz] == [0, 1, 4]
    assert cut.known[2].nnz == cut.seen[2].nnz == 0


@pytest.mark.parametrize("how", REVEALS)
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_parts_do_not_overlap_and_hold_n_items(how, n):
    cut = reveal(PLACES, n, how, 3)
    plays = np.diff(cut.hidden.indptr) > 0
    assert np.diff(cut.known.indptr)[plays].tolist() == [n] * plays.sum()
    assert cut.hidden.multiply(cut.seen).nnz == 0
    assert cut.known.multiply(cut.seen).nnz == cut.known.nnz
