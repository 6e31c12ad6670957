"""Lists from int8 codes are the exact lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tailor.data.interactions import cells
from tailor.models.ials import IALS
from tailor.models.scan import Scan
from tailor.options import IALSOptions
from tailor.serving import recommender as serving
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tailor.topk import EXCLUDED, top_k


def exact(vectors, users, barred, k, tie_rank):
    scores = users @ vectors.T
    scores[cells(barred)] = EXCLUDED
    return top_k(scores, k, tie_rank)


def nothing(n_users, n):
    return sparse.csr_matrix((n_users, n), dtype=np.float32)


def scanned(scan, users, barred, k, tie_rank):
    found = [scan.top_k(user, barred[[row]].indices, k, tie_rank) for row, user in enumerate(users)]
    return np.stack([items for items, _ in found]), np.stack([values for _, values in found])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 64), k=st.integers(1, 30), spread=st.floats(0.01, 3.0))
def test_the_list_is_the_exact_one(seed, d, k, spread):
    rng = np.random.default_rng(seed)
    lengths = np.exp(spread * rng.normal(size=(2000, 1)))
    vectors = (rng.normal(size=(2000, d)) * lengths).astype(np.float32)
    users, tie_rank = rng.normal(size=(3, d)).astype(np.float32), rng.permutation(2000)
    barred = sparse.random(3, 2000, 0.05, "csr", np.float32, rng=rng)
    items, values = scanned(Scan(vectors), users, barred, k, tie_rank)
    expected, scores = exact(vectors, users, barred, k, tie_rank)
    np.testing.assert_allclose(values, scores, rtol=1e-4, atol=1e-4)
    close = np.abs(np.diff(scores, axis=1)).min(axis=1, initial=1) < 1e-4  # rounding may swap these
    np.testing.assert_array_equal(items[~close], expected[~close])


def test_equal_items_and_a_zero_user_are_scanned_in_full():
    vectors, tie_rank = np.ones((1000, 4), np.float32), np.random.default_rng(0).permutation(1000)
    scan = Scan(vectors)
    for user in (np.ones((1, 4), np.float32), np.zeros((1, 4), np.float32)):
        items, _ = scanned(scan, user, nothing(1, 1000), 5, tie_rank)
        assert items[0].tolist() == np.argsort(tie_rank)[:5].tolist()
    assert (scan.full, scan.rows) == (2, 2)


def test_most_rows_need_no_full_scan():
    rng = np.random.default_rng(0)
    vectors, users = (rng.normal(size=(n, 64)).astype(np.float32) for n in (20_000, 200))
    scan = Scan(vectors)
    items, _ = scanned(scan, users, nothing(200, 20_000), 20, np.arange(20_000))
    assert scan.rows == 200
    assert scan.full <= 2
    np.testing.assert_array_equal(items, exact(vectors, users, nothing(200, 20_000), 20, np.arange(20_000))[0])


def test_fewer_items_than_places():
    vectors = np.eye(3, dtype=np.float32)
    items, values = scanned(Scan(vectors), vectors[:1], sparse.csr_matrix([[1.0, 0, 0]]), 5, np.arange(3))
    assert items.tolist() == [[1, 2, -1]]
    assert values[0, :2].tolist() == [0, 0]


@pytest.mark.parametrize("exclude", [(), ("i3", "i7")])
def test_a_large_catalogue_is_served_as_a_small_one(exclude, monkeypatch):
    rng = np.random.default_rng(0)
    n, d = 3000, 16
    factors = rng.normal(size=(n, d)).astype(np.float32)
    state = {"item_factors": factors, "feature_weights": np.zeros((0, d), np.float32), "n_items": np.array([n])}
    state |= {"gram": 0.1 * factors.astype(np.float64).T @ factors, "n_warm": np.array([n])}
    ids = np.array([f"i{at}" for at in range(n)], dtype=object)
    engine = IALS.from_state(state, IALSOptions(factors=d))
    served = Recommender(engine, np.array(["u"], object), ids, sparse.csr_matrix((1, n)), np.arange(n))
    asked = [Request(history=ids[rng.choice(n, 20, replace=False)].tolist(), exclude=exclude) for _ in range(5)]
    plain = served.recommend(asked, Settings(k=10))
    monkeypatch.setattr(serving, "SCAN_FROM", 1000)
    scanned = served.recommend(asked, Settings(k=10))
    assert engine.scan.rows == 5
    assert [a.item_ids for a in scanned] == [a.item_ids for a in plain]
    np.testing.assert_allclose([a.scores for a in scanned], [a.scores for a in plain], rtol=1e-4)
