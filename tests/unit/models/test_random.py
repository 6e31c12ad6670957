"""What an order without evidence is: one score for all, and a seeded hash of user and item."""

import numpy as np

from tailor.data.interactions import empty_rows
from tailor.models.base import Query, TrainSet
from tailor.models.random import Constant, Random
from tailor.testing.models import ModelTests
from tests.unit.models.histories import random_history


class TestRandom(ModelTests):
    personal = False

    def make(self, seed=0):
        return Random(seed=seed)


class TestConstant(ModelTests):
    personal = False

    def make(self, seed=0):
        return Constant(seed=seed)


def scores(seed, users):
    model = Random(seed=seed).fit(TrainSet.of(random_history(), np.ones(25, bool)))
    return model.score(Query.of(empty_rows(len(users), 25), user_index=np.array(users)))


def test_another_seed_or_another_user_draws_another_list():
    assert not np.array_equal(scores(0, [3]), scores(1, [3]))
    assert not np.array_equal(scores(0, [3]), scores(0, [4]))
    np.testing.assert_array_equal(scores(0, [7, 3])[1:], scores(0, [3]))


def test_every_place_of_a_list_is_drawn_evenly():
    ranks = scores(0, np.arange(4000)).argsort(axis=1).argsort(axis=1)
    assert np.abs(ranks.mean(axis=0) - 12).max() < 0.5
    assert scores(0, [-1]).std() > 0


def test_constant_scores_are_all_equal():
    model = Constant().fit(TrainSet.of(random_history(), np.ones(25, bool)))
    assert not model.score(Query.of(empty_rows(2, 25))).any()
