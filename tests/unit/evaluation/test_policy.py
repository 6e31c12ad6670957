"""A scorer's policy valued from a fabricated log whose truth is known."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from tailor.errors import BadInputError
from tailor.evaluation.policy import fit_reward, logged_propensities, read_log, target, value
from tests.unit.evaluation.planted_log import ITEMS, OPTIONS, USERS, plant_log


@pytest.fixture(scope="module")
def planted_log():
    return plant_log()


def test_estimates_cover_the_truth_and_the_log_does_not(planted_log):
    log, scorer, queries, truth = planted_log.log, planted_log.scorer, planted_log.queries, planted_log.truth
    rows, unknown = read_log(log, USERS, ITEMS)
    table = value(scorer, queries, rows, ITEMS["n_train"].to_numpy(), OPTIONS, 0).set_index("estimator")
    assert unknown == 0
    assert abs(log["reward"].mean() - truth) > 0.1
    for name in ("ips", "snips", "doubly_robust"):
        assert table.loc[name, "low"] - 0.01 < truth < table.loc[name, "high"] + 0.01
    widths = table["high"] - table["low"]
    assert widths["doubly_robust"] < widths["ips"]


def test_the_block_of_users_changes_nothing(planted_log):
    scorer, queries = planted_log.scorer, planted_log.queries
    rows, _ = read_log(planted_log.log.head(2000), USERS, ITEMS)
    tables = [
        value(scorer, queries, rows, ITEMS["n_train"].to_numpy(), OPTIONS.model_copy(update={"block_users": b}), 0)
        for b in (1, 1000)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_the_policy_is_a_distribution_over_what_may_be_shown():
    allowed = np.array([[True, True, False]])
    got = target(np.array([[0.0, np.log(3.0), 9.0]], np.float32), allowed, 1.0, 0.2)
    np.testing.assert_allclose(got, [[0.8 * 1 / 4 + 0.1, 0.8 * 3 / 4 + 0.1, 0.0]], rtol=1e-6)


def test_the_reward_model_finds_planted_coefficients():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(50_000), rng.normal(size=(50_000, 2))])
    reward = (rng.random(len(X)) < expit(X @ [-1.0, 0.5, 0.2])).astype(float)
    np.testing.assert_allclose(fit_reward(X, reward), [-1.0, 0.5, 0.2], atol=0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop(columns="propensity"), "no 'propensity' column: without the chance"),
        (lambda d: d.drop(columns="reward"), "has no column 'reward'"),
        (lambda d: d.assign(propensity=0.0), "'propensity' must lie in (0, 1]"),
        (lambda d: d.assign(reward="x"), "'reward' must lie in [0, 1]: 5 rows do not, the first is row 0 with 'x'"),
        (lambda d: d.assign(item_id="nope"), "None of the 5 rows"),
    ],
)
def test_unusable_logs_are_refused(planted_log, change, words):
    with pytest.raises(BadInputError, match=re.escape(words)):
        read_log(change(planted_log.log.head(5)), USERS, ITEMS)


def test_logs_without_propensities_are_refused_with_the_reason():
    with pytest.raises(BadInputError, match=r"has no 'propensity' column: without the chance .* A/B test"):
        logged_propensities(pd.DataFrame({"item_id": ["a"]}))
    with pytest.raises(BadInputError, match=r"must lie in \(0, 1\]: 2 rows do not, the first is row 1 with 0"):
        logged_propensities(pd.DataFrame({"propensity": [0.5, 0.0, np.nan]}))
    assert logged_propensities(pd.DataFrame({"propensity": [0.5, 1.0]})).tolist() == [0.5, 1.0]
