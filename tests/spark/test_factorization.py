"""Factors and lists on Spark are those of one machine."""

import numpy as np
import pandas as pd
import pytest

from tailor import columns as c
from tailor.data.hashing import tie_ranks
from tailor.errors import BadInputError
from tailor.metrics.accuracy import hits, ndcg, recall
from tailor.models.base import Query
from tailor.models.ials import IALSConfig, TextIALS
from tailor.models.listing import recommend
from tailor.spark import blocks, factorization, lists

pytest.importorskip("pyspark", reason="make test-spark installs it")

CONFIG = {"factors": 8, "iterations": 4, "alpha": 0.2, "regularization": 0.01, "lambda_item_feature": 1.0}


@pytest.fixture(scope="module")
def made(labelled, tables):
    return blocks.make_blocks(labelled, tables.items, 5, seed=3).persist()


def counts(tables):
    return tables.items["n_train"].to_numpy(dtype=np.int64)


@pytest.fixture(scope="module")
def model(made, tables):
    recipe = TextIALS(IALSConfig(**CONFIG), seed=2)
    return factorization.fit(made, counts(tables), tables.features, recipe, item_blocks=3)


def on_one_machine(tables, features=True):
    recipe = TextIALS(IALSConfig(engine="torch", **CONFIG), seed=2)
    return recipe.fit(tables.train_set if features else tables.train_set.without_features())


class TestBlocks:
    def test_they_hold_every_row_once(self, made, tables):
        n_items, found = len(tables.items), []
        for record in made.collect():
            block = blocks.of_record(record.asDict())
            assert (np.sort(block.users) == block.users).all()
            for label in c.SPLITS:
                cells = block.matrix([label], n_items).tocoo()
                ids = tables.items["item_id"].to_numpy(dtype=object)[cells.col]
                found += list(zip(block.users[cells.row], ids, [label] * cells.nnz, strict=True))
        rows = tables.interactions[["user_id", "item_id", "split"]]
        assert sorted(found) == sorted(rows.itertuples(index=False, name=None))

    def test_an_item_that_the_table_lacks_is_named(self, labelled, tables):
        with pytest.raises(BadInputError, match=r"name item '.*', which the item table lacks"):
            blocks.make_blocks(labelled, tables.items.iloc[1:], 2, 0)


class TestFactors:
    def test_they_are_those_of_one_machine(self, model, tables):
        expected = on_one_machine(tables)
        np.testing.assert_allclose(model.item_factors, expected.item_factors, atol=1e-8)
        np.testing.assert_allclose(model.feature_weights, expected.feature_weights, atol=1e-8)
        assert np.abs(model.item_factors[~tables.warm]).max() > 0

    def test_so_are_those_without_texts(self, made, tables):
        recipe = TextIALS(IALSConfig(**CONFIG), seed=2)
        fitted = factorization.fit(made, counts(tables), None, recipe, item_blocks=2)
        np.testing.assert_allclose(fitted.item_factors, on_one_machine(tables, False).item_factors, atol=1e-8)
        assert not fitted.item_factors[~tables.warm].any()

    def test_blocks_change_nothing_but_roundings(self, labelled, model, tables):
        one = blocks.make_blocks(labelled, tables.items, 1, seed=0)
        recipe = TextIALS(IALSConfig(**CONFIG), seed=2)
        fitted = factorization.fit(one, counts(tables), tables.features, recipe, item_blocks=1)
        np.testing.assert_allclose(fitted.item_factors, model.item_factors, atol=1e-8)

    def test_the_same_blocks_give_the_same_bits(self, made, model, tables):
        recipe = TextIALS(IALSConfig(**CONFIG), seed=2)
        again = factorization.fit(made, counts(tables), tables.features, recipe, item_blocks=3)
        assert again.item_factors.tobytes() == model.item_factors.tobytes()


@pytest.fixture(scope="module")
def listed(made, model, tables):
    return lists.make_lists(made, model, tables.items, 20, seed=0).persist()


@pytest.fixture(scope="module")
def expected(model, tables):
    """Lists of one machine of every user who is not new."""
    items, of = tables.items, tables.matrices
    cold = (items["bucket"] == "cold").to_numpy()
    known = np.flatnonzero(tables.users["bucket"] != "new")
    before = (of["train"] + of["validation"])[known]
    histories = before.multiply(tables.warm).tocsr()
    histories.eliminate_zeros()
    sets = {"warm": ~cold, "cold": cold, "mixed": np.ones(len(items), bool)}
    seen = (before + of["cold_unused"][known]).tocsr()
    query = Query.of(histories.astype(np.float32))
    return known, recommend(model, query, seen, sets, 20, tie_ranks(0, items["item_id"]))


class TestLists:
    def test_they_are_those_of_one_machine(self, listed, expected, tables):
        known, lists_of = expected
        frame = listed.toPandas().set_index(["candidates", "user_id", "place"]).sort_index()
        ids, users = (tables.items["item_id"].to_numpy(object), tables.users["user_id"].to_numpy(object)[known])
        for name, (items, scores) in lists_of.items():
            row, place = np.nonzero(items >= 0)
            index = pd.MultiIndex.from_arrays([users[row], place])
            of_set = frame.loc[name]
            assert len(of_set) == len(index)
            assert (of_set.loc[index, "item_id"].to_numpy(object) == ids[items[row, place]]).all()
            np.testing.assert_allclose(of_set.loc[index, "score"], scores[row, place], atol=1e-6)

    def test_figures_are_those_of_one_machine(self, listed, labelled, expected, tables):
        known, lists_of = expected
        table = lists.measure(listed, labelled, tables.items, 10).set_index(["candidates", "metric"])
        positives = (tables.matrices["test"] + tables.matrices["cold"])[known].tocsr()
        cold = (tables.items["bucket"] == "cold").to_numpy()
        for name, of_set in {"warm": ~cold, "cold": cold, "mixed": np.ones(len(cold), bool)}.items():
            wanted = positives.multiply(of_set).tocsr()
            wanted.eliminate_zeros()
            hit, n = hits(lists_of[name][0], wanted), np.diff(wanted.indptr)
            for metric, compute in {"ndcg": ndcg, "recall": recall}.items():
                assert table.loc[(name, metric), "value"] == pytest.approx(np.nanmean(compute(hit, n, 10)))
            assert table.loc[(name, "ndcg"), "n_users"] == (n > 0).sum()
            items = np.unique(lists_of[name][0][:, :10])
            assert table.loc[(name, "coverage"), "value"] == pytest.approx((items >= 0).sum() / of_set.sum())
