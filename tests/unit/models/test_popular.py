"""Popularity: train interactions per item."""

import numpy as np
from scipy import sparse

from tailor.data.interactions import empty_rows
from tailor.models.base import Query, TrainSet
from tailor.models.popular import Popular
from tailor.testing.models import ModelTests


class TestPopular(ModelTests):
    personal = False

    def make(self, seed=0):
        return Popular(seed=seed)


def test_scores_are_the_train_interactions_for_everybody():
    X = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1]], np.float32))
    scores = Popular().fit(TrainSet.of(X, np.ones(3, bool))).score(Query.of(X[:2]))
    assert scores.tolist() == [[3.0, 1.0, 1.0]] * 2


def test_nobody_has_taken_a_new_item():
    X = sparse.csr_matrix(np.array([[1, 1]], np.float32))
    grown = Popular().fit(TrainSet.of(X, np.ones(2, bool))).with_new_items(np.zeros((1, 0), np.float32))
    assert grown.score(Query.of(empty_rows(1, 3))).tolist() == [[1.0, 1.0, 0.0]]
