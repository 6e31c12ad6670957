"""Counted transitions: by hand, their decays, what is kept, and a planted chain that only the order shows."""

import numpy as np
import pytest
from scipy import sparse

from tailor.models.base import Query, TrainSet
from tailor.models.transition_knn import TransitionKNN, TransitionKNNConfig
from tailor.testing.models import ModelTests
from tests.unit.models.histories import ordered, ordered_query, ordered_train_set

CHAIN = ((0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1))


class TestTransitionKNN(ModelTests):
    reads_order = True

    def make(self, seed=0):
        return TransitionKNN(TransitionKNNConfig(half_life=20.0), seed)


def fitted(**options):
    return TransitionKNN(TransitionKNNConfig(**options)).fit(ordered_train_set(ordered(*CHAIN)))


def test_pairs_are_counted_by_hand():
    """0 is followed by 1 twice at once, and so is 1 by 2; 2 by 3 three times; two steps apart a pair counts half."""
    weights = fitted(window=2, fit_half_life=1.0, shrinkage=1.0).weights.toarray()
    counted = np.zeros((4, 4))
    for chain in CHAIN:
        for t, item in enumerate(chain):
            for lag in (1, 2):
                if t >= lag:
                    counted[chain[t - lag], item] += 0.5 ** (lag - 1)
    np.testing.assert_allclose(weights, counted / (3 + 1), rtol=1e-6)
    assert weights[2, 3] == pytest.approx(3 / 4)


def test_a_window_of_one_looks_at_neighbours_alone():
    weights = fitted(window=1).weights.toarray()
    assert weights[0, 2] == 0 < weights[0, 1]


def test_scores_are_weights_under_the_decay_of_the_history():
    model = fitted(half_life=1.0)
    scores = model.score(ordered_query(ordered((2, 0))))
    S = model.weights.toarray()
    np.testing.assert_allclose(scores[0], 0.5 * S[2] + S[0], rtol=1e-6)


def test_a_confidence_multiplies_the_decay():
    model, order = fitted(half_life=1.0), ordered((2, 0))
    confidence = sparse.csr_matrix(np.array([[3.0, 0, 0.5, 0]], np.float32))
    S = model.weights.toarray()
    np.testing.assert_allclose(model.score(Query.of(order, order, confidence))[0], 0.25 * S[2] + 3 * S[0], rtol=1e-6)


def test_the_largest_of_each_item_are_kept_and_of_equal_ones_the_first():
    weights = fitted(neighbours=1, window=1).weights
    assert np.diff(weights.indptr).tolist() == [1, 1, 1, 1]
    assert weights.indices.tolist() == [1, 2, 3, 0]


def test_without_order_all_scores_are_zero():
    order = ordered(*CHAIN)
    model = TransitionKNN().fit(TrainSet.of(order, np.ones(4, dtype=bool)))
    assert not model.score(Query.of(order)).any()
