"""Offline values against logs whose truth is known."""

import numpy as np
import pytest

from tailor.errors import BadInputError
from tailor.evaluation.off_policy import doubly_robust, ips, snips

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


def test_a_policy_that_takes_nothing_logged_is_refused():
    with pytest.raises(BadInputError, match="takes none of the logged actions"):
        snips(np.ones(3), np.full(3, 0.5), np.zeros(3))
    with pytest.raises(BadInputError, match="the log is empty"):
        ips(np.ones(0), np.ones(0), np.ones(0))
