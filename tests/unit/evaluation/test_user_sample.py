"""Whom figures are measured on: a seeded sample that has every quartile of activity in its share."""

import numpy as np
import pandas as pd
import pytest

from tailor.evaluation.config import ListOptions
from tailor.evaluation.measure import list_known_users, list_new_users
from tailor.evaluation.protocol import EvalProtocol, NewUserProtocol
from tailor.evaluation.user_sample import (
    describe_sample,
    known_users,
    new_users,
    of_sample,
    state_sample,
    state_validation_sample,
)
from tailor.models.registry import build

#: 40 + 20 + 20 + 20 users that are known, and 10 new ones.
BUCKETS = ["q1"] * 40 + ["q2"] * 20 + ["q3"] * 20 + ["q4"] * 20 + ["new"] * 10


@pytest.fixture
def users():
    table = pd.DataFrame({"user_id": [f"u{u}" for u in range(110)], "bucket": BUCKETS})
    return table.sample(frac=1, random_state=0, ignore_index=True)


def test_every_stratum_has_its_share(users):
    chosen = known_users(users, 10, 0)
    assert users["bucket"].iloc[chosen].value_counts().to_dict() == {"q1": 4, "q2": 2, "q3": 2, "q4": 2}
    assert (np.diff(chosen) > 0).all()


def test_without_a_limit_or_below_it_everybody_is_measured(users):
    every = np.flatnonzero(users["bucket"] != "new").tolist()
    assert known_users(users, None, 0).tolist() == known_users(users, 100, 0).tolist() == every
    assert users["bucket"].iloc[new_users(users, None, 0)].tolist() == ["new"] * 10


def test_who_is_drawn_depends_on_the_seed_and_not_on_the_order_of_the_table(users):
    shuffled = users.sample(frac=1, random_state=1, ignore_index=True)
    ids = [set(table["user_id"].iloc[known_users(table, 10, 0)]) for table in (users, shuffled)]
    assert ids[0] == ids[1]
    assert set(users["user_id"].iloc[known_users(users, 10, 1)]) != ids[0]


def test_a_sample_of_new_users_is_of_new_users(users):
    chosen = new_users(users, 3, 0)
    assert users["bucket"].iloc[chosen].tolist() == ["new"] * 3


def test_the_sample_is_said_only_where_there_is_one(users):
    counts = users["bucket"].value_counts().rename_axis("label").reset_index().assign(what="users by bucket")
    counts = pd.concat([counts, pd.DataFrame({"what": ["items by bucket"], "label": ["head"], "count": [10**6]})])
    assert describe_sample(counts, None) == describe_sample(counts, 100) == ""
    assert describe_sample(counts, 60) == (
        "Lists and figures are of 60 of 100 known and 10 of 10 new users, drawn by seed and stratified by activity "
        "(evaluation.max_users)."
    )


def test_a_table_of_figures_states_the_sample_only_where_there_is_one():
    table = pd.DataFrame({"value": [0.5]})
    assert state_sample(table, 60)["max_users"].tolist() == [60]
    assert state_sample(table, None) is table


@pytest.mark.parametrize(
    ("of_all", "most", "expected"), [(None, None, None), (None, 5, 5), (9, 5, 5), (5, 9, 5), (5, None, 5)]
)
def test_options_for_fewer_users_never_ask_for_more(of_all, most, expected):
    assert ListOptions(max_users=of_all).of_at_most(most).max_users == expected


def test_figures_of_validation_say_of_how_many_users_they_are():
    table = pd.DataFrame({"split": ["validation", "validation", "test"], "n_users": [3, 5, 9]})
    assert state_validation_sample(table, None) is table
    assert state_validation_sample(table, 6) is table
    assert state_validation_sample(table, 5)["max_users"].tolist() == [5, 5, pd.NA]
    assert state_validation_sample(table.assign(max_users=9), 5)["max_users"].tolist() == [5, 5, 9]


def test_train_rows_of_everybody_stay():
    users = pd.DataFrame({"user_id": ["a", "b"], "bucket": "q1"})
    rows = pd.DataFrame({"user_id": ["a", "b", "a", "b"], "split": ["train", "train", "test", "test"]})
    kept = of_sample(rows, users, 1, 0)
    assert kept["split"].tolist() == ["train", "train", "test"]
    pd.testing.assert_frame_equal(of_sample(rows, users, None, 0), rows)


def test_lists_of_a_sample_are_those_lists_of_everybody(tables):
    """A model lists for each user the same, whoever else is asked for."""
    models = {"text_knn": build("text_knn", {}, 0).fit(tables.train_set)}
    histories, items = tables.train_set.queries(), tables.items
    every = {"mixed": np.ones(len(items), dtype=bool)}
    rules = EvalProtocol(histories, histories.history, every, items["bucket"].to_numpy(dtype=str))
    whole, part = (
        list_known_users(models, rules, "test", tables.users, items, ListOptions(max_users=limit), 0)["text_knn"]()
        for limit in (None, 12)
    )
    assert part["user_id"].nunique() == 12
    expected = whole[whole["user_id"].isin(part["user_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.drop(columns="score"), expected.drop(columns="score"))
    np.testing.assert_allclose(part["score"], expected["score"], rtol=1e-5)
    side = {"profiles": np.zeros((len(tables.users), 0), np.float32)}
    new = NewUserProtocol.build(tables.users, items, tables.matrices["new_user"], tables.reveal_order, side)
    lists = list_new_users(models, new, tables.users, items, ListOptions(max_users=3), 0)["text_knn"]()
    drawn = tables.users["user_id"].iloc[new_users(tables.users, 3, 0)]
    assert set(lists["user_id"]) == set(drawn)
    assert lists.groupby("n_history", observed=True)["user_id"].nunique().tolist() == [3] * 4
