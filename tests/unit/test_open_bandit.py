"""The benchmark on Open Bandit: chances of a policy that changes, and estimates on logs whose truth is planted."""

import sys

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def bandit():
    sys.path.append(str(ROOT / "benchmarks"))
    import open_bandit

    return open_bandit


def test_chances_are_those_of_the_latest_row_and_what_is_left_is_shared(bandit):
    log = pd.DataFrame(
        [(10, 0, 0, 0.5), (20, 0, 0, 0.7), (10, 1, 0, 0.1), (10, 2, 1, 0.4)],
        columns=["timestamp", "item", "position", "propensity"],
    )
    when, position = np.array([5, 15, 25, 25]), np.array([0, 0, 0, 1])
    expected = [[0.5, 0.1, 0.2, 0.2], [0.5, 0.1, 0.2, 0.2], [0.7, 0.1, 0.1, 0.1], [0.2, 0.2, 0.4, 0.2]]
    assert bandit.chances(log, when, position, 4) == pytest.approx(np.array(expected))


def planted(rng, policy, rates, n=20_000):
    """A log of one policy, (n_items, 3), that does not change."""
    position = rng.integers(0, 3, n)
    item = np.array([rng.choice(len(policy), p=policy[:, place]) for place in position])
    click = (rng.random(n) < rates[item, position]).astype(int)
    columns = {"timestamp": np.arange(n), "item": item, "position": position, "click": click}
    return pd.DataFrame(columns | {"propensity": policy[item, position]})


def test_estimates_hold_the_planted_value_of_the_other_policy(bandit):
    rng = np.random.default_rng(0)
    rates, even = rng.uniform(0.02, 0.3, (6, 3)), np.full((6, 3), 1 / 6)
    greedy = np.exp(8 * rates) / np.exp(8 * rates).sum(axis=0)
    logs = {"even": planted(rng, even, rates), "greedy": planted(rng, greedy, rates)}
    for mine, other, policy in (("even", "greedy", greedy), ("greedy", "even", even)):
        value = float((policy * rates).sum() / 3)
        for name, estimate in bandit.estimates(logs[mine], logs[other])[0].items():
            assert abs(estimate.value - value) < 4 * (estimate.high - estimate.value) / 1.96, (mine, name)
            assert estimate.high - estimate.low < 0.03
            figures = bandit.compare(estimate, logs[other]["click"].to_numpy(float))
            assert figures["holds"]
            assert figures["rate"] == pytest.approx(value, abs=0.01)
    wrong = bandit.compare(bandit.estimates(logs["even"], logs["greedy"])[0]["ips"], np.zeros(20_000))
    assert not wrong["holds"]


def test_a_file_that_is_not_the_pinned_one_is_not_read(bandit, tmp_path, monkeypatch):
    monkeypatch.setattr(bandit, "CACHE", tmp_path / "obp.tar.gz")
    bandit.CACHE.write_bytes(b"something else")
    with pytest.raises(SystemExit, match=r"is not the pinned obp==0\.5\.7: delete it"):
        bandit.archive()
