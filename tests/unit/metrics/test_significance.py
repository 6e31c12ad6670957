"""The paired bootstrap."""

import numpy as np
import pytest

from tailor.metrics.significance import holm, paired_bootstrap, verdict


def test_difference_and_ratio_by_hand():
    found = paired_bootstrap(np.array([0.2, 0.4, np.nan]), np.array([0.1, 0.3, np.nan]), seed=0)
    assert found.n_users == 2
    assert found.difference == pytest.approx((0.2 + 0.4) / 2 - (0.1 + 0.3) / 2)
    assert found.ratio == pytest.approx((0.2 + 0.4) / (0.1 + 0.3))
    # Both users differ by 0.1, so every resample does.
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    # Resamples are of user 1, of user 2 or of both: 2/1, 4/3 or 6/4.
    assert (found.ratio_low, found.ratio_high) == pytest.approx((4 / 3, 2.0))


def test_the_interval_has_the_width_of_the_normal_approximation_and_its_coverage():
    rng, covered = np.random.default_rng(0), 0
    for repeat in range(200):
        baseline = rng.random(300)
        model = baseline + rng.normal(0.01, 0.1, 300)
        found = paired_bootstrap(model, baseline, resamples=1000, seed=repeat)
        covered += found.low <= 0.01 <= found.high
        assert found.high - found.low == pytest.approx(2 * 1.96 * (model - baseline).std() / np.sqrt(300), rel=0.15)
    assert covered / 200 == pytest.approx(0.95, abs=0.05)


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.random(50), rng.random(50)
    whole = paired_bootstrap(a, b)
    monkeypatch.setattr("tailor.metrics.significance._BUDGET", 1000)
    assert paired_bootstrap(a, b) == whole


def test_pairs_are_needed():
    with pytest.raises(ValueError, match="paired values are needed"):
        paired_bootstrap(np.array([0.1, np.nan]), np.array([0.1, 0.2]))


def test_p_is_small_where_the_interval_excludes_zero():
    rng = np.random.default_rng(0)
    baseline = rng.random(400)
    clear = paired_bootstrap(baseline + rng.normal(0.05, 0.1, 400), baseline, seed=1)
    assert clear.low > 0
    assert clear.p == pytest.approx(2 / 2001)  # no resample on the other side
    assert paired_bootstrap(baseline, baseline).p == 1.0


def test_holm_by_hand():
    # Sorted: .01, .02, .04 times 3, 2, 1 is .03, .04, .04.
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.02])), [0.04, 0.03, 0.04])
    np.testing.assert_allclose(holm(np.array([0.6, 0.5])), [1.0, 1.0])


def test_without_users_nothing_is_shown():
    found = paired_bootstrap(np.full(3, np.nan), np.full(3, np.nan))
    assert found.n_users == 0
    assert np.isnan([found.difference, found.low, found.ratio, found.p]).all()


def test_verdicts_in_words():
    assert verdict(0.01, 0.01) == "better"
    assert verdict(-0.01, 0.01) == "worse"
    assert verdict(0.01, 0.2) == "no difference shown"
    assert verdict(0.01, float("nan")) == "no difference shown"
