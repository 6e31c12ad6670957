from math import log2

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tailor.evaluation.ranking import to_frame, to_lists
from tailor.evaluation.tables import measure_lists
from tailor.metrics import Lists, find_metric
from tailor.metrics.accuracy import hit_rate, hits, ndcg, recall
from tailor.metrics.exposure import gini
from tailor.testing.metrics import fabricate_metadata
from tailor.topk import EXCLUDED, top_k

LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])
POSITIVES = sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))
N = np.array([2, 1, 0])
EXPOSURE = ("catalog_coverage", "tail_coverage", "gini", "entropy", "arp", "aplt", "aclt", "novelty")


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


def test_buckets_count_only_their_positives_in_the_ideal_too():
    lists = Lists.build(LISTS[:2], fabricate_metadata(4), positives=POSITIVES[:2])
    chosen = [find_metric(name) for name in ("ndcg", "recall")]
    rows = measure_lists(lists, chosen, [3], np.array(["tail", "head", "head", "head"]), np.array(["q1", "q2"]))
    value = rows.set_index(["item_bucket", "user_bucket", "metric"])["value"]
    users = rows.set_index(["item_bucket", "user_bucket", "metric"])["n_users"]
    assert value["tail", "all", "ndcg"] == pytest.approx(1 / log2(4))  # item 0 at rank 3; ideal is rank 1
    assert users["tail", "all", "ndcg"] == 1
    assert value["head", "all", "ndcg"] == pytest.approx((1 + 1) / 2)
    assert value["all", "q2", "recall"] == 1.0


def test_exposure_arithmetic():
    items = fabricate_metadata(4).with_arrays(
        n_train=np.array([8, 2, 0, 5]), bucket=np.array(["head", "tail", "unseen", "tail"])
    )
    candidates = np.array([True, True, True, False])
    lists = Lists.build(np.array([[0, 1], [0, -1]]), items, candidates=candidates, n_train_users=9)
    got = {name: float(find_metric(name).values(lists)[0]) for name in EXPOSURE}
    assert got["catalog_coverage"] == 2 / 3
    assert got["tail_coverage"] == 1 / 1
    assert got["arp"] == pytest.approx((8 + 2 + 8) / 3)
    assert got["aplt"] == pytest.approx((1 / 2 + 0 / 1) / 2)
    assert got["aclt"] == pytest.approx((1 + 0) / 2)
    assert got["novelty"] == pytest.approx((-log2(9 / 10) - log2(3 / 10) - log2(9 / 10)) / 3)
    assert got["gini"] == pytest.approx(((2 * 2 - 4) * 1 + (2 * 3 - 4) * 2) / (3 * 3))  # counts 0, 1, 2
    assert got["entropy"] == pytest.approx(-(2 / 3) * log2(2 / 3) - (1 / 3) * log2(1 / 3))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_gini_is_half_the_relative_mean_absolute_difference(counts):
    x = np.array(counts, dtype=float)
    if x.sum() == 0:
        assert np.isnan(gini(x))
    else:
        assert gini(x) == pytest.approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 30), st.integers(1, 35), st.booleans())
def test_top_k_is_a_stable_full_sort(seed, n_rows, n_items, k, by_stretches):
    rng = np.random.default_rng(seed)
    n_rows = 1 if by_stretches else n_rows  # how long single rows are read
    scores = rng.integers(0, 4, (n_rows, n_items)).astype(np.float32)  # many ties
    scores[rng.random(scores.shape) < 0.2] = EXCLUDED
    tie_rank = rng.permutation(n_items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tailor.topk._LONG", 1 if by_stretches else 1000)
        items, values = top_k(scores, k, tie_rank)
    for row in range(n_rows):
        order = sorted(range(n_items), key=lambda i: (-scores[row, i], tie_rank[i]))
        expected = [i if np.isfinite(scores[row, i]) else -1 for i in order[:k]]
        assert items[row].tolist() == expected
        assert values[row].tolist() == [float(scores[row, i]) for i in order[:k]]


def test_lists_survive_the_trip_through_the_table():
    user_ids, item_ids = pd.Series(["u", "v", "w"], dtype="str"), pd.Series(list("abcd"), dtype="str")
    frame = to_frame((LISTS, np.zeros(LISTS.shape, np.float32)), np.array([2, 0, 1]), user_ids, item_ids)
    users, lists = to_lists(frame.sample(frac=1, random_state=0), user_ids, item_ids, 3)
    assert users.tolist() == [0, 1, 2]
    assert lists.tolist() == [LISTS[1].tolist(), LISTS[2].tolist(), LISTS[0].tolist()]


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
