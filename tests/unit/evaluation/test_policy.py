"""A scorer's policy valued from a fabricated log whose truth is known."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit

from tailor.errors import BadInputError
from tailor.evaluation.config import OffPolicyOptions
from tailor.evaluation.policy import fit_reward, read_log, target, value
from tailor.models.base import Query
from tailor.pipelines.offpolicy.nodes import value_policy

N_USERS, N_ITEMS = 200, 12
USERS = pd.DataFrame({"user_id": [f"u{u}" for u in range(N_USERS)]})
ITEMS = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)], "n_train": range(N_ITEMS)})
OPTIONS = OffPolicyOptions(temperature=0.7, epsilon=0.2, max_weight=1e9, block_users=64)


class Scores:
    def __init__(self, table):
        self.table = table

    def score(self, query):
        return self.table[query.user_index]


@pytest.fixture(scope="module")
def world():
    """Rewards depend on user and item; the old policy leans the wrong way; what a user took is not shown again."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(N_USERS, N_ITEMS)).astype(np.float32)
    chance = expit(scores - 1.0)
    past = rng.random((N_USERS, N_ITEMS)) < 0.1
    old = target(-scores, ~past, 1.0, 0.3)
    user = rng.integers(0, N_USERS, 40_000)
    item = np.array([rng.choice(N_ITEMS, p=old[u]) for u in user])
    log = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{i}" for i in item],
            "reward": (rng.random(len(user)) < chance[user, item]).astype(float),
            "propensity": old[user, item],
        }
    )
    new = target(scores, ~past, OPTIONS.temperature, OPTIONS.epsilon)
    truth = float((new * chance).sum(axis=1)[user].mean())
    queries = Query.of(sparse.csr_matrix(past, dtype=np.float32), user_index=np.arange(N_USERS))
    return log, Scores(scores), queries, truth


def test_estimates_cover_the_truth_and_the_log_does_not(world):
    log, scorer, queries, truth = world
    rows, unknown = read_log(log, USERS, ITEMS)
    found = value(scorer, queries, rows, ITEMS["n_train"].to_numpy(), OPTIONS, 0).set_index("estimator")
    assert unknown == 0
    assert abs(log["reward"].mean() - truth) > 0.1
    for name in ("ips", "snips", "doubly_robust"):
        assert found.loc[name, "low"] - 0.01 < truth < found.loc[name, "high"] + 0.01
    widths = found["high"] - found["low"]
    assert widths["doubly_robust"] < widths["ips"]


def test_the_block_of_users_changes_nothing(world):
    log, scorer, queries, _ = world
    rows, _ = read_log(log.head(2000), USERS, ITEMS)
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
def test_unusable_logs_are_refused(world, change, words):
    with pytest.raises(BadInputError, match=re.escape(words)):
        read_log(change(world[0].head(5)), USERS, ITEMS)


def test_the_node_values_the_registered_model_and_counts_unknown_rows(world, caplog):
    log, scorer, queries, _ = world
    some = pd.concat([log.head(500), log.head(1).assign(user_id="stranger")])
    models = {"hybrid": scorer}
    side_features = {"profiles": np.zeros((N_USERS, 0), np.float32)}
    known = {"train": queries.history, "order": sparse.csr_matrix((N_USERS, N_ITEMS)), "side_features": side_features}
    table = value_policy(some, {}, models, USERS, ITEMS, {}, OPTIONS.model_dump(), 0, **known)
    assert table["model"].unique().tolist() == ["hybrid_lora"]
    assert table["unknown_rows"].unique().tolist() == [1]
    assert "1 of 501 rows" in caplog.text
