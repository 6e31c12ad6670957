"""The best k of every row, ties by a seeded order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor.topk import EXCLUDED, ranks_of, top_k


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 12),
    st.integers(1, 30),
    st.integers(1, 35),
    st.sampled_from(["a long row", "wide rows", "rows"]),
    st.sampled_from([4, 1000]),
)
def test_top_k_is_a_stable_full_sort(seed, n_rows, n_items, k, shape, n_scores):
    """However rows are read, with many ties and with few."""
    rng = np.random.default_rng(seed)
    n_rows = 1 if shape == "a long row" else n_rows
    scores = rng.integers(0, n_scores, (n_rows, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = EXCLUDED
    tie_rank = rng.permutation(n_items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tailor.topk._LONG", 1 if shape == "a long row" else 1000)
        patch.setattr("tailor.topk._WIDE", 4 if shape == "wide rows" else 1000)
        patch.setattr("tailor.topk._MANY", 2)
        items, values = top_k(scores, k, tie_rank)
    for row in range(n_rows):
        order = sorted(range(n_items), key=lambda i: (-scores[row, i], tie_rank[i]))
        expected = [i if np.isfinite(scores[row, i]) else -1 for i in order[:k]]
        assert items[row].tolist() == expected
        assert values[row].tolist() == [float(scores[row, i]) for i in order[:k]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(1, 30), st.sampled_from([3, 1000]))
def test_a_place_is_the_one_on_the_whole_list(seed, n_rows, n_items, n_scores):
    """Several cells of a row, none of another, ties, and what is excluded."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_scores, (n_rows, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = EXCLUDED
    tie_rank = rng.permutation(n_items)
    row, column = np.nonzero(rng.random(scores.shape) < 0.4)
    listed, _ = top_k(scores, n_items, tie_rank)
    expected = [
        n_items if np.isneginf(scores[r, i]) else int(np.flatnonzero(listed[r] == i)[0])
        for r, i in zip(row, column, strict=True)
    ]
    assert ranks_of(scores, row, column, tie_rank).tolist() == expected
