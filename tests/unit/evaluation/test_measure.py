"""From models to lists and from lists to figures, on the planted catalogue."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.config import DataProcessingOptions
from tailor.evaluation.config import ListOptions
from tailor.evaluation.measure import (
    COMPARED,
    compare,
    describe_items,
    headline_values,
    list_known_users,
    list_length,
    list_new_users,
    measure_clicks,
    measure_known_users,
    measure_new_users,
    popularity_metadata,
    window_ratio,
)
from tailor.evaluation.protocol import NewUserProtocol
from tailor.evaluation.protocol import test_protocol as protocol_of_test
from tailor.evaluation.ranking import read_tables, stack
from tailor.lm.embeddings import Embeddings
from tailor.lm.whitening import Whitening
from tailor.models.registry import build

OPTIONS = ListOptions(k=[5, 20], new_user_history=[0, 3], block_users=64)


def joined(tables):
    """All models' lists as one table."""
    return stack(list(read_tables(tables)))


@pytest.fixture(scope="module")
def side_features(tables):
    return {"profiles": np.zeros((len(tables.users), 0), np.float32)}


@pytest.fixture(scope="module")
def protocol(tables, side_features):
    known = {name: tables.matrices[name] for name in ("train", "validation", "cold_unused")}
    return protocol_of_test(tables.items, order=tables.order, side_features=side_features, **known)


@pytest.fixture(scope="module")
def models(tables):
    return {name: build(name, {}, 0).fit(tables.train_set) for name in ("random", "popular", "text_knn")}


@pytest.fixture(scope="module")
def positives(tables):
    return sparse.csr_matrix(tables.matrices["test"] + tables.matrices["cold"])


@pytest.fixture(scope="module")
def lists(models, protocol, tables):
    return joined(list_known_users(models, protocol, "test", tables.users, tables.items, OPTIONS, 0))


def test_lists_are_long_enough_for_every_cut_off():
    assert list_length(ListOptions(k=[5])) == 20
    assert list_length(ListOptions(k=[5, 50])) == 50


def test_every_user_who_is_known_gets_lists_of_candidates_without_what_is_seen(lists, protocol, tables):
    known = tables.users["user_id"][tables.users["bucket"] != "new"]
    assert set(lists["user_id"]) == set(known)
    assert set(lists["split"]) == {"test"}
    bucket = tables.items.set_index("item_id")["bucket"]
    of_set = lists.groupby("candidates")["item_id"].agg(lambda ids: set(bucket[ids]))
    assert "cold" not in of_set["warm"]
    assert of_set["cold"] == {"cold"}
    assert "cold" in of_set["mixed"]
    rows = pd.Index(tables.users["user_id"]).get_indexer(lists["user_id"])
    items = pd.Index(tables.items["item_id"]).get_indexer(lists["item_id"])
    assert not np.asarray(protocol.seen[rows, items]).any()
    assert not lists.duplicated(["user_id", "item_id", "model", "candidates"]).any()


def test_lists_do_not_depend_on_the_block(models, protocol, lists, tables):
    one_by_one = OPTIONS.model_copy(update={"block_users": 7})
    again = joined(list_known_users(models, protocol, "test", tables.users, tables.items, one_by_one, 0))
    pd.testing.assert_frame_equal(again.drop(columns="score"), lists.drop(columns="score"))


def test_an_oracle_is_best_and_chance_is_worst(lists, protocol, positives, tables):
    metadata = popularity_metadata(tables.items)
    table = measure_known_users([lists], {"test": (protocol, positives)}, tables.users, metadata, OPTIONS)
    of_all = table.query("metric == 'ndcg' and candidates == 'mixed' and k == 20 and item_bucket == 'all'")
    ndcg = of_all[of_all["user_bucket"] == "all"].set_index("model")["value"]
    assert ndcg["text_knn"] > ndcg["popular"] > ndcg["random"] > 0
    assert set(table["k"]) == {5, 20}
    assert set(of_all["user_bucket"]) == {"all", "q1", "q2", "q3", "q4"}


def test_headlines_are_means_of_what_users_have(lists, protocol, positives, tables):
    metadata = popularity_metadata(tables.items)
    values = headline_values([lists], protocol, positives, tables.users, metadata, 20)
    table = measure_known_users([lists], {"test": (protocol, positives)}, tables.users, metadata, OPTIONS)
    rows = table.query("metric == 'ndcg' and k == 20 and user_bucket == 'all'")
    for headline, candidates, bucket in (("mixed", "mixed", "all"), ("tail", "warm", "tail"), ("cold", "cold", "all")):
        of_set = rows[(rows["candidates"] == candidates) & (rows["item_bucket"] == bucket)]
        expected = of_set.set_index("model")["value"]
        for model, of_user in values[headline].items():
            assert np.nanmean(of_user) == pytest.approx(expected[model]), headline
    compared = compare(values, "text_knn", 0).set_index(["headline", "against"])
    assert compared.loc[("mixed", "random"), "verdict"].startswith("better")
    assert compared.loc[("mixed", "random"), "low"] > 0
    assert set(compared.index.get_level_values("against")) == {"random", "popular"}
    difference = np.nanmean(values["mixed"]["text_knn"] - values["mixed"]["popular"])
    assert compared.loc[("mixed", "popular"), "difference"] == pytest.approx(difference)


