"""A scorer's policy valued from a fabricated log whose truth is known."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from tailor.errors import BadInputError
from tailor.evaluation.policy import COLUMNS, fit_reward, logged_propensities, read_log, target, valuation
from tests.unit.evaluation.planted_log import ITEMS, OPTIONS, USERS, plant_log


@pytest.fixture(scope="module")
def planted_log():
    return plant_log()


def test_estimates_cover_the_truth_and_the_log_does_not(planted_log):
    log, scorer, queries, truth = planted_log.log, planted_log.scorer, planted_log.queries, planted_log.truth
    rows, unknown = read_log(log, USERS, ITEMS)
    table = valuation(scorer, queries, rows, ITEMS["n_train"].to_numpy(), OPTIONS, 0).whole().set_index("estimator")
    assert unknown == 0
    assert abs(log["reward"].mean() - truth) > 0.1
    for name in ("ips", "snips", "doubly_robust"):
        assert table.loc[name, "low"] - 0.01 < truth < table.loc[name, "high"] + 0.01
    widths = table["high"] - table["low"]
    assert widths["doubly_robust"] < widths["ips"]


def domains_of(n, names=("books", "films", "games")):
    """Items i % n_names of each domain."""
    return {name: np.arange(n) % len(names) == place for place, name in enumerate(names)}


def test_what_comes_from_each_domain_covers_its_truth_and_sums_to_the_whole(planted_log):
    scorer, queries, domains = planted_log.scorer, planted_log.queries, domains_of(len(ITEMS))
    rows, _ = read_log(planted_log.log, USERS, ITEMS)
    valued = valuation(scorer, queries, rows, ITEMS["n_train"].to_numpy(), OPTIONS, 0, domains)
    whole, table = valued.whole().set_index("estimator"), valued.by_domain()
    assert table["domain"].unique().tolist() == list(domains)
    for estimator, of_it in table.groupby("estimator"):
        assert of_it["value"].sum() == pytest.approx(whole.loc[estimator, "value"], abs=1e-9)
    policy = target(scorer.table, queries.history.toarray() == 0, OPTIONS.temperature, OPTIONS.epsilon)
    chance, user = expit(scorer.table - 1.0), rows["user"].to_numpy()
    for name, items in domains.items():
        truth = float((policy * chance)[:, items].sum(axis=1)[user].mean())
        of_domain = table[table["domain"] == name]
        assert (of_domain["low"] - 0.01 < truth).all()
        assert (truth < of_domain["high"] + 0.01).all()
        inside = items[rows["item"]]
        first = of_domain.iloc[0]
        assert first["rows"] == inside.sum()
        assert first["logged_share"] == pytest.approx(inside.mean())
        assert first["logged_mean"] == pytest.approx((rows["reward"] * inside).mean())
        assert first["share"] == pytest.approx(policy[:, items].sum(axis=1)[user].mean())
    assert table[table["estimator"] == "ips"]["share"].sum() == pytest.approx(1)


def test_of_a_domain_without_a_logged_action_nothing_is_claimed(planted_log):
    rows, _ = read_log(planted_log.log.head(500), USERS, ITEMS)
    domains = {"shown": np.arange(len(ITEMS)) != 5, "never": np.arange(len(ITEMS)) == 5}
    rows = rows[rows["item"] != 5].reset_index(drop=True)
    table = valuation(
        planted_log.scorer, planted_log.queries, rows, ITEMS["n_train"].to_numpy(), OPTIONS, 0, domains
    ).by_domain()
    never = table[table["domain"] == "never"]
    assert never[["value", "low", "high"]].isna().all(axis=None)
    assert (never["rows"].tolist(), never["effective_n"].tolist()) == ([0] * 3, [0.0] * 3)
    assert never["share"].iloc[0] > 0


def test_where_there_is_one_domain_there_is_no_table_of_it(planted_log):
    rows, _ = read_log(planted_log.log.head(50), USERS, ITEMS)
    valued = valuation(planted_log.scorer, planted_log.queries, rows, ITEMS["n_train"].to_numpy(), OPTIONS, 0)
    assert valued.by_domain().empty
    assert list(valued.by_domain()) == ["domain", *COLUMNS, "share", "logged_share"]


def test_the_block_of_users_changes_nothing(planted_log):
    scorer, queries = planted_log.scorer, planted_log.queries
    rows, _ = read_log(planted_log.log.head(2000), USERS, ITEMS)
    tables = [
        valuation(
            scorer, queries, rows, ITEMS["n_train"].to_numpy(), OPTIONS.model_copy(update={"block_users": b}), 0
        ).whole()
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
