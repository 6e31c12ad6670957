"""Metrics beyond accuracy: expected values as arithmetic, invariances, agreement with libraries."""

from math import log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tailor.metrics import diversity
from tailor.metrics.accuracy import (
    average_precision,
    hits,
    precision,
    propensities,
    propensity_recall,
    reciprocal_rank,
)
from tailor.metrics.exposure import entropy, parity

LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])
POSITIVES = sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))
N = np.array([2, 1, 0])
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
    found = propensity_recall(LISTS, POSITIVES, p, 1)
    assert found[0] == pytest.approx((1 / p[3]) / (1 / p[3] + 1 / p[0]))  # item 3 of items 0 and 3
    assert np.isnan(found[2])


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
CATEGORIES = sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32))
HISTORY = sparse.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]], np.float32))


def test_intra_list_diversity():
    found = diversity.intra_list_diversity(np.array([[0, 1, 2], [0, 3, -1], [0, -1, -1]]), VECTORS)
    assert found[0] == pytest.approx(1 - (0 + 0.6 + 0.8) / 3)
    assert found[1] == pytest.approx(0, abs=1e-7)
    assert np.isnan(found[2])


def test_category_diversity():
    found = diversity.category_diversity(np.array([[0, 1, 2], [0, 3, -1], [2, -1, -1]]), CATEGORIES)
    assert found[0] == pytest.approx(1 - (1 / 2 + 0 + 0) / 3)
    assert found[1] == 1.0
    assert np.isnan(found[2])


def test_unexpectedness_and_serendipity():
    lists = np.array([[2, 3, -1], [0, 1, 2], [2, 0, 1]])
    values = diversity.unexpectedness(lists, HISTORY, VECTORS)
    assert values[0, :2].tolist() == pytest.approx([1 - (0.6 + 0.8) / 2, 1 - (1 + 0) / 2])
    assert np.isnan(values[1]).all()
    assert values[2].tolist() == pytest.approx([0, 1 - 0.6, 1 - 0.8], abs=1e-6)
    hit = np.array([[False, True, False], [True, True, True], [False, True, False]])
    gained = diversity.serendipity(lists, hit, HISTORY, VECTORS)
    assert gained[0] == pytest.approx(0.5 / 2)
    assert np.isnan(gained[1])
    assert gained[2] == pytest.approx(0.4 / 3)
    assert diversity.mean_unexpectedness(lists, HISTORY, VECTORS)[0] == pytest.approx((0.3 + 0.5) / 2)


def test_popularity_calibration_is_the_jensen_shannon_divergence():
    group = np.array([0, 0, 1, 1])
    found = diversity.popularity_calibration(np.array([[0, 1], [0, 1], [0, 3]]), HISTORY, group, 2)
    assert found[0] == pytest.approx(0)  # head only, before and after
    assert np.isnan(found[1])  # no history
    p, q = np.array([0.0, 1.0]), np.array([0.5, 0.5])
    m = (p + q) / 2
    assert found[2] == pytest.approx((1 * log2(1 / m[1]) + 0.5 * log2(0.5 / m[0]) + 0.5 * log2(0.5 / m[1])) / 2)


def test_category_calibration_is_stecks_divergence():
    found = diversity.category_calibration(np.array([[1], [1], [0]]), HISTORY, CATEGORIES)
    p, q = np.array([0.25, 0.75, 0.0]), np.array([0.0, 1.0, 0.0])  # item 0 counts half for each of its two
    mixed = 0.99 * q + 0.01 * p
    assert found[0] == pytest.approx(0.25 * log2(0.25 / mixed[0]) + 0.75 * log2(0.75 / mixed[1]))
    assert np.isnan(found[1])


def test_entropy_by_hand():
    assert entropy(np.array([5, 5, 5, 5, 0])) == pytest.approx(2.0)
    assert entropy(np.array([7])) == 0.0
    assert np.isnan(entropy(np.zeros(3, np.int64)))


def test_parity_by_hand():
    group, shown, wanted = np.array([0, 0, 1, 1]), np.array([3, 3, 3, 3]), np.array([1, 0, 1, 1])
    found = parity(LISTS, HIT, shown, wanted, group, 2)
    # Listed: group 0 four times (items 1, 0, 0, 1), group 1 three times (3, 2, 2); six cells each.
    chance = np.array([4 / 6, 3 / 6])
    assert found["poprsp"] == pytest.approx(chance.std() / chance.mean())
    # Hits: item 3 and item 0 of user 0, item 2 of user 1; wanted: one in group 0, two in group 1.
    assert found["popreo"] == pytest.approx(0.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 25), st.sampled_from([1, 2, 3, 1000]))
def test_neither_blocks_nor_the_order_of_users_matter(seed, n_users, block):
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(12)[:5] for _ in range(n_users)])
    lists[rng.random(lists.shape) < 0.2] = -1
    vectors = rng.normal(size=(12, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    categories = sparse.csr_matrix((rng.random((12, 4)) < 0.4).astype(np.float32))
    history = sparse.csr_matrix((rng.random((n_users, 12)) < 0.3).astype(np.float32))
    order = rng.permutation(n_users)

    def measured(rows):
        chosen, past = lists[rows], sparse.csr_matrix(history[rows])
        return np.stack(
            [
                diversity.intra_list_diversity(chosen, vectors),
                diversity.category_diversity(chosen, categories),
                diversity.mean_unexpectedness(chosen, past, vectors),
                diversity.popularity_calibration(chosen, past, np.arange(12) % 3, 3),
                diversity.category_calibration(chosen, past, categories),
            ]
        )

    whole = measured(np.arange(n_users))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diversity, "_BLOCK", 4 * block)
        np.testing.assert_allclose(measured(np.arange(n_users)), whole, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(measured(order), whole[:, order], rtol=1e-6, atol=1e-7)
    assert (whole[3][~np.isnan(whole[3])] <= 1 + 1e-9).all()
    assert (whole[4][~np.isnan(whole[4])] >= -1e-9).all()
