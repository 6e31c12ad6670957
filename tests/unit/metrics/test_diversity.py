"""Variety within lists and against histories, by hand."""

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tailor.data.item_metadata import ItemMetadata
from tailor.metrics import diversity
from tailor.metrics.base import Lists
from tailor.testing.metrics import fabricate_lists, fabricate_metadata

LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])

POSITIVES = sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))

VARIETY = ("intra_list_diversity", "category_diversity", "unexpectedness", "serendipity", "category_calibration")

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0]], np.float32)

CATEGORIES = ['["a", "b"]', '["b"]', '["c"]', "[]"]

HISTORY = sparse.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]], np.float32))

ITEMS = ItemMetadata(
    fabricate_metadata(4).table.assign(categories=CATEGORIES),
    vectors=VECTORS,
    n_train=np.array([9, 8, 1, 1]),
    bucket=np.array(["head", "head", "tail", "tail"]),
)


def lists_of(items, history=None, positives=None, seen=None):
    return Lists.build(np.asarray(items), ITEMS, history=history, positives=positives, seen=seen)


def test_intra_list_diversity():
    got = diversity.intra_list_diversity(lists_of([[0, 1, 2], [0, 3, -1], [0, -1, -1]]))
    assert got[0] == pytest.approx(1 - (0 + 0.6 + 0.8) / 3)
    assert got[1] == pytest.approx(0, abs=1e-7)
    assert np.isnan(got[2])


def test_category_diversity():
    got = diversity.category_diversity(lists_of([[0, 1, 2], [0, 3, -1], [2, -1, -1]]))
    assert got[0] == pytest.approx(1 - (1 / 2 + 0 + 0) / 3)
    assert got[1] == 1.0
    assert np.isnan(got[2])


def test_unexpectedness_and_serendipity():
    # Hits: item 3 of user 0, all of user 1, item 0 of user 2; user 3 has no positives.
    items = [[2, 3, -1], [0, 1, 2], [2, 0, 1], [2, 0, 1]]
    positives = sparse.csr_matrix(np.array([[0, 0, 0, 1], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    lists = lists_of(items, sparse.vstack([HISTORY, HISTORY[[2]]]), positives)
    values = diversity.item_unexpectedness(lists)
    assert values[0, :2].tolist() == pytest.approx([1 - (0.6 + 0.8) / 2, 1 - (1 + 0) / 2])
    assert np.isnan(values[1]).all()
    assert values[2].tolist() == pytest.approx([0, 1 - 0.6, 1 - 0.8], abs=1e-6)
    gained = diversity.serendipity(lists)
    assert gained[0] == pytest.approx(0.5 / 2)
    assert gained[2] == pytest.approx(0.4 / 3)
    assert np.isnan(gained[[1, 3]]).all()
    assert diversity.unexpectedness(lists)[0] == pytest.approx((0.3 + 0.5) / 2)


def test_popularity_calibration_is_the_jensen_shannon_divergence():
    got = diversity.popularity_calibration(lists_of([[0, 1], [0, 1], [0, 3]], HISTORY))
    assert got[0] == pytest.approx(0)  # head only, before and after
    assert np.isnan(got[1])  # no history
    p, q = np.array([0.0, 1.0]), np.array([0.5, 0.5])
    m = (p + q) / 2
    assert got[2] == pytest.approx((1 * log2(1 / m[1]) + 0.5 * log2(0.5 / m[0]) + 0.5 * log2(0.5 / m[1])) / 2)


def test_category_calibration_is_stecks_divergence():
    got = diversity.category_calibration(lists_of([[1], [1], [0]], HISTORY))
    p, q = np.array([0.25, 0.75, 0.0]), np.array([0.0, 1.0, 0.0])  # item 0 counts half for each of its two
    mixed = 0.99 * q + 0.01 * p
    assert got[0] == pytest.approx(0.25 * log2(0.25 / mixed[0]) + 0.75 * log2(0.75 / mixed[1]))
    assert np.isnan(got[1])


@pytest.mark.parametrize("name", ["intra_list_diversity", "unexpectedness", "serendipity"])
def test_without_embeddings_there_is_no_distance(name):
    bare = ItemMetadata(ITEMS.table, n_train=ITEMS.n_train, bucket=ITEMS.bucket)
    lists = Lists.build(LISTS, bare, history=HISTORY, positives=POSITIVES)
    assert np.isnan(getattr(diversity, name)(lists)).all()


@pytest.mark.parametrize("name", ["category_diversity", "category_calibration"])
def test_without_categories_there_is_no_variety_of_them(name):
    bare = ItemMetadata(ITEMS.table.assign(categories="[]"), n_train=ITEMS.n_train, bucket=ITEMS.bucket)
    assert np.isnan(getattr(diversity, name)(Lists.build(LISTS, bare, history=HISTORY))).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 25), st.sampled_from([1, 2, 3]))
def test_blocks_do_not_matter(seed, n_users, block):
    lists = fabricate_lists(seed, max(n_users, 3))

    def measured():
        return np.stack([getattr(diversity, name)(lists) for name in VARIETY])

    whole = measured()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diversity, "_BLOCK", 4 * block)
        np.testing.assert_allclose(measured(), whole, rtol=1e-6, atol=1e-7)
