"""Weights between items on Spark are those of one machine, full and of the nearest items."""

import numpy as np
import pytest

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


def test_what_fails_in_a_task_is_raised_here(spark):
    def fail(part):
        raise ValueError(f"rows {part.start} to {part.stop}")

    with pytest.raises(Exception, match="rows 2 to 4"):
        list(item_weights.in_tasks(spark, 1)(fail, [slice(2, 4)]))
