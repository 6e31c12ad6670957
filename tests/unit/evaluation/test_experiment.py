"""Planning of A/B tests against simulation and textbook numbers."""

import numpy as np
import pytest
from scipy.stats import norm

from tailor.errors import BadInputError
from tailor.evaluation.experiment import detectable_difference, power_means, sample_size_means, sample_size_rates


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
