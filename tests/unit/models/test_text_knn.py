"""Mean cosine with the texts of the history."""

import numpy as np
from scipy import sparse

from tailor.models.base import Query, TrainSet
from tailor.models.text_knn import TextKNN
from tailor.testing.models import ModelTests
from tests.unit.models.histories import random_history

E = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)


class TestTextKNN(ModelTests):
    def make(self, seed=0):
        return TextKNN(seed=seed)


def fitted():
    return TextKNN().fit(TrainSet.of(random_history(9, 4), np.ones(4, bool), item_features=E))


def test_scores_are_the_mean_cosine():
    history = sparse.csr_matrix(np.array([[1, 0, 1, 0], [0, 0, 0, 1]], np.float32))
    expected = [(E[0] + E[2]) / 2 @ E.T, E[3] @ E.T]
    np.testing.assert_allclose(fitted().score(Query.of(history)), expected, rtol=1e-6)


def test_a_confidence_weighs_a_text_beside_the_others():
    """The sum is divided by the number of texts, so that weak evidence counts less than strong."""
    history = sparse.csr_matrix(np.array([[1, 0, 1, 0]], np.float32))
    confidence = sparse.csr_matrix(np.array([[0.5, 0, 0.25, 0]], np.float32))
    scores = fitted().score(Query.of(history, confidence=confidence))
    np.testing.assert_allclose(scores[0], (0.5 * E[0] + 0.25 * E[2]) / 2 @ E.T, rtol=1e-6)


def test_a_narrower_text_lacks_its_last_dimensions():
    query = Query.of(sparse.csr_matrix(np.array([[1, 0, 1, 0]], np.float32)))
    wide = np.array([[0.6, 0.8, 0.0]], np.float32)
    np.testing.assert_array_equal(fitted().score_texts(query, wide[:, :2]), fitted().score_texts(query, wide))
