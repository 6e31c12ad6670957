"""A/B planning against simulation and textbook numbers; offline values against logs whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tailor.errors import BadInputError
from tailor.evaluation.experiment import detectable_difference, power_means, sample_size_means, sample_size_rates
from tailor.evaluation.off_policy import doubly_robust, ips, snips
from tailor.evaluation.policy import logged_propensities


def test_sample_size_of_rates_by_hand():
    p1, p2 = 0.10, 0.12
    mean = (p1 + p2) / 2
    z = norm.ppf(0.975) * np.sqrt(2 * mean * (1 - mean)) + norm.ppf(0.8) * np.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    assert sample_size_rates(p1, 0.2) == int(np.ceil((z / (p2 - p1)) ** 2)) == 3841


def test_the_promised_power_is_the_power_of_simulated_tests():
    base, lift = 0.2, 0.25
    n = sample_size_rates(base, lift, power=0.9)
    rng = np.random.default_rng(0)
    a, b = rng.binomial(n, base, 20_000) / n, rng.binomial(n, base * (1 + lift), 20_000) / n
    pooled = (a + b) / 2
    shown = np.abs(b - a) / np.sqrt(2 * pooled * (1 - pooled) / n) > norm.ppf(0.975)
    assert shown.mean() == pytest.approx(0.9, abs=0.01)


def test_size_power_and_detectable_difference_agree():
    n = sample_size_means(deviation=0.3, difference=0.01, power=0.8)
    assert n == int(np.ceil(2 * ((norm.ppf(0.975) + norm.ppf(0.8)) * 0.3 / 0.01) ** 2)) == 14_128
    assert power_means(n, 0.3, 0.01) == pytest.approx(0.8, abs=1e-3)
    assert detectable_difference(n, 0.3) == pytest.approx(0.01, rel=1e-4)
    assert power_means(n, 0.3, 0.0) == pytest.approx(0.05)


def test_unequal_arms_need_more_users_in_all():
    even, uneven = sample_size_means(1.0, 0.1), sample_size_means(1.0, 0.1, ratio=4.0)
    assert uneven < even
    assert uneven * 5 > even * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_size_rates(1.2, 0.1), r"base = 1.2 and .* must lie in \(0, 1\)"),
        (lambda: sample_size_rates(0.1, 0.0), "lift must not be 0"),
        (lambda: sample_size_means(1.0, 0.1, power=1.0), r"power = 1 .* must lie in \(0, 1\)"),
        (lambda: sample_size_means(0.0, 0.1), "deviation = 0 must be positive"),
        (lambda: power_means(0, 1.0, 0.1), "n = 0 must be at least 1"),
    ],
)
def test_what_cannot_be_planned_is_refused(call, message):
    with pytest.raises(BadInputError, match=message):
        call()


N_ACTIONS = 5


def fabricated_log(n, seed):
    """Contexts with a logging and a new policy, both known, and rewards whose mean is known for every action."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    taste = np.random.default_rng(7).normal(size=(3, N_ACTIONS))
    mean_reward = 1 / (1 + np.exp(-(x @ taste)))

    def softmax(z):
        z = np.exp(z - z.max(axis=1, keepdims=True))
        return z / z.sum(axis=1, keepdims=True)

    old, new = softmax(-0.5 * x @ taste), softmax(1.5 * x @ taste)
    action = (old.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    rows = np.arange(n)
    reward = (rng.random(n) < mean_reward[rows, action]).astype(float)
    truth = (new * mean_reward).sum(axis=1)
    return reward, old[rows, action], new[rows, action], mean_reward[rows, action], truth


@pytest.mark.parametrize("estimator", ["ips", "snips", "doubly_robust", "doubly_robust, wrong model"])
def test_estimates_are_right_and_intervals_cover(estimator):
    covered, errors = 0, []
    true_value = fabricated_log(400_000, 1)[4].mean()
    for seed in range(200):
        reward, p, target, model, expected = fabricated_log(2000, seed + 10)
        if estimator == "ips":
            found = ips(reward, p, target)
        elif estimator == "snips":
            found = snips(reward, p, target)
        elif estimator == "doubly_robust":
            found = doubly_robust(reward, p, target, model, expected)
        else:
            found = doubly_robust(reward, p, target, np.full(2000, 0.3), np.full(2000, 0.3))
        errors.append(found.value - true_value)
        covered += found.low <= true_value <= found.high
        assert 0 < found.effective_n < 2000
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(200)
    assert covered / 200 == pytest.approx(0.95, abs=0.05)


def test_the_naive_mean_of_the_log_is_wrong():
    """What the estimators are for: the old policy's mean reward is not the new one's."""
    reward, p, target, _, truth = fabricated_log(50_000, 3)
    assert abs(reward.mean() - truth.mean()) > 0.1
    assert abs(snips(reward, p, target).value - truth.mean()) < 0.03


def test_a_reward_model_narrows_the_interval():
    reward, p, target, model, expected = fabricated_log(5000, 4)
    plain, robust = ips(reward, p, target), doubly_robust(reward, p, target, model, expected)
    assert robust.high - robust.low < 0.8 * (plain.high - plain.low)


def test_snips_is_indifferent_to_a_shift_of_rewards():
    reward, p, target, _, _ = fabricated_log(3000, 5)
    assert snips(reward + 10, p, target).value == pytest.approx(snips(reward, p, target).value + 10)
    assert abs(ips(reward + 10, p, target).value - ips(reward, p, target).value - 10) > 1e-3


def test_clipping_is_counted():
    reward, p, target, _, _ = fabricated_log(3000, 6)
    cut = ips(reward, p, target, max_weight=2.0)
    assert cut.clipped == int((target / p > 2.0).sum()) > 0
    assert cut.value < ips(reward, p, target).value


def test_logs_without_propensities_are_refused_with_the_reason():
    with pytest.raises(BadInputError, match=r"has no 'propensity' column: without the chance .* A/B test"):
        logged_propensities(pd.DataFrame({"item_id": ["a"]}))
    with pytest.raises(BadInputError, match=r"must lie in \(0, 1\]: 2 rows do not, the first is row 1 with 0"):
        logged_propensities(pd.DataFrame({"propensity": [0.5, 0.0, np.nan]}))
    assert logged_propensities(pd.DataFrame({"propensity": [0.5, 1.0]})).tolist() == [0.5, 1.0]


def test_a_policy_that_takes_nothing_logged_is_refused():
    with pytest.raises(BadInputError, match="takes none of the logged actions"):
        snips(np.ones(3), np.full(3, 0.5), np.zeros(3))
    with pytest.raises(BadInputError, match="the log is empty"):
        ips(np.ones(0), np.ones(0), np.ones(0))
