"""Weights between items on Spark are those of one machine, full and of the nearest items."""

import numpy as np
import pytest

from tailor.data.ids import IdMap
from tailor.data.interactions import in_order, order_matrix
from tailor.errors import BadInputError
from tailor.models.ease import EASE, EASEConfig, TextEASE
from tailor.models.item_weights import cells
from tailor.models.slit import SLIT, SLITConfig
from tailor.spark import blocks, item_weights

pytest.importorskip("pyspark", reason="make test-spark installs it")

#: Full weights, and weights of the nearest items alone.
SIZES = {"full": {}, "nearest": {"max_dense_items": 10, "neighbours": 7}}
PULLED = {"regularization": 50.0, "text_pull": 100.0, "dropout": 0.2, "user_weight_power": 0.5}


@pytest.fixture(scope="module")
def made(ordered, tables):
    return blocks.make_blocks(ordered, tables.items, 5, seed=3, ordered=True).persist()


def assert_same(made, expected):
    """Compare all weights."""
    every = np.arange(expected.n_fitted)
    np.testing.assert_allclose(cells(made.weights, every, every), cells(expected.weights, every, every), atol=1e-6)
    assert np.abs(cells(made.weights, every, every)).max() > 0.01


@pytest.mark.parametrize("size", SIZES)
def test_ease_pulled_toward_texts_is_that_of_one_machine(made, tables, size):
    recipe = TextEASE(EASEConfig(**PULLED, **SIZES[size]), 0)
    fitted = item_weights.fit_ease(made, tables.features, recipe, len(tables.items), 3)
    expected = recipe.fit(tables.train_set)
    assert_same(fitted, expected)
    np.testing.assert_allclose(fitted.text.columns, expected.text.columns, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_ease_without_texts_is_that_of_one_machine(made, tables, size):
    recipe = EASE(EASEConfig(**SIZES[size]), 0)
    none = np.zeros((len(tables.items), 0), np.float32)
    assert_same(item_weights.fit_ease(made, none, recipe, len(tables.items), 4), recipe.fit(tables.train_set))


@pytest.mark.parametrize("size", SIZES)
def test_slit_is_that_of_one_machine(made, tables, size):
    recipe = SLIT(SLITConfig(regularization=10.0, **SIZES[size]), 0)
    assert blocks.are_ordered(made)
    assert_same(item_weights.fit_slit(made, recipe, len(tables.items), 3), recipe.fit(tables.train_set))


def test_the_same_blocks_give_the_same_bits(made, tables):
    recipe = TextEASE(EASEConfig(**PULLED, **SIZES["nearest"]), 0)
    first, again = (item_weights.fit_ease(made, tables.features, recipe, len(tables.items), 3) for _ in range(2))
    assert first.weights.data.tobytes() == again.weights.data.tobytes()


def test_ease_reads_no_texts_though_there_are_some(made, tables):
    recipe = EASE(EASEConfig(**PULLED), 0)
    assert_same(
        item_weights.fit_ease(made, tables.features, recipe, len(tables.items), 1), recipe.fit(tables.train_set)
    )


def test_more_tasks_than_items_are_no_fault(made, tables):
    recipe = EASE(EASEConfig(), 0)
    none = np.zeros((len(tables.items), 0), np.float32)
    fitted = item_weights.fit_ease(made, none, recipe, len(tables.items), len(tables.items) + 3)
    assert_same(fitted, recipe.fit(tables.train_set))


def test_bad_input_that_a_task_names_is_raised_here(spark):
    def fail(part):
        raise BadInputError(f"rows {part.start} to {part.stop}: raise the regularization")

    with pytest.raises(BadInputError, match=r"^rows 2 to 4: raise the regularization$"):
        list(item_weights.in_tasks(spark, 1)(fail, [slice(2, 4)]))


class TestOrder:
    """Places of rows, and whether there are any."""

    @pytest.fixture
    def rows(self, tables):
        """A third of the times is unknown, the others are of four values."""
        rows = tables.interactions[["user_id", "item_id", "split", "timestamp"]].copy()
        rng = np.random.default_rng(0)
        rows["timestamp"] = rng.integers(0, 4, len(rows)).astype(float)
        return rows.assign(timestamp=rows["timestamp"].where(rng.random(len(rows)) > 0.3))

    def test_it_is_that_of_one_machine(self, spark, tables, rows):
        nulls = rows.astype({"timestamp": object}).where(rows.notna(), None)
        names = "user_id string, item_id string, split string, timestamp double"
        labels, n_items = ["train", "validation"], len(tables.items)
        expected = order_matrix(rows, tables.users, tables.items, labels)
        users = IdMap(tables.users["user_id"])
        made = blocks.make_blocks(spark.createDataFrame(nulls, names), tables.items, 3, 0, ordered=True)
        compared = 0
        for record in made.collect():
            block = blocks.of_record(record.asDict())
            of_block, here = block.order(labels, n_items), expected[users.indices(block.users)]
            np.testing.assert_array_equal(of_block.toarray() > 0, here.toarray() > 0)
            np.testing.assert_array_equal(in_order(of_block)[1], in_order(here)[1])
            compared += here.nnz
        assert compared == expected.nnz

    @pytest.mark.parametrize(
        ("times", "strategy", "known"),
        [
            ([1.0, 2.0], "per_user", True),
            ([1.0, 2.0], "random", False),
            ([2.0, 2.0], "per_user", False),
            ([1.0, 2.0, float("nan")], "per_user", True),
            ([1.0, 2.0, None], "per_user", True),
            ([None, None], "per_user", False),
        ],
    )
    def test_it_is_known_where_times_differ(self, spark, times, strategy, known):
        table = spark.createDataFrame([(time,) for time in times], "timestamp double")
        assert blocks.knows_order(table, strategy) is known

    def test_it_is_not_known_without_times(self, labelled, tables):
        assert not blocks.knows_order(labelled, "per_user")
        made = blocks.make_blocks(labelled, tables.items, 2, 0)
        assert not blocks.are_ordered(made)
        assert blocks.of_record(made.first().asDict()).order(["train"], len(tables.items)) is None
