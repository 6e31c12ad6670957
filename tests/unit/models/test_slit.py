"""Sequence-aware transitions: the ridge solution, its decays, and a planted chain that only the order shows."""

import numpy as np
from scipy import sparse

from tailor.models.base import Model, Query, TrainSet
from tailor.models.ease import EASE, EASEConfig
from tailor.models.slit import SLIT, SLITConfig
from tailor.testing.models import ModelTests
from tests.unit.models.histories import ordered, ordered_query, ordered_train_set

CHAIN = ((0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1))


class TestSLIT(ModelTests):
    reads_order = True

    def make(self, seed=0):
        return SLIT(SLITConfig(regularization=20.0, half_life=20.0), seed)


class TestSparseSLIT(ModelTests):
    """Above max_dense_items."""

    reads_order = True

    def make(self, seed=0):
        return SLIT(SLITConfig(regularization=20.0, half_life=20.0, max_dense_items=1), seed)


def solve_by_hand(regularization, window, half_life):
    S, T = [], []
    for row in CHAIN:
        for step in range(len(row)):
            past = np.zeros(4)
            for lag in range(1, window + 1):
                if step - lag >= 0:
                    past[row[step - lag]] += 0.5 ** ((lag - 1) / half_life)
            S.append(past)
            T.append(np.eye(4)[row[step]])
    S, T = np.array(S), np.array(T)
    return np.linalg.solve(S.T @ S + regularization * np.eye(4), S.T @ T)


def test_it_is_the_ridge_from_decayed_pasts_to_what_followed():
    config = SLITConfig(regularization=2.0, half_life=1.0, fit_half_life=1.0, window=2)
    expected = solve_by_hand(2.0, 2, 1.0)
    model = SLIT(config).fit(ordered_train_set(ordered(*CHAIN)))
    np.testing.assert_allclose(model.weights, expected, rtol=1e-5, atol=1e-7)
    scores = model.score(ordered_query(ordered((2, 0))))
    np.testing.assert_allclose(scores[0], 0.5 * expected[2] + expected[0], rtol=1e-5)


def test_a_confidence_multiplies_the_decay():
    model = SLIT(SLITConfig(regularization=2.0, half_life=1.0)).fit(ordered_train_set(ordered(*CHAIN)))
    order, B = ordered((2, 0)), model.weights
    confidence = sparse.csr_matrix(np.array([[3.0, 0, 0.5, 0]], np.float32))
    scores = model.score(Query.of(order, order, confidence))
    np.testing.assert_allclose(scores[0], 0.5 * 0.5 * B[2] + 3 * B[0], rtol=1e-5)


def test_a_query_without_order_is_read_without_decay():
    model = SLIT(SLITConfig(regularization=2.0, half_life=1.0)).fit(ordered_train_set(ordered(*CHAIN)))
    scores = model.score(Query.of(ordered((2, 0))))
    np.testing.assert_allclose(scores[0], model.weights[2] + model.weights[0], rtol=1e-5)


def test_blocks_of_steps_are_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    rows = (tuple(rng.permutation(12)[: rng.integers(1, 12)]) for _ in range(50))
    data, model = ordered_train_set(ordered(*rows, n_items=12)), SLIT(SLITConfig(window=5))
    whole = model.fit(data).weights
    monkeypatch.setattr("tailor.models.slit._CELLS", 5 * 7)
    np.testing.assert_allclose(model.fit(data).weights, whole, rtol=1e-6)


def test_it_finds_a_planted_chain_that_co_occurrence_cannot_see():
    """Everybody walks a circle of 40 items from a random start; what comes next depends on the latest item alone."""
    rng, n = np.random.default_rng(0), 40
    data = ordered_train_set(
        ordered(*(tuple((start + np.arange(20)) % n) for start in rng.integers(0, n, 300)), n_items=n)
    )
    asked = ordered_query(ordered(*(tuple((start + np.arange(8)) % n) for start in range(n)), n_items=n))
    following = (np.arange(n) + 8) % n

    def share_right(model: Model) -> float:
        scores = model.fit(data).score(asked)
        scores[asked.history.nonzero()] = -np.inf
        return float((scores.argmax(axis=1) == following).mean())

    assert share_right(SLIT(SLITConfig(regularization=1.0))) == 1.0
    assert share_right(EASE(EASEConfig(regularization=1.0))) < 0.8


def test_where_no_order_is_known_it_says_nothing(tables):
    data = TrainSet.of(tables.matrices["train"], tables.warm)
    model = SLIT(SLITConfig()).fit(data)
    assert not model.score(tables.train_set.queries().take(slice(0, 5))).any()
    grown = model.with_new_items(np.zeros((2, 4), np.float32))
    assert grown.n_items == len(tables.warm) + 2


def test_an_item_that_joins_has_followed_on_nothing(tables):
    model = SLIT(SLITConfig()).fit(tables.train_set)
    grown = model.with_new_items(tables.features[:2])
    history = sparse.csr_matrix(([1.0], ([0], [model.n_items])), shape=(1, grown.n_items))
    assert not grown.score(Query.of(history)).any()


def test_sparse_weights_are_the_ridge_over_the_items_that_come_before_most():
    """Near to j are the i with the largest (SᵀT)_ij / √((SᵀS)_ii + λ)."""
    rng = np.random.default_rng(0)
    data = ordered_train_set(ordered(*(tuple(rng.permutation(9)[:5]) for _ in range(40)), n_items=9))
    recipe = SLIT(SLITConfig(regularization=2.0, window=3, max_dense_items=8, neighbours=4))
    before, after = (matrix.toarray() for matrix in recipe.transitions(data.order))
    expected, near = np.zeros((9, 9)), after / np.sqrt(np.diag(before) + 2.0)[:, None]
    for j in range(9):
        support = np.sort(np.argsort(-near[:, j])[:4])
        normal = before[np.ix_(support, support)] + 2.0 * np.eye(4)
        expected[support, j] = np.linalg.solve(normal, after[support, j])
    model = recipe.fit(data)
    assert sparse.issparse(model.weights)
    np.testing.assert_allclose(model.weights.toarray(), expected, rtol=1e-5, atol=1e-8)
