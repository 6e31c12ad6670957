"""Positive definite systems, and the one ridge regression."""

import numpy as np
import pytest

from tailor.errors import BadInputError
from tailor.linear_algebra import inverse_spd, plus_diagonal, ridge, solve_spd, unit_rows


@pytest.fixture
def regression():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 5)), rng.normal(size=(40, 3)), rng.random(40) + 0.1


def test_ridge_is_least_where_its_gradient_is_zero(regression):
    X, Y, weights = regression
    W = ridge(X, Y, 3.0, weights)
    gradient = X.T @ (weights[:, None] * (X @ W - Y)) + 3.0 * W
    np.testing.assert_allclose(gradient, 0, atol=1e-12)


def test_a_weight_of_two_is_the_row_twice_and_none_weighs_all_alike(regression):
    X, Y, _ = regression
    twice = ridge(X, Y, 1.0, np.where(np.arange(40) == 7, 2.0, 1.0))
    np.testing.assert_allclose(twice, ridge(np.vstack([X, X[7]]), np.vstack([Y, Y[7]]), 1.0), rtol=1e-10)
    np.testing.assert_allclose(ridge(X, Y, 1.0), ridge(X, Y, 1.0, np.ones(40)), rtol=1e-12)


def test_ridge_is_solved_in_double_precision(regression):
    X, Y, weights = (array.astype(np.float32) for array in regression)
    W = ridge(X, Y, 1.0, weights)
    assert W.dtype == np.float64
    np.testing.assert_allclose(W, ridge(X.astype(np.float64), Y.astype(np.float64), 1.0, weights), rtol=1e-6)


def test_solving_is_multiplying_by_the_inverse(regression):
    X, _, _ = regression
    gram = plus_diagonal(X.T @ X, np.full(5, 0.5))
    np.testing.assert_allclose(solve_spd(gram, np.eye(5)), inverse_spd(gram.copy()), rtol=1e-10)
    np.testing.assert_allclose(gram @ solve_spd(gram, X.T), X.T, atol=1e-10)


def test_what_is_not_positive_definite_is_refused():
    with pytest.raises(BadInputError, match=r"not positive definite.*raise the regularization"):
        ridge(np.ones((3, 2)), np.ones((3, 1)), 0.0)
    with pytest.raises(BadInputError, match=r"not positive definite.*raise the regularization"):
        inverse_spd(-np.eye(2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_have_length_one_in_their_own_precision_and_zeros_stay(dtype):
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]], dtype)
    scaled = unit_rows(rows)
    assert scaled.dtype == dtype
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]], rtol=1e-6)
    assert rows[0, 0] == 3.0
