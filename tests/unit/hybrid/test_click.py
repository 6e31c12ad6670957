"""The click head: planted log odds come back whatever is drawn or weighted; AUC, log-loss and ECE by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import expit

from tailor.errors import BadInputError
from tailor.hybrid.blend import MetaFeatures
from tailor.hybrid.click import ClickHead, design, fit_click, rates
from tailor.hybrid.config import Boosts, ClickOptions
from tailor.metrics.probability import Tally, mae, rmse

THETA = np.array([-4.0, 1.2, 0.1, 0.3, 0.4, -0.5])


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    n_users, n_items = 2000, 150
    scores = rng.normal(size=(n_users, n_items)).astype(np.float32)
    meta = MetaFeatures(rng.normal(size=n_users).astype(np.float32), rng.normal(size=n_items).astype(np.float32))
    warm, candidates = rng.random(n_items) < 0.9, rng.random((n_users, n_items)) < 0.95
    p = expit(design(scores, meta, warm) @ THETA)
    clicks = (rng.random(p.shape) < p) & candidates
    return scores, candidates, sparse.csr_matrix(clicks.astype(np.float32)), meta, warm, p


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
    scores, candidates, clicks, meta, warm = table
    predicted = head.probability(scores, meta, warm)
    assert predicted[candidates].mean() == pytest.approx(clicks.sum() / candidates.sum(), rel=0.03)
    tally = Tally()
    tally.add(predicted[candidates], clicks.toarray()[candidates] > 0)
    assert tally.ece() < 0.05 * p.mean()


def test_two_windows_are_two_chances(world):
    scores, candidates, clicks, meta, warm, _ = world
    head = fit_click(scores, candidates, clicks, meta, warm, ClickOptions(), seed=0)
    once, twice = (head.probability(scores[:3], meta.rows(slice(3)), warm, h) for h in (1.0, 2.0))
    np.testing.assert_allclose(twice, once + (1 - once) * once, rtol=1e-9)


def test_no_positive_no_head(world):
    scores, candidates, clicks, meta, warm, _ = world
    with pytest.raises(BadInputError, match="validation holds no positive"):
        fit_click(scores, candidates, sparse.csr_matrix(clicks.shape), meta, warm, ClickOptions(), seed=0)


def test_a_scorer_without_head_says_so(blended, queries):
    with pytest.raises(BadInputError, match="without a click head"):
        blended.click_probability(queries.take(np.arange(1)))


def test_a_scorer_gives_chances_at_boosts_of_0(blended, queries):
    """They follow the ranking score of the accuracy ranking, whatever the operating point."""
    head, part = ClickHead(np.array([-3.0, 1.0, 0.1, 0.2, 0.3, -0.4])), queries.take(np.arange(5))
    clicking = blended.with_click(head)
    s, x_u, x_i = blended.score(part), np.log1p(part.lengths)[:, None], blended.popularity * blended.warm
    odds = -3.0 + s + 0.1 * s**2 + 0.2 * x_u + 0.3 * x_i - 0.4 * ~blended.warm
    np.testing.assert_allclose(clicking.click_probability(part), expit(odds), rtol=1e-4)
    boosted = clicking.with_boosts(Boosts(cold_boost=0.5, tail_boost=0.5, popularity_debias=0.5))
    np.testing.assert_array_equal(boosted.click_probability(part), clicking.click_probability(part))
    loaded = clicking.recipe.load(clicking.state())
    np.testing.assert_allclose(loaded.click_probability(part), clicking.click_probability(part), rtol=1e-3)


def test_about_as_many_negatives_are_drawn_as_asked_for(world):
    _, candidates, _, meta, _, _ = world
    options = ClickOptions(negatives=40)
    chances = rates(candidates, meta, options)
    np.testing.assert_allclose(chances.sum(axis=1), 40)
    assert (chances[~candidates] == 0).all()
    leaning = rates(candidates, meta, options.model_copy(update={"popularity_power": 1.0}))[0]
    few, many = meta.popularity.argsort()[[0, -1]]
    assert leaning[candidates[0]].sum() <= 40 + 1e-9
    assert leaning[many] > leaning[few]
    assert rates(candidates, meta, ClickOptions(negatives=10_000)).max() == 1.0


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


def test_chances_to_be_drawn_by_hand():
    """Two of four candidates are expected; e times as many of an item that is one deviation more popular."""
    meta = MetaFeatures(np.zeros(2, np.float32), np.array([0, 0, 0, 1, 0], np.float32))
    candidates = np.array([[1, 1, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    even = rates(candidates, meta, ClickOptions(negatives=2))
    assert even.tolist() == [[0.5, 0.5, 0.5, 0.5, 0], [0, 0, 0, 0, 0]]
    leaning = rates(candidates, meta, ClickOptions(negatives=2, popularity_power=0.5))
    share = np.exp(0.5) / (3 + np.exp(0.5))
    np.testing.assert_allclose(leaning[0], [*[2 * (1 - share) / 3] * 3, 2 * share, 0])
    assert rates(candidates, meta, ClickOptions(negatives=9))[0].tolist() == [1, 1, 1, 1, 0]
    unpopular = MetaFeatures(np.zeros(1, np.float32), np.array([-1], np.float32))
    alone = rates(np.array([[True]]), unpopular, ClickOptions(negatives=1, popularity_power=1.0))
    assert alone.tolist() == [[1]]  # however little it weighs, it is the only one
