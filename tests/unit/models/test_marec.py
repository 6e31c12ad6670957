"""MARec: its closed form against brute force, what is aligned, and items that only their texts place."""

import numpy as np
import pytest
from scipy import sparse

from tailor.errors import BadInputError
from tailor.models.base import Query, TrainSet
from tailor.models.ease import EASE, EASEConfig
from tailor.models.marec import (
    MARec,
    MARecConfig,
    aligned_weights,
    alignment,
    nearest_aligned_weights,
    similarity_slope,
)
from tailor.testing.compare import wider_query
from tailor.testing.models import ModelTests
from tests.unit.models.histories import random_history


class TestMARec(ModelTests):
    def make(self, seed=0):
        return MARec(MARecConfig(regularization=20.0, percentile=50.0), seed)


class TestSparseMARec(ModelTests):
    """Above max_dense_items."""

    def make(self, seed=0):
        return MARec(MARecConfig(regularization=20.0, max_dense_items=1), seed)


@pytest.fixture(scope="module")
def histories():
    """Histories (60, 8) in which the last two items are cold, and unit texts (8, 4)."""
    X = random_history(60, 8).toarray().astype(float)
    X[:, 6:] = 0
    E = np.random.default_rng(1).normal(size=(8, 4))
    return X, E / np.linalg.norm(E, axis=1, keepdims=True)


def similarity(E):
    S = E @ E.T
    np.fill_diagonal(S, 0)
    return S


def test_the_slope_is_that_of_a_weighted_regression_with_an_intercept(histories):
    X, E = histories
    x, z = X.ravel(), (X @ similarity(E)).ravel()
    root = np.sqrt(np.where(x > 0, 1.0, 0.2))
    (_, slope), *_ = np.linalg.lstsq(np.stack([root, root * z], axis=1), root * x)
    assert similarity_slope(sparse.csr_matrix(X), E) == pytest.approx(slope)


def test_without_texts_the_slope_is_0(histories):
    assert similarity_slope(sparse.csr_matrix(histories[0]), np.zeros((8, 0))) == 0
    assert similarity_slope(sparse.csr_matrix((3, 8)), histories[1]) == 0


def test_alignment_falls_from_1_to_0_at_the_percentile():
    np.testing.assert_allclose(alignment(np.array([0, 1, 2, 4, 8]), 50.0), [1, 1 / 2, 0, 0, 0])
    np.testing.assert_allclose(alignment(np.array([0, 1, 2, 4, 8]), 75.0), [1, 3 / 4, 1 / 2, 0, 0])


def test_a_percentile_of_0_interactions_aligns_cold_items_alone():
    assert alignment(np.array([0, 0, 1, 9]), 10.0).tolist() == [1, 1, 0, 0]


def test_it_solves_the_stated_equations_with_zero_diagonal(histories):
    """(XᵀX + XᵀX̃D)(I - B) = λB + diag: column by column with a multiplier for the diagonal."""
    X, E = histories
    pull = np.array([0, 0.3, 0, 1.5, 0, 0, 2.0, 2.0])
    B, _ = aligned_weights(sparse.csr_matrix(X.T @ X), E, pull, 2.0, 3.0)
    A = X.T @ X + X.T @ X @ similarity(E) * pull
    for j in range(8):
        unit = np.eye(8)[j]
        system = np.block([[A + 3.0 * np.eye(8), unit[:, None]], [unit[None], np.zeros((1, 1))]])
        expected = np.linalg.solve(system, np.r_[A[:, j], 0])[:8]
        np.testing.assert_allclose(B[:, j], expected, rtol=1e-5, atol=1e-7)


def test_columns_of_cold_items_minimise_the_distance_to_their_texts_similarity(histories):
    """|X b - 2 X S_c|² + 3|b|², as least squares with √3 I below X."""
    X, E = histories
    pull = np.array([0, 0, 0, 0, 0, 0, 2.0, 2.0])
    B, _ = aligned_weights(sparse.csr_matrix(X.T @ X), E, pull, 2.0, 3.0)
    for cold in (6, 7):
        target = np.r_[2 * X @ similarity(E)[:, cold], np.zeros(8)]
        expected, *_ = np.linalg.lstsq(np.vstack([X, np.sqrt(3) * np.eye(8)]), target)
        np.testing.assert_allclose(B[:, cold], expected, rtol=1e-5, atol=1e-7)


