"""What a few users get, and why, in words."""

import numpy as np
import pandas as pd
import pytest

from tailor.evaluation.config import ListOptions
from tailor.evaluation.measure import list_known_users
from tailor.evaluation.protocol import EvalProtocol
from tailor.evaluation.sample_users import choose_users, describe_score, describe_users
from tailor.hybrid.explain import Explanation
from tests.recipes import hybrid


def explanation(**parts):
    """One item of one user, with two history items whose shares are 2 and -1."""
    other = {"cold_boost": np.array([parts.pop("other", 0.0)])}
    sources = {name: np.array([value]) for name, value in parts.items()}
    shares = {"ials": np.array([[2.0, -1.0]])}
    return Explanation(np.array([5]), sources, other, np.array([1, 2]), shares, {}, np.zeros(9, np.float32))


TITLES = ["zero", "one", "two"]


def test_a_score_is_said_in_shares_of_what_carried_it():
    text = describe_score(explanation(ials=0.6, popular=0.3, text_knn=0.1, slit=-0.5), 0, TITLES)
    assert text == "factors 60%, popularity 30%, text 10%; most because of one"


def test_little_is_not_said_and_the_rest_has_a_name():
    text = describe_score(explanation(ials=0.57, popular=0.03, other=0.4), 0, TITLES)
    assert text == "factors 57%, exposure of rare items 40%; most because of one"


def test_where_nothing_speaks_for_an_item_it_is_popularity():
    assert describe_score(explanation(ials=-0.5), 0, TITLES) == "popularity"


def test_no_history_item_is_named_where_the_history_carries_little():
    """Of what lifts the item, 0.2 / (0.2 + 0.8) is the history's: less than three tenths."""
    text = describe_score(explanation(ials=0.2, popular=0.8), 0, TITLES)
    assert text == "popularity 80%, factors 20%"


def test_one_user_of_each_kind_is_chosen_whatever_the_order_of_the_table(tables):
    chosen = choose_users(tables.users, 0)
    assert tables.users["bucket"].iloc[chosen].tolist() == ["q1", "q3", "q4"]
    shuffled = tables.users.sample(frac=1, random_state=1, ignore_index=True)
    again = shuffled["user_id"].iloc[choose_users(shuffled, 0)].tolist()
    assert again == tables.users["user_id"].iloc[chosen].tolist()
    assert choose_users(tables.users, 1).tolist() != chosen.tolist()
    assert len(choose_users(tables.users.assign(bucket="q4"), 0)) == 1


@pytest.fixture(scope="module")
def described(tables):
    scorer, histories = hybrid().fit(tables.train_set), tables.train_set.queries()
    every = {"mixed": np.ones(len(tables.items), bool)}
    protocol = EvalProtocol(histories, histories.history, every, tables.items["bucket"].to_numpy(dtype=str))
    tables_of = list_known_users({"hybrid": scorer}, protocol, "test", tables.users, tables.items, ListOptions(), 0)
    lists = tables_of["hybrid"]()
    return lists, describe_users(scorer, tables.users, tables.items, histories, lists, 0, top=3)


def test_the_rows_are_the_user_s_list(described, tables):
    lists, users = described
    assert len(users) == 3
    assert not any("domain" in entry for user in users for entry in user["rows"])
    titles = tables.items.set_index("item_id")["title"]
    for user, row in zip(users, choose_users(tables.users, 0), strict=True):
        of_user = lists[lists["user_id"] == tables.users["user_id"].iloc[row]].nsmallest(3, "rank")
        assert [entry["title"] for entry in user["rows"]] == titles[of_user["item_id"]].tolist()
        assert [entry["score"] for entry in user["rows"]] == [f"{score:.2f}" for score in of_user["score"]]
        assert [entry["rank"] for entry in user["rows"]] == [1, 2, 3]
        n_known = int(np.diff(tables.matrices["train"].indptr)[row])
        assert user["name"].endswith(f": {n_known} known items")
        assert len(user["history"].split("; ")) == min(n_known, 8)


def test_lists_of_several_domains_stand_one_behind_the_other(described, tables):
    lists, _ = described
    films = lists.assign(domain="films")
    domains = pd.concat([films, lists.assign(domain="books")], ignore_index=True)
    scorer, histories = hybrid().fit(tables.train_set), tables.train_set.queries()
    titles = tables.items.set_index("item_id")["title"]
    users = describe_users(scorer, tables.users, tables.items, histories, domains, 0, top=2)
    assert len(users) == 3
    for user, row in zip(users, choose_users(tables.users, 0), strict=True):
        of_user = lists[lists["user_id"] == tables.users["user_id"].iloc[row]].nsmallest(2, "rank")
        assert [entry["title"] for entry in user["rows"]] == 2 * titles[of_user["item_id"]].tolist()
        assert [entry["domain"] for entry in user["rows"]] == ["books", "books", "films", "films"]
        assert [entry["rank"] for entry in user["rows"]] == [1, 2, 1, 2]


def test_no_id_is_told(described, tables):
    _, users = described
    text = str(users)
    assert not [user for user in tables.users["user_id"] if f"'{user}'" in text]
    assert pd.Series([user["name"][:6] for user in users]).tolist() == ["User A", "User B", "User C"]
