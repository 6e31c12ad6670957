"""Ratings predicted from biases and a score."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor import columns as c
from tailor.metrics.rating import BIASES, Ratings, baseline, cell_scores, measure
from tailor.models.base import Query

N_USERS, N_ITEMS = 60, 40


class Oracle:
    """Scores that are the planted taste itself."""

    def __init__(self, taste):
        self.taste = taste

    def score(self, query):
        return self.taste[query.user_index]


@pytest.fixture(scope="module")
def rated():
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(N_USERS, N_ITEMS)).astype(np.float32)
    user, item = (a.ravel() for a in np.indices((N_USERS, N_ITEMS)))
    split = rng.choice([c.TRAIN, c.VALIDATION, c.TEST], size=len(user), p=[0.6, 0.2, 0.2])
    split[(item >= 36) & (split != c.TEST)] = c.COLD_UNUSED
    split[(item >= 36) & (split == c.TEST)] = c.COLD
    value = 3.0 + 0.5 * taste.ravel() + rng.normal(0, 0.1, len(user))
    interactions = pd.DataFrame(
        {c.USER: user.astype(str), c.ITEM: item.astype(str), c.SPLIT: split, c.VALUE: value.round(3)}
    )
    users = pd.DataFrame({c.USER: [str(u) for u in range(N_USERS)]})
    counts = interactions[interactions[c.SPLIT] == c.TRAIN][c.ITEM].value_counts()
    items = pd.DataFrame({c.ITEM: [str(i) for i in range(N_ITEMS)]})
    items[c.N_TRAIN] = items[c.ITEM].map(counts).fillna(0).astype(int)
    rows = interactions[interactions[c.SPLIT] == c.TRAIN]
    cells = (np.ones(len(rows), np.float32), (rows[c.USER].astype(int), rows[c.ITEM].astype(int)))
    queries = Query.of(sparse.csr_matrix(cells, shape=taste.shape), user_index=np.arange(N_USERS))
    return interactions, users, items, queries, taste


def test_biases_are_shrunk_means():
    train = Ratings(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([5.0, 3.0, 4.0]))
    mean, of_user, of_item = baseline(train, 3, 2)
    assert mean == 4.0
    np.testing.assert_allclose(of_item, [(1 + 0) / (25 + 2), -1 / (25 + 1)])
    np.testing.assert_allclose(of_user, [(1 - 1 / 27 + (-1 + 1 / 26)) / (10 + 2), -1 / 27 / (10 + 1), 0.0])


def test_an_oracle_predicts_to_the_noise_and_biases_to_the_taste(rated):
    interactions, users, items, queries, taste = rated
    oracle = {"oracle": Oracle(taste)}
    found = measure(oracle, oracle, interactions, users, items, queries, 16).set_index(c.MODEL)
    assert found.loc["oracle", "rmse"] == pytest.approx(0.1, rel=0.1)
    assert found.loc[BIASES, "rmse"] == pytest.approx(np.hypot(0.5, 0.1), rel=0.1)
    # Of a normal error, mean |e| = sd * sqrt(2 / π).
    assert found.loc["oracle", "mae"] == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.1)
    assert found.loc["oracle", "ratings"] == interactions[c.SPLIT].isin([c.TEST, c.COLD]).sum()
    assert found.loc["oracle", "ratings_of_cold_items"] == (interactions[c.SPLIT] == c.COLD).sum()


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_cell_scores_do_not_depend_on_the_block(rated, block):
    interactions, users, items, queries, taste = rated
    cells = Ratings.read(interactions, users, items, (c.TEST,))
    np.testing.assert_array_equal(cell_scores(Oracle(taste), queries, cells, block), taste[cells.user, cells.item])


def test_without_ratings_there_are_no_rows(rated):
    interactions, users, items, queries, taste = rated
    for table in (interactions.drop(columns=c.VALUE), interactions.assign(value=1.0)):
        assert measure({"oracle": Oracle(taste)}, {}, table, users, items, queries, 16).empty


def test_the_line_is_fitted_on_scores_of_models_that_do_not_know_the_validation_rows(rated):
    """Scores of half the size make a line twice as steep: test scores of full size are then too far apart.

    What is predicted ends where train ratings end, about 3 noises of .1 beyond the true 2.5 and 3.5.
    """
    interactions, users, items, queries, taste = rated
    models, halved = {"oracle": Oracle(taste)}, {"oracle": Oracle(taste / 2)}
    found = measure(models, halved, interactions, users, items, queries, 16).set_index(c.MODEL)
    assert found.loc["oracle", "rmse"] > 2 * 0.1