def test_items_with_many_interactions_are_predicted_as_by_ease(histories):
    X, E = histories
    data = TrainSet.of(sparse.csr_matrix(X), np.arange(8) < 6, item_features=E.astype(np.float32))
    ours, ease = MARec(MARecConfig(regularization=3.0)).fit(data), EASE(EASEConfig(regularization=3.0)).fit(data)
    np.testing.assert_allclose(ours.weights[:, :6], ease.weights[:, :6], atol=1e-6)
    assert not ease.weights[:, 6:].any()
    assert ours.weights[:6, 6:].all()


def test_without_texts_or_alignment_it_is_ease(histories):
    X, E = histories
    data = TrainSet.of(sparse.csr_matrix(X), np.arange(8) < 6, item_features=E.astype(np.float32))
    ease = EASE(EASEConfig(regularization=3.0)).fit(data)
    plain = MARec(MARecConfig(regularization=3.0, percentile=80.0)).fit(data.without_features())
    off = MARec(MARecConfig(regularization=3.0, percentile=80.0, alignment=0.0)).fit(data)
    for model in (plain, off):
        np.testing.assert_allclose(model.weights, ease.weights, atol=1e-6)


def test_the_alignment_is_a_factor_of_the_columns_of_cold_items(histories):
    X, E = histories
    data = TrainSet.of(sparse.csr_matrix(X), np.arange(8) < 6, item_features=E.astype(np.float32))
    slope = similarity_slope(sparse.csr_matrix(X), E.astype(np.float32))
    for strength in (0.5, 2.0):
        model = MARec(MARecConfig(regularization=3.0, alignment=strength)).fit(data)
        once, _ = aligned_weights(sparse.csr_matrix(X.T @ X), E, np.zeros(8), 1.0, 3.0)
        np.testing.assert_allclose(model.weights[:, 6:], strength * slope * once[:, 6:], rtol=1e-4, atol=1e-7)


def test_an_item_that_joins_is_what_a_cold_item_of_the_fit_is(tables):
    model = MARec(MARecConfig(regularization=20.0, percentile=60.0)).fit(tables.train_set)
    cold = int(np.flatnonzero(~tables.warm)[0])
    query = tables.train_set.queries().take(slice(0, 5))
    grown = model.with_new_items(tables.features[[cold]])
    scores = grown.score(wider_query(query, 1))
    np.testing.assert_allclose(scores[:, -1], scores[:, cold], rtol=1e-4, atol=1e-6)
    assert scores[:, -1].any()


def test_with_every_item_near_the_sparse_weights_are_those_of_single_regressions(histories):
    """x_j + d_j X S_j on those of the other items whose right side is positive."""
    X, E = np.abs(histories[0]), np.abs(histories[1])
    pull = np.array([0, 0.3, 0, 0.5, 0, 0, 2.0, 2.0])
    B = nearest_aligned_weights(sparse.csr_matrix(X.T @ X), E, pull, 3.0, 8).toarray()
    for j in range(8):
        target = X[:, j] + pull[j] * X @ similarity(E)[:, j]
        others = [i for i in range(8) if i != j and X[:, i] @ target > 0]
        A = X[:, others]
        expected = np.linalg.solve(A.T @ A + 3.0 * np.eye(len(others)), A.T @ target)
        np.testing.assert_allclose(B[others, j], expected, rtol=1e-4, atol=1e-6)


def test_scores_are_the_weighted_sum_over_the_history(histories):
    X, E = histories
    data = TrainSet.of(sparse.csr_matrix(X), np.arange(8) < 6, item_features=E.astype(np.float32))
    model = MARec(MARecConfig(regularization=3.0)).fit(data)
    confidence = sparse.csr_matrix(np.array([[0.5, 0, 0, 2, 0, 0, 0, 0]], np.float32))
    scores = model.score(Query.of(sparse.csr_matrix(confidence > 0, dtype=np.float32), confidence=confidence))
    np.testing.assert_allclose(scores[0], 0.5 * model.weights[0] + 2 * model.weights[3], rtol=1e-5)


def test_a_singular_matrix_is_refused_with_the_remedy():
    """Two items that the same two users took, with opposite texts: G = 2 everywhere."""
    gram = sparse.csr_matrix(np.array([[2.0, 2.0], [2.0, 2.0]]))
    E = np.array([[1.0, 0.0], [-1.0, 0.0]])
    # S = [[0, -1], [-1, 0]], so G + G S D + λI = [[2 + λ - 2d, 2 - 2d], [2 - 2d, 2 + λ - 2d]]: 0 at λ + 4 - 4d = 0
    with pytest.raises(BadInputError, match="MARec has no solution: its matrix is singular; lower the alignment"):
        aligned_weights(gram, E, np.array([1.5, 1.5]), 1.5, 2.0)
