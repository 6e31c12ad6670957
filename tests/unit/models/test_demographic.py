"""What people with such a profile take more than others."""

import numpy as np
import pytest
from scipy import sparse

from tailor.data.interactions import empty_rows
from tailor.errors import BadInputError
from tailor.models.base import Query, TrainSet
from tailor.models.demographic import Demographic, DemographicConfig
from tailor.testing.models import ModelTests


class TestDemographic(ModelTests):
    def make(self, seed=0):
        return Demographic(DemographicConfig(regularization=2.0), seed)


def test_it_is_ridge_regression_of_what_is_not_popular_anyway():
    rng = np.random.default_rng(0)
    R = sparse.csr_matrix((rng.random((30, 7)) < 0.3).astype(np.float32))
    X = rng.normal(size=(30, 3)).astype(np.float32)
    X[:5] = 0
    model = Demographic(DemographicConfig(regularization=2.0)).fit(TrainSet.of(R, np.ones(7, bool), profiles=X))
    known = np.diff(R.indptr) > 0
    assert not known.all()
    p = R[known].toarray().mean(axis=0)
    B = np.linalg.solve(X[known].T @ X[known] + 2 * np.eye(3), X[known].T @ (R[known].toarray() - p))
    asked = np.vstack([X[[0, 5]], np.array([[1.0, 0, 0], [0, 2.0, 0]], np.float32)])
    scores = model.score(Query.of(empty_rows(4, 7), profile=asked))
    np.testing.assert_allclose(scores, asked @ B, rtol=1e-4, atol=1e-6)
    assert not scores[0].any()  # nothing is known of this user


def test_without_profiles_it_says_nothing(tables):
    model = Demographic().fit(tables.train_set)
    assert model.weights.shape == (0, tables.train_set.n_items)
    assert not model.score(tables.train_set.queries().take(slice(0, 3))).any()


def test_a_query_without_profiles_gets_nothing(tables):
    profiles = np.ones((len(tables.users), 2), np.float32)
    data = TrainSet.of(tables.matrices["train"], tables.warm, profiles=profiles)
    assert not Demographic().fit(data).score(Query.of(empty_rows(2, data.n_items))).any()


def test_users_who_came_after_the_profiles_are_no_evidence():
    R = sparse.csr_matrix(np.array([[1, 0], [0, 1], [1, 1]], np.float32))
    X = np.array([[0.5], [-0.5]], np.float32)
    fewer = Demographic().fit(TrainSet.of(R, np.ones(2, bool), profiles=X))
    alone = Demographic().fit(TrainSet.of(R[:2], np.ones(2, bool), profiles=X))
    np.testing.assert_array_equal(fewer.weights, alone.weights)
    with pytest.raises(BadInputError, match="There are 500 profiles of 3 users"):
        TrainSet.of(R, np.ones(2, bool), profiles=np.zeros((500, 1), np.float32))
