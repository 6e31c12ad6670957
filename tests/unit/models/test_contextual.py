"""What is taken in such a moment more than at other times."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from tailor.data.interactions import empty_rows
from tailor.models.base import Contexts, Query, TrainSet
from tailor.models.contextual import Contextual, ContextualConfig
from tailor.testing.models import ModelTests
from tailor.testing.planted import planted_blocks


class TestContextual(ModelTests):
    def make(self, seed=0):
        return Contextual(ContextualConfig(regularization=2.0), seed)


def test_it_is_ridge_regression_of_single_interactions():
    contexts = Contexts(
        np.array([0, 0, 1, 1, 2]),
        np.array([0, 1, 0, 2, 1]),
        np.array([[0.5], [-0.5], [0.5], [0.5], [-0.5]], np.float32),
    )
    train = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0]], np.float32))  # the last row is held out
    data = TrainSet.of(train, np.ones(3, bool), contexts=contexts)
    model = Contextual(ContextualConfig(regularization=2.0)).fit(data)
    X, E = np.array([[0.5], [-0.5], [0.5], [0.5]]), np.eye(3)[[0, 1, 0, 2]]
    B = np.linalg.solve(X.T @ X + 2 * np.eye(1), X.T @ (E - E.mean(axis=0)))
    np.testing.assert_allclose(model.weights, B, rtol=1e-5, atol=1e-7)
    asked = Query.of(empty_rows(3, 3), context=np.array([[-1.0], [1.0], [0.0]], np.float32))
    np.testing.assert_allclose(model.score(asked), np.vstack([-B, B, 0 * B]), rtol=1e-5, atol=1e-7)


def test_without_contexts_it_says_nothing(tables):
    model = Contextual().fit(tables.train_set)
    assert not model.score(tables.train_set.queries().take(slice(0, 3))).any()


def test_a_query_without_contexts_gets_nothing():
    data = planted_blocks().data
    assert not Contextual().fit(data).score(Query.of(data.interactions)).any()


def test_without_new_moments_a_partial_fit_keeps_what_they_said():
    """A loaded model does not know single interactions any more."""
    data = planted_blocks().data
    model = Contextual().fit(data)
    kept = model.partial_fit(replace(data, contexts=Contexts.none()), 1)
    np.testing.assert_array_equal(kept.weights, model.weights)
    half = Contexts(*(getattr(data.contexts, name)[::2] for name in ("users", "items", "values")))
    anew = model.partial_fit(replace(data, contexts=half), 1)
    np.testing.assert_array_equal(anew.weights, Contextual().fit(replace(data, contexts=half)).weights)
    assert not np.array_equal(anew.weights, model.weights)
