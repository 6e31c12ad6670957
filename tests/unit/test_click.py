"""The click head: planted log odds come back whatever is drawn or weighted; AUC, log-loss and ECE by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import expit

from tailor.errors import BadInputError
from tailor.hybrid.blend import MetaFeatures
from tailor.hybrid.click import design, fit_click
from tailor.hybrid.scorer import Hybrid, HybridEngineOptions
from tailor.metrics.probability import Tally, mae, rmse
from tailor.hybrid.config import ClickOptions

THETA = np.array([-4.0, 1.2, 0.1, 0.3, 0.4, -0.5])


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    n_users, n_items = 2000, 150
    scores = rng.normal(size=(n_users, n_items)).astype(np.float32)
    told = MetaFeatures(rng.normal(size=n_users).astype(np.float32), rng.normal(size=n_items).astype(np.float32))
    warm, shown = rng.random(n_items) < 0.9, rng.random((n_users, n_items)) < 0.95
    p = expit(design(scores, told, warm) @ THETA)
    clicks = (rng.random(p.shape) < p) & shown
    return scores, shown, sparse.csr_matrix(clicks.astype(np.float32)), told, warm, p


@pytest.mark.parametrize(
    "options",
    [
        ClickOptions(negatives=10_000),
        ClickOptions(negatives=40),
        ClickOptions(negatives=40, popularity_power=1.0),
        ClickOptions(negatives=40, positive_weight=20.0),
    ],
    ids=["all cells", "resampled", "popular negatives (logQ)", "heavy positives"],
)
def test_planted_log_odds_come_back(world, options):
    *table, p = world
    head = fit_click(*table, options, seed=0)
    np.testing.assert_allclose(head.theta, THETA, atol=0.12)
    scores, shown, clicks, told, warm = table
    predicted = head.probability(scores, told, warm)
    assert predicted[shown].mean() == pytest.approx(clicks.sum() / shown.sum(), rel=0.03)
    tally = Tally()
    tally.add(predicted[shown], clicks.toarray()[shown] > 0)
    assert tally.ece() < 0.05 * p.mean()


def test_two_windows_are_two_chances(world):
    scores, shown, clicks, told, warm, _ = world
    head = fit_click(scores, shown, clicks, told, warm, ClickOptions(), seed=0)
    once, twice = (head.probability(scores[:3], told.rows(slice(3)), warm, h) for h in (1.0, 2.0))
    np.testing.assert_allclose(twice, once + (1 - once) * once, rtol=1e-9)


def test_no_positive_no_head(world):
    scores, shown, clicks, told, warm, _ = world
    with pytest.raises(BadInputError, match="validation holds no positive"):
        fit_click(scores, shown, sparse.csr_matrix(clicks.shape), told, warm, ClickOptions(), seed=0)


def test_a_scorer_without_head_says_so(tables):
    scorer = Hybrid(HybridEngineOptions())
    with pytest.raises(BadInputError, match="without a click head"):
        scorer.click_probability(tables.matrices["train"][:1])


def test_tally_by_hand():
    tally = Tally()
    tally.add(np.array([0.1, 0.2, 0.4, 0.4]), np.array([False, True, False, True]))
    # Pairs (positive, negative): .2>.1, .2<.4, .4>.1, .4=.4.
    assert tally.auc() == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert tally.log_loss() == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.4]).mean())
    assert tally.ece(1) == pytest.approx(abs(0.1 + 0.2 + 0.4 + 0.4 - 2) / 4)
    assert np.isnan(Tally().auc())
    assert np.isnan(Tally().log_loss())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60))
def test_blocks_do_not_matter_and_auc_is_that_of_sklearn(seed, block):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    p = rng.integers(1, 20, 200) / 20.0
    y = rng.random(200) < p
    y[:2] = [True, False]
    whole, parts = Tally(), Tally()
    whole.add(p, y)
    for start in range(0, 200, block):
        parts.add(p[start : start + block], y[start : start + block])
    assert parts.auc() == whole.auc() == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-9)
    assert parts.log_loss() == pytest.approx(metrics.log_loss(y, p), rel=1e-9)
    assert parts.ece() == pytest.approx(whole.ece(), rel=1e-9)


def test_rating_errors_by_hand():
    predicted, rating = np.array([3.0, 4.0]), np.array([5.0, 4.0])
    assert rmse(predicted, rating) == pytest.approx(np.sqrt((4 + 0) / 2))
    assert mae(predicted, rating) == pytest.approx((2 + 0) / 2)
    assert np.isnan(rmse(predicted[:0], rating[:0]))
