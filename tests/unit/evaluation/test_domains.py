"""Lists of one domain, figures of each and of all, and people who are new to a domain."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor import columns as c
from tailor.evaluation import measure
from tailor.evaluation.config import ListOptions
from tailor.evaluation.new_to_domain import list_new_to_domain, measure_new_to_domain, users_new_to
from tailor.evaluation.protocol import NewUserProtocol
from tailor.evaluation.protocol import test_protocol as protocol_of_test
from tailor.evaluation.trade_off import FrontierOptions, draw_candidates
from tailor.models.base import FittedModel, Model, Query

#: Three items of films, then three of books.
ITEMS = pd.DataFrame(
    {
        "item_id": [f"films/{i}" for i in range(3)] + [f"books/{i}" for i in range(3)],
        "domain": ["films"] * 3 + ["books"] * 3,
        "n_train": [2, 2, 1, 1, 1, 1],
        "bucket": ["head", "head", "tail", "head", "tail", "tail"],
        "pseudo_cold": "none",
    }
)
#: u knows both, v films alone, w films and is new to books, x is new.
USERS = pd.DataFrame({"user_id": list("uvwx"), "bucket": ["q1", "q2", "q3", "new"], "n_train": [2, 2, 1, 0]})
OPTIONS = ListOptions(k=[2])


def csr(*rows):
    return sparse.csr_matrix(np.array(rows, np.float32))


TRAIN = csr([1, 0, 0, 1, 0, 0], [1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0] * 6)
TEST = csr([0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0] * 6)
NEW = csr([0] * 6, [0] * 6, [0, 0, 0, 0, 0, 1], [0, 1, 0, 1, 0, 0])
NONE = csr(*[[0] * 6] * 4)


@dataclass(frozen=True, eq=False)
class Constant(FittedModel):
    """Scores every item by its number, whoever asks."""

    recipe: Model

    @property
    def n_items(self) -> int:
        return len(ITEMS)

    def _score(self, query: Query) -> np.ndarray:
        return np.tile(np.arange(query.n_items, dtype=np.float32), (len(query), 1))

    def state(self):
        return {}


@pytest.fixture
def rules():
    side = {"profiles": np.zeros((4, 0), np.float32)}
    return protocol_of_test(ITEMS, train=TRAIN, validation=NONE, cold_unused=NONE, order=NONE, side_features=side)


@pytest.fixture
def lists(rules):
    return measure.list_known_users({"m": Constant(None)}, rules, c.TEST, USERS, ITEMS, OPTIONS, 0)["m"]()


def test_a_list_holds_unseen_items_of_its_domain(lists):
    warm = lists[lists[c.CANDIDATES] == c.WARM]
    listed = warm.groupby([c.USER, c.DOMAIN], observed=True)[c.ITEM].agg(list).to_dict()
    assert listed == {
        ("u", "films"): ["films/2", "films/1"],
        ("u", "books"): ["books/2", "books/1"],
        ("v", "films"): ["films/2"],
        ("w", "films"): ["films/2", "films/0"],
    }


def metadata():
    table = ITEMS[["item_id", "n_train", "bucket"]]
    return measure.popularity_metadata(table)


def test_figures_of_domains_and_their_mean_over_lists(rules, lists):
    protocols = {c.TEST: (rules, TEST)}
    table = measure.measure_known_users([lists], protocols, USERS, metadata(), OPTIONS)
    recall = table[
        (table["metric"] == "recall")
        & (table["item_bucket"] == "all")
        & (table["user_bucket"] == "all")
        & (table[c.CANDIDATES] == c.WARM)
    ].set_index(c.DOMAIN)
    # films: u's item 1 is second, v's and w's item 2 first; books: u's item 1 second.
    assert recall["value"].to_dict() == {"films": 1.0, "books": 1.0}
    assert recall["n_users"].to_dict() == {"films": 3, "books": 1}
    ndcg = table[(table["metric"] == "ndcg") & (table["item_bucket"] == "all") & (table["user_bucket"] == "all")]
    ndcg = ndcg[ndcg[c.CANDIDATES] == c.WARM].set_index(c.DOMAIN)["value"]
    second = 1 / np.log2(3)
    assert ndcg["films"] == pytest.approx((second + 1 + 1) / 3)
    assert ndcg["books"] == pytest.approx(second)
    every = measure.over_domains(table)
    assert c.DOMAIN not in every
    one = every[(every["metric"] == "ndcg") & (every["item_bucket"] == "all") & (every["user_bucket"] == "all")]
    one = one[one[c.CANDIDATES] == c.WARM]
    assert one["value"].tolist() == [pytest.approx((3 * ndcg["films"] + ndcg["books"]) / 4)]
    assert one["n_users"].tolist() == [4]


def test_a_table_of_one_domain_stays_as_it_is():
    table = pd.DataFrame({"metric": ["ndcg"], "value": [0.5], "n_users": [3]})
    assert measure.over_domains(table) is table


def test_unknown_figures_weigh_nothing():
    table = pd.DataFrame({"domain": ["a", "b"], "metric": "ndcg", "value": [0.5, np.nan], "n_users": [3, 9]})
    assert measure.over_domains(table)["value"].tolist() == [0.5]


def test_users_are_compared_by_the_mean_of_their_lists(rules, lists):
    values = measure.headline_values([lists], rules, TEST, USERS, metadata(), 2, names=["warm"])
    second = 1 / np.log2(3)
    np.testing.assert_allclose(values["warm"]["m"], [second, 1, 1, np.nan])


def test_a_sample_of_one_user_traces_one_of_each_domain(rules):
    options = FrontierOptions(max_users=1)
    pool = draw_candidates(Constant(None), rules, TEST, USERS, ITEMS, options, 10, 0)
    assert len(pool.items) == 2


def test_who_is_new_to_a_domain_is_listed_there_alone(rules):
    new = users_new_to(rules, NEW, USERS)
    assert {name: rows.tolist() for name, rows in new.items()} == {"books": [2], "films": []}
    lists = list_new_to_domain({"m": Constant(None)}, rules, NEW, USERS, ITEMS, OPTIONS, 0)
    listed = lists["m"]()
    assert listed[c.ITEM].tolist() == ["books/2", "books/1", "books/0"]
    assert set(listed[c.USER]) == {"w"}
    table = measure_new_to_domain([listed], rules, NEW, USERS, metadata(), OPTIONS)
    ndcg = table[(table["metric"] == "ndcg") & (table["item_bucket"] == "all")]
    assert ndcg["value"].tolist() == [1.0]
    assert ndcg[[c.DOMAIN, "user_bucket"]].to_numpy().tolist() == [["books", "new_to_domain"]]


def test_lists_of_who_is_new_to_a_domain_are_of_a_sample(rules):
    # v and w are new to books.
    new = csr([0] * 6, [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1], [0] * 6)
    options = ListOptions(k=[2], max_users=1)
    drawn = list_new_to_domain({"m": Constant(None)}, rules, new, USERS, ITEMS, options, 0)["m"]()
    every = list_new_to_domain({"m": Constant(None)}, rules, new, USERS, ITEMS, OPTIONS, 0)["m"]()
    assert (drawn[c.USER].nunique(), every[c.USER].nunique()) == (1, 2)
    assert set(drawn[c.USER]) <= set(every[c.USER])


def test_without_such_people_there_is_no_table(rules):
    lists = list_new_to_domain({"m": Constant(None)}, rules, NONE, USERS, ITEMS, OPTIONS, 0)
    assert lists == {}
    assert measure_new_to_domain([], rules, NONE, USERS, metadata(), OPTIONS).empty


def test_new_users_have_lists_of_the_domains_they_have_rows_in():
    side = {"profiles": np.zeros((4, 0), np.float32)}
    protocol = NewUserProtocol.build(USERS, ITEMS, NEW, csr([0] * 6, [0] * 6, [0] * 6, [0, 1, 0, 2, 0, 0]), side)
    lists = measure.list_new_users(
        {"m": Constant(None)}, protocol, USERS, ITEMS, ListOptions(k=[2], new_user_history=[1]), 0
    )["m"]()
    # item films/1 is revealed, books/0 is to be found
    assert lists.groupby(c.DOMAIN, observed=True)[c.ITEM].agg(list).to_dict() == {
        "films": ["films/2", "films/0"],
        "books": ["books/2", "books/1", "books/0"],
    }
    table = measure.measure_new_users([lists], protocol, USERS, metadata(), ListOptions(k=[3]))
    ndcg = table[(table["metric"] == "ndcg") & (table["item_bucket"] == "all")]
    assert ndcg["value"].tolist() == [pytest.approx(1 / np.log2(4))]
