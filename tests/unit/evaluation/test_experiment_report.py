"""What an experiment says: a planted lift and a planted nothing, in a table, a figure and a sentence."""

import numpy as np
import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.evaluation.config import ExperimentOptions
from tailor.evaluation.experiment_report import figure, metric_table, progress, sentence
from tailor.evaluation.exposures import Participants

OPTIONS = ExperimentOptions(planned_users=2000, steps=10)


def people_of(lift: float, n: int = 2000, share: float = 0.5) -> Participants:
    rng = np.random.default_rng(5)
    users = pd.DataFrame({"user_id": [f"u{i}" for i in range(n)], "treated": rng.random(n) < share})
    users["began"], users["ends"] = np.arange(n, dtype=float), np.arange(n, dtype=float) + 7 * 86_400
    listed = users.loc[users.index.repeat(10), ["user_id", "treated", "began"]].reset_index(drop=True)
    listed["request_id"], listed["item_id"] = "r", [f"i{i % 10}" for i in range(len(listed))]
    clicked = listed[rng.random(len(listed)) < 0.1 + lift * listed["treated"]]
    others = clicked.assign(kind="click", occurred_at=clicked["began"] + 1)
    columns = ["user_id", "request_id", "item_id"]
    versions = {"champion": ["7"], "challenger": ["8"]}
    return Participants(users, listed[columns], others[[*columns, "kind", "occurred_at"]], versions, 3, 4)


def test_a_planted_lift_is_in_the_table_the_steps_and_the_sentence():
    people = people_of(lift=0.05)
    metrics, steps = metric_table(people, OPTIONS), progress(people, OPTIONS)
    assert metrics["metric"].tolist() == ["click_per_exposure", "buy_per_user", "not_for_me_per_exposure"]
    assert metrics["decides"].tolist() == [True, False, False]
    row = metrics.iloc[0]
    assert row["low"] < 0.05 < row["high"]
    assert (row["verdict"], metrics["verdict"][1]) == ("better", "no difference shown")
    assert (row["control_users"] + row["treatment_users"], row["control"]) == (2000, pytest.approx(0.1, abs=0.005))
    assert steps["users"].tolist() == list(range(200, 2001, 200))
    assert steps["sequence_high"].iloc[-1] == row["sequence_high"]
    said = sentence(metrics, people, OPTIONS)
    assert said.startswith("The challenger is better in click_per_exposure: +0.04858 on 0.101 (95% confidence sequence")
    assert "champion (version 7) and challenger (version 8): 2000 users; left out are 4" in said
    assert "3 who saw both" in said
    assert [trace.name for trace in figure(steps, OPTIONS).data if trace.name] == [
        *("confidence sequence", "read once", "difference")
    ]


def test_nothing_is_no_difference_and_a_broken_split_is_none():
    people = people_of(lift=0.0)
    assert sentence(metric_table(people, OPTIONS), people, OPTIONS).startswith("No difference is shown in click")
    broken = people_of(lift=0.05, share=0.4)
    said = sentence(metric_table(broken, OPTIONS), broken, OPTIONS)
    assert said.startswith("The arms are not comparable: ")
    assert "50.0% were planned" in said
    worse = people_of(lift=-0.05)
    assert sentence(metric_table(worse, OPTIONS), worse, OPTIONS).startswith("The challenger is worse")


def test_too_few_users_are_said_not_guessed():
    with pytest.raises(BadInputError, match="wait for 30 in each arm"):
        metric_table(people_of(lift=0.0, n=40), OPTIONS)


def test_a_metric_is_counted_once_and_misspelt_ones_are_refused():
    people = people_of(lift=0.0)
    options = ExperimentOptions(also=["click_per_exposure", "click_per_user"], planned_users=2000)
    assert metric_table(people, options)["metric"].tolist() == ["click_per_exposure", "click_per_user"]
    with pytest.raises(ValueError, match="click_per_session"):
        ExperimentOptions(metric="click_per_session")