def test_new_users_are_asked_with_what_they_reveal(models, side_features, tables):
    matrices = tables.matrices
    protocol = NewUserProtocol.build(
        tables.users, tables.items, matrices["new_user"], tables.reveal_order, side_features
    )
    lists = joined(list_new_users(models, protocol, tables.users, tables.items, OPTIONS, 0))
    assert set(lists["user_id"]) == set(tables.users["user_id"][tables.users["bucket"] == "new"])
    assert set(lists["n_history"]) == {0, 3}
    metadata = popularity_metadata(tables.items)
    table = measure_new_users([lists], protocol, tables.users, metadata, OPTIONS)
    ndcg = table.query("metric == 'ndcg' and k == 20 and item_bucket == 'all'").set_index(["model", "user_bucket"])
    assert ndcg.loc[("text_knn", "new_3"), "value"] > ndcg.loc[("text_knn", "new_0"), "value"]
    for n in (0, 3):
        known = protocol.revealed(n).history
        of_n = lists[(lists["n_history"] == n) & (lists["model"] == "popular")]
        users = tables.users["user_id"].iloc[protocol.users]
        rows = pd.Index(users).get_indexer(of_n["user_id"])
        items = pd.Index(tables.items["item_id"]).get_indexer(of_n["item_id"])
        assert not np.asarray(known[rows, items]).any()


def test_without_new_users_there_is_nothing_to_measure(models, side_features, tables):
    nobody = tables.users.assign(bucket="q1")
    protocol = NewUserProtocol.build(
        nobody, tables.items, tables.matrices["new_user"], tables.reveal_order, side_features
    )
    lists = list_new_users(models, protocol, nobody, tables.items, OPTIONS, 0)
    assert lists == {}
    assert measure_new_users(read_tables(lists), protocol, nobody, popularity_metadata(tables.items), OPTIONS).empty


def test_items_are_described_in_the_order_of_their_table(tables):
    items, ids = tables.items, tables.items["item_id"]
    embeddings = Embeddings(ids.to_numpy(object), tables.features, Whitening(np.zeros(4, np.float32), None), {})
    texts = pd.DataFrame({"item_id": ids, "pieces": [f'["{item}"]' for item in ids]})
    categories = pd.DataFrame({"item_id": ids, "category": items["genre"]})
    metadata = describe_items(items, texts, categories, embeddings)
    assert metadata.n_train.tolist() == items["n_train"].tolist()
    assert metadata.bucket.tolist() == items["bucket"].tolist()
    np.testing.assert_array_equal(metadata.vectors, tables.features)
    assert [row[0] for row in metadata.categories] == items["genre"].tolist()


class Clicks:
    """Half of what is positive is clicked, whoever asks."""

    def __init__(self, chance):
        self.chance = chance

    def click_probability(self, query, horizon):
        assert horizon == 2.0
        return np.tile(self.chance, (len(query), 1))


def test_clicks_are_measured_over_what_a_list_may_show(protocol, positives, tables):
    counts = np.asarray(positives.sum(axis=0)).ravel()
    known = (tables.users["bucket"] != "new").to_numpy() & (np.diff(positives.indptr) > 0)
    n_cells = int(known.sum()) * len(tables.items) - protocol.seen[known].nnz
    models = {"counts": Clicks((counts + 1) / (counts.sum() + 2)), "even": Clicks(np.full(len(counts), 0.1))}
    table, curve = measure_clicks(models, protocol, positives, tables.users, 2.0, OPTIONS)
    table = table.set_index("model")
    assert table.loc["even", "auc"] == pytest.approx(0.5)
    assert table.loc["counts", "auc"] > 0.6
    assert table["cells"].tolist() == [n_cells] * 2
    overlap = positives[known].multiply(protocol.seen[known])
    assert table["clicks"].tolist() == [positives[known].nnz - overlap.nnz] * 2
    assert curve.groupby("model")["cells"].sum().tolist() == [n_cells] * 2


def test_the_windows_of_a_split_are_its_shares_and_those_of_a_given_one_its_rows():
    validation, counted = sparse.csr_matrix(np.eye(4)), sparse.csr_matrix(np.ones((3, 2)))
    shares = DataProcessingOptions(split={"train": 0.6, "validation": 0.1})
    assert window_ratio(shares, validation, counted) == pytest.approx(3)
    one_each = DataProcessingOptions(split={"strategy": "leave_one_out", "train": 0.6, "validation": 0.1})
    assert window_ratio(one_each, validation, counted) == 1
    columns = {"interactions": {"user_id": "u", "item_id": "i", "split": "part"}}
    given = DataProcessingOptions(columns=columns, split={"train": 0.6, "validation": 0.1})
    assert window_ratio(given, validation, counted) == 6 / 4
    assert window_ratio(given, sparse.csr_matrix((3, 2)), counted) == 1


def test_without_cold_items_there_are_no_lists_and_no_comparisons_of_them(models, protocol, tables):
    items = tables.items.assign(bucket=tables.items["bucket"].replace("cold", "unseen"))
    every = np.ones(len(items), dtype=bool)
    rules = replace(
        protocol, candidates={"warm": every, "cold": ~every, "mixed": every}, item_bucket=items["bucket"].to_numpy(str)
    )
    lists = joined(list_known_users(models, rules, "test", tables.users, items, OPTIONS, 0))
    assert set(lists["candidates"]) == {"warm", "mixed"}
    assert [str(lists[name].dtype) for name in ("model", "candidates", "split", "rank")] == ["category"] * 3 + ["int32"]
    metadata = popularity_metadata(items)
    values = headline_values([lists], rules, tables.matrices["test"], tables.users, metadata, 20)
    compared = compare(values, "text_knn", 0)
    assert set(compared["headline"]) == {"warm", "tail", "mixed"}
    assert list(compared) == COMPARED
    assert np.isfinite(compared["adjusted_p"]).all()


def test_a_model_alone_is_compared_with_none():
    alone = compare({"warm": {"ours": np.array([0.5])}, "cold": {}}, "ours", 0)
    assert alone.empty
    assert list(alone) == COMPARED
