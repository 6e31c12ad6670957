"""Accuracy by hand, and as ranx has it."""

from math import log2, sqrt

import numpy as np
import pytest
from scipy import sparse

from tailor.metrics.accuracy import (
    average_precision,
    hit_rate,
    hits,
    ndcg,
    precision,
    propensities,
    propensity_recall,
    recall,
    reciprocal_rank,
)
from tailor.topk import top_k

LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])

POSITIVES = sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))

N = np.array([2, 1, 0])


def test_hits():
    assert hits(LISTS, POSITIVES).tolist() == [[True, False, True], [True, False, False], [False, False, False]]


def test_no_positive_at_all():
    assert not hits(LISTS, sparse.csr_matrix((3, 4))).any()


def test_ndcg_is_dcg_over_ideal_dcg():
    got = ndcg(hits(LISTS, POSITIVES), N, 3)
    ideal = 1 / log2(2) + 1 / log2(3)
    assert got[0] == pytest.approx((1 / log2(2) + 1 / log2(4)) / ideal)
    assert got[1] == 1.0
    assert np.isnan(got[2])


def test_the_ideal_is_cut_at_k():
    assert ndcg(np.array([[True]]), np.array([7]), 1).tolist() == [1.0]
    assert ndcg(np.array([[False, True]]), np.array([7]), 2)[0] == pytest.approx((1 / log2(3)) / (1 + 1 / log2(3)))


def test_recall_and_hit_rate():
    hit = hits(LISTS, POSITIVES)
    assert recall(hit, N, 1).tolist()[:2] == [1 / 2, 1 / 1]
    assert hit_rate(hit, N, 1).tolist()[:2] == [1.0, 1.0]
    assert np.isnan(recall(hit, N, 1)[2])
    assert np.isnan(hit_rate(hit, N, 1)[2])


def test_agreement_with_ranx():
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    n_users, n_items, k = 50, 40, 20
    scores = rng.random((n_users, n_items)).astype(np.float32)
    truth = sparse.csr_matrix((rng.random((n_users, n_items)) < 0.15).astype(np.float32))
    lists, values = top_k(scores, k, np.arange(n_items))
    counted = np.diff(truth.indptr) > 0
    qrels = {f"u{u}": {f"i{i}": 1 for i in truth[[u]].indices} for u in np.flatnonzero(counted)}
    run = {
        f"u{u}": {f"i{i}": float(s) for i, s in zip(lists[u], values[u], strict=True)} for u in np.flatnonzero(counted)
    }
    theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), ["ndcg@10", "recall@20", "hit_rate@10"])
    hit, n = hits(lists, truth), np.diff(truth.indptr)
    assert np.nanmean(ndcg(hit, n, 10)) == pytest.approx(theirs["ndcg@10"], abs=1e-9)
    assert np.nanmean(recall(hit, n, 20)) == pytest.approx(theirs["recall@20"], abs=1e-9)
    assert np.nanmean(hit_rate(hit, n, 10)) == pytest.approx(theirs["hit_rate@10"], abs=1e-9)


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
