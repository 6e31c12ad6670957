"""Item-to-item cosine: against implicit's, and shrinkage by hand."""

import numpy as np
import pytest
from scipy import sparse

from tailor.models.base import AcceptsNewItems, Query, TrainSet
from tailor.models.item_knn import ItemKNN, ItemKNNConfig
from tailor.testing.models import ModelTests
from tests.unit.models.histories import random_history


class TestItemKNN(ModelTests):
    def make(self, seed=0):
        return ItemKNN(ItemKNNConfig(neighbours=20), seed)


def test_it_is_the_cosine_of_implicit():
    from implicit.nearest_neighbours import CosineRecommender

    X = random_history(200, 60).astype(np.float64)
    theirs = CosineRecommender(K=61, num_threads=1)
    theirs.fit(X, show_progress=False)
    expected = theirs.similarity.toarray()
    np.fill_diagonal(expected, 0.0)
    model = ItemKNN(ItemKNNConfig(neighbours=60)).fit(TrainSet.of(X, np.ones(60, bool)))
    np.testing.assert_allclose(model.similarity.toarray(), expected, atol=1e-5)


def test_it_keeps_the_nearest_and_shrinks():
    X = sparse.csr_matrix(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32))
    model = ItemKNN(ItemKNNConfig(neighbours=1, shrinkage=2.0)).fit(TrainSet.of(X, np.ones(3, bool)))
    # Item 1 has 2 common users with item 0 (norms √2, √3) and 1 with item 2 (norm 1); the nearest is item 0.
    assert model.score(Query.of(sparse.csr_matrix([[0.0, 1.0, 0.0]]))).tolist() == [
        pytest.approx([2 / (np.sqrt(6) + 2), 0.0, 0.0], rel=1e-4)
    ]


def test_blocks_of_items_are_the_whole(monkeypatch):
    data, model = TrainSet.of(random_history(), np.ones(25, bool)), ItemKNN(ItemKNNConfig(neighbours=5))
    whole = model.fit(data).similarity.toarray()
    monkeypatch.setattr("tailor.models.item_knn._BLOCK", 4)
    np.testing.assert_array_equal(model.fit(data).similarity.toarray(), whole)


def test_it_takes_no_items_in():
    model = ItemKNN(ItemKNNConfig()).fit(TrainSet.of(random_history(), np.ones(25, bool)))
    assert not isinstance(model, AcceptsNewItems)
