"""Metrics beyond accuracy: expected values as arithmetic, invariances, agreement with libraries."""

from math import log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tailor.data.item_metadata import ItemMetadata
from tailor.metrics import diversity
from tailor.metrics.accuracy import (
    average_precision,
    hits,
    precision,
    propensities,
    propensity_recall,
    reciprocal_rank,
)
from tailor.metrics.base import Lists
from tailor.metrics.exposure import entropy, opportunity_parity, statistical_parity
from tailor.testing.metrics import fabricate_lists, fabricate_metadata

LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])
POSITIVES = sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))
N = np.array([2, 1, 0])
VARIETY = ("intra_list_diversity", "category_diversity", "unexpectedness", "serendipity", "category_calibration")
HIT = hits(LISTS, POSITIVES)


def test_precision_divides_by_k_also_for_short_lists():
    assert precision(HIT, N, 3).tolist()[:2] == [2 / 3, 1 / 3]
    assert np.isnan(precision(HIT, N, 3)[2])


def test_average_precision_divides_by_all_positives():
    assert average_precision(HIT, N, 3).tolist()[:2] == pytest.approx([(1 / 1 + 2 / 3) / 2, 1.0])
    assert average_precision(HIT, np.array([5, 1, 0]), 1)[0] == pytest.approx(1 / 5)


def test_reciprocal_rank():
    hit = np.array([[False, True, True], [False, False, True], [False, False, False]])
    assert reciprocal_rank(hit, np.array([2, 1, 1]), 2).tolist() == [1 / 2, 0.0, 0.0]


def test_propensity_recall_weighs_rare_items_more():
    p = propensities(np.array([15, 3, 3, 0]), 0.5)
    assert p.tolist() == pytest.approx([1.0, sqrt(4 / 16), sqrt(4 / 16), sqrt(1 / 16)])
    got = propensity_recall(LISTS, POSITIVES, p, 1)
    assert got[0] == pytest.approx((1 / p[3]) / (1 / p[3] + 1 / p[0]))  # item 3 of items 0 and 3
    assert np.isnan(got[2])


def test_even_propensities_are_plain_recall():
    found = propensity_recall(LISTS, POSITIVES, np.full(4, 0.3), 2)
    assert found[:2].tolist() == pytest.approx([1 / 2, 1.0])


def test_map_and_mrr_agree_with_ranx():
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    truth = sparse.csr_matrix((rng.random((40, 30)) < 0.2).astype(np.float32))
    lists = np.argsort(rng.random((40, 30)), axis=1)[:, :15]
    counted = np.flatnonzero(np.diff(truth.indptr))
    qrels = {f"u{u}": {f"i{i}": 1 for i in truth[[u]].indices} for u in counted}
    run = {f"u{u}": {f"i{i}": 15.0 - r for r, i in enumerate(lists[u])} for u in counted}
    theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), ["map@10", "mrr@10", "precision@10"])
    hit, n = hits(lists, truth), np.diff(truth.indptr)
    assert np.nanmean(average_precision(hit, n, 10)) == pytest.approx(theirs["map@10"], abs=1e-9)
    assert np.nanmean(reciprocal_rank(hit, n, 10)) == pytest.approx(theirs["mrr@10"], abs=1e-9)
    assert np.nanmean(precision(hit, n, 10)) == pytest.approx(theirs["precision@10"], abs=1e-9)


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


def test_entropy_by_hand():
    assert entropy(np.array([5, 5, 5, 5, 0])) == pytest.approx(2.0)
    assert entropy(np.array([7])) == 0.0
    assert np.isnan(entropy(np.zeros(3, np.int64)))


def test_parity_by_hand():
    # Nobody may be shown item 0 but user 2, who has not seen it.
    seen = sparse.csr_matrix(np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    lists = lists_of(LISTS, positives=POSITIVES, seen=seen)
    # Listed: head four times (items 1, 0, 0, 1), tail three times (3, 2, 2); 1 + 3 and 3 + 3 cells.
    chance = np.array([4 / 4, 3 / 6])
    assert statistical_parity(lists) == pytest.approx(chance.std() / chance.mean())
    # Hits: item 3 and item 0 of user 0, item 2 of user 1; positives: one of the head, two of the tail, all listed.
    assert opportunity_parity(lists) == pytest.approx(0.0)
    assert opportunity_parity(lists.first(1)) == pytest.approx(1.0)  # 0 / 1 and 2 / 2


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
