"""Factors and lists on Spark are those of one machine; so is the order that lists read."""

import numpy as np
import pytest

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.evaluation.config import ListOptions
from tailor.evaluation.measure import list_known_users, measure_known_users, popularity_metadata
from tailor.evaluation.protocol import test_protocol as rules_of_test
from tailor.models.ials import IALSConfig, TextIALS
from tailor.models.slit import SLIT, SLITConfig
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
def models(model, tables):
    """What reads a history as a set, and what reads its order."""
    slit = SLIT(SLITConfig(regularization=10.0, half_life=1.0), 0)
    return {"text_ials": model, "slit": slit.fit(tables.train_set)}


@pytest.fixture(scope="module")
def listed(ordered, models, tables):
    table = blocks.make_blocks(ordered, tables.items, 4, seed=1, ordered=True)
    return lists.make_lists(table, models, tables.items, 20, seed=0).persist()


@pytest.fixture(scope="module")
def rules(tables):
    """What the report's test lists keep to."""
    known = {name: tables.matrices[name] for name in ("train", "validation", "cold_unused")}
    return rules_of_test(
        tables.items, order=tables.order, side_features={"profiles": np.zeros((len(tables.users), 0))}, **known
    )


@pytest.fixture(scope="module")
def expected(models, tables, rules):
    """Lists of one machine of every user who is not new, by model."""
    made = list_known_users(models, rules, "test", tables.users, tables.items, ListOptions(k=[10, 20]), 0)
    return {name: lists_of() for name, lists_of in made.items()}


class TestLists:
    @pytest.mark.parametrize("name", ["text_ials", "slit"])
    def test_they_are_those_of_one_machine(self, listed, expected, name):
        keys = ["candidates", "user_id", "item_id"]
        frame, made = expected[name].astype(dict.fromkeys(keys, "str")), listed.filter(f"model = '{name}'").toPandas()
        both = frame.merge(made, on=keys, suffixes=("", "_on_spark"), how="outer", validate="1:1")
        assert len(both) == len(frame)
        assert (both["place"] + 1 == both["rank"]).all()
        np.testing.assert_allclose(both["score_on_spark"], both["score"], atol=1e-6)

    def test_figures_are_those_of_one_machine(self, listed, labelled, expected, tables, rules):
        positives = (tables.matrices["test"] + tables.matrices["cold"]).tocsr()
        metadata = popularity_metadata(tables.items)
        figures = measure_known_users(
            list(expected.values()), {"test": (rules, positives)}, tables.users, metadata, ListOptions()
        )
        of_all = figures[(figures["item_bucket"] == "all") & (figures["user_bucket"] == "all") & (figures["k"] == 10)]
        of_all = of_all.set_index(["model", "candidates", "metric"])
        made = lists.measure(listed, labelled, tables.items, 10)
        assert len(made) == 18
        for row in made.to_dict("records"):
            figure = of_all.loc[(row["model"], row["candidates"], row["metric"])]
            assert row["value"] == pytest.approx(figure["value"]), row
            assert row["n_users"] == figure["n_users"], row

    def test_without_cold_items_there_are_no_figures_of_them(self, spark, listed, tables):
        rows = tables.interactions[tables.interactions["split"] != "cold"]
        labelled = spark.createDataFrame(rows[["user_id", "item_id", "split"]])
        items = tables.items.assign(bucket=tables.items["bucket"].replace("cold", "unseen"))
        made = lists.measure(listed.filter("candidates <> 'cold'"), labelled, items, 10)
        assert set(made["candidates"]) == {"warm", "mixed"}
        assert made["value"].between(0, 1).all()
