"""Item-item weights, full and sparse: one result, whichever way they are held."""

import numpy as np
import pytest
from scipy import sparse

from tailor.errors import BadInputError
from tailor.hybrid.cold_items import KernelImputer
from tailor.hybrid.config import ColdItemOptions
from tailor.models.item_weights import cells, from_state, impute_weights, sparse_weights, state_of, weigh
from tests.unit.models.histories import random_history

FULL = (np.arange(36, dtype=np.float32).reshape(6, 6) % 5) / 4
SPARSE = sparse.csr_matrix(FULL)


def test_both_give_the_same_scores_and_cells():
    history, rows, columns = random_history(7, 6), np.array([4, 0]), np.array([1, 5, 2])
    for weights in (FULL, SPARSE):
        scores = weigh(history, weights)
        assert isinstance(scores, np.ndarray)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, history.toarray() @ FULL, rtol=1e-6)
        np.testing.assert_array_equal(cells(weights, rows, columns), FULL[np.ix_(rows, columns)])


def test_both_are_saved():
    assert list(state_of(FULL)) == ["weights"]
    np.testing.assert_array_equal(from_state(state_of(FULL)), FULL)
    again = from_state(state_of(SPARSE))
    assert sparse.issparse(again)
    np.testing.assert_array_equal(again.toarray(), FULL)


def imputer(counts):
    features = np.random.default_rng(0).normal(size=(len(counts), 3)).astype(np.float32)
    return KernelImputer.fit(ColdItemOptions(), features, np.array(counts)), features


def test_imputed_columns_are_the_same_of_both():
    of_texts, features = imputer([1, 1, 1, 1, 0, 0])
    cold = np.array([5, 4])
    full = impute_weights(FULL, cold, features[cold], of_texts)
    few = impute_weights(SPARSE, cold, features[cold], of_texts)
    np.testing.assert_allclose(few.toarray(), full, atol=1e-6)
    np.testing.assert_array_equal(full[:, :4], FULL[:, :4])
    assert not np.allclose(full[:, 4:], FULL[:, 4:])


def test_an_imputed_column_keeps_its_largest_cells_four_times_as_many_as_others_have():
    n = 40
    weights = sparse.csr_matrix(np.diag(np.linspace(1, 2, n)).astype(np.float32))  # one cell in each column
    of_texts, features = imputer([1] * (n - 1) + [0])
    cold = np.array([n - 1])
    full = impute_weights(weights.toarray(), cold, features[cold], of_texts)[:, -1]
    few = impute_weights(weights, cold, features[cold], of_texts)[:, [-1]].toarray().ravel()
    kept = np.sort(np.argsort(-np.abs(full))[:4])
    np.testing.assert_array_equal(np.flatnonzero(few), kept)
    np.testing.assert_allclose(few[kept], full[kept], rtol=1e-5)


def test_a_part_that_is_not_positive_definite_is_refused():
    with pytest.raises(BadInputError, match=r"not positive definite.*raise the regularization"):
        sparse_weights(
            sparse.csr_matrix(-np.eye(3)), np.zeros(3), lambda rows: np.ones((3, 3), np.float32), 2, np.ones(3), "test"
        )


def test_an_item_that_nothing_is_near_to_has_an_empty_column():
    right = np.array([[0, 2, 1], [0, 0, 0], [1, 0, 0]], np.float32)
    weights = sparse_weights(sparse.csr_matrix(np.eye(3)), np.ones(3), lambda rows: right[rows], 1, np.ones(3), "test")
    np.testing.assert_allclose(weights.toarray(), [[0, 0, 0.5], [1, 0, 0], [0, 0, 0]])
