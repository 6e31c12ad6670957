"""Implicit ALS: fold-in against brute force and against irspack, the text map, items that join, exact steps."""

import numpy as np
import pytest
from scipy import sparse

from tailor.data.interactions import binary
from tailor.models import ials as ials_module
from tailor.models.base import Query, TrainSet
from tailor.models.ials import IALS, IALSConfig, TextIALS, fold_in
from tailor.testing.models import ModelTests
from tests.unit.models.histories import random_history

CONFIG = IALSConfig(factors=8, iterations=5, lambda_item_feature=1.0)


class TestIALS(ModelTests):
    def make(self, seed=0):
        return IALS(CONFIG, seed)


class TestTextIALS(ModelTests):
    def make(self, seed=0):
        return TextIALS(CONFIG, seed)


def ones(n):
    return np.ones(n, bool)


def random_features(n):
    return np.random.default_rng(1).normal(size=(n, 3)).astype(np.float32)


def test_fold_in_is_the_ridge_solution():
    rng = np.random.default_rng(0)
    V, history, prior = rng.normal(size=(25, 4)), random_history(6), rng.normal(size=(6, 4))
    gram, diagonal = 0.1 * V.T @ V, rng.random(6) + 0.1
    confidence = sparse.csr_matrix((rng.random(history.nnz) + 0.5, history.indices, history.indptr), shape=(6, 25))
    for weights, toward in ((history, None), (confidence, None), (confidence, prior)):
        users = fold_in(weights, V, gram, diagonal, toward)
        for u in range(6):
            row = weights[[u]]
            S, c = V[row.indices], row.data.astype(float)
            right = c @ S + (0 if toward is None else diagonal[u] * prior[u])
            expected = np.linalg.solve((S.T * c) @ S + gram + diagonal[u] * np.eye(4), right)
            np.testing.assert_allclose(users[u], expected, rtol=1e-10)
            alone = fold_in(row, V, gram, diagonal[[u]], None if toward is None else prior[[u]])
            np.testing.assert_allclose(alone[0], expected, rtol=1e-10)


def test_a_user_s_factor_is_the_same_to_the_last_bit_whoever_else_is_folded_in():
    rng = np.random.default_rng(0)
    V, history = rng.normal(size=(25, 4)), random_history(60)
    gram, diagonal = 0.1 * V.T @ V, rng.random(60) + 0.1
    whole, before = fold_in(history, V, gram, diagonal), gram.copy()
    for rows in (slice(0, 1), slice(7, 20), slice(59, 60)):
        np.testing.assert_array_equal(fold_in(history[rows], V, gram, diagonal[rows]), whole[rows])
    np.testing.assert_array_equal(gram, before)  # what was handed over is not written to
    nobody = sparse.csr_matrix((2, 25), dtype=np.float32)
    assert (fold_in(nobody, V, gram, diagonal[:2]) == 0).all()


def test_fold_in_equals_irspacks_cholesky_user_step():
    from irspack import IALSRecommender

    X, config = random_history(), IALSConfig(factors=5, iterations=4, alpha=0.3, regularization=0.02, nu=0.8)
    ours = IALS(config).fit(TrainSet.of(X, ones(25)))
    peer = IALSRecommender(
        X, n_components=5, alpha0=0.3, reg=0.02, nu=0.8, train_epochs=4, n_threads=1, random_seed=0, solver_type="CG"
    )
    peer.start_learning()
    for _ in range(4):
        peer.run_epoch()
    np.testing.assert_array_equal(peer.get_item_embedding(), ours.item_factors.astype(np.float32))
    from irspack.recommenders._ials_core import IALSSolverConfigBuilder, SolverType

    exact = IALSSolverConfigBuilder().set_n_threads(1).set_solver_type(SolverType.CHOLESKY).build()
    theirs = peer.trainer_as_ials.core_trainer.transform_user(X, exact)
    np.testing.assert_allclose(ours.fold_in(X), theirs, rtol=1e-4, atol=1e-5)


def test_scores_are_products_of_folded_users_and_items(tables):
    model, query = IALS(CONFIG).fit(tables.train_set), tables.train_set.queries().take(slice(0, 5))
    expected = model.fold_in(query.history) @ model.item_factors.T
    np.testing.assert_allclose(model.score(query), expected, rtol=1e-4, atol=1e-5)


def test_users_are_solved_once_for_a_query_and_anew_for_another_model(tables, monkeypatch):
    query = tables.train_set.queries().take(slice(0, 5))
    first, second = (IALS(CONFIG, seed).fit(tables.train_set) for seed in (0, 1))
    expected = second.score(query.take(slice(0, 5)))
    solved = []
    monkeypatch.setattr(ials_module, "fold_in", lambda *args: solved.append(args) or fold_in(*args))
    first.score(query)
    first.score(query)
    assert len(solved) == 1
    np.testing.assert_array_equal(second.score(query), expected)
    assert len(solved) == 2


def test_the_vectors_of_users_do_not_follow_confidences(tables):
    """They place a user for the blend; who is served beside words lies where the same user lies without."""
    model, query = IALS(CONFIG).fit(tables.train_set), tables.train_set.queries().take(slice(0, 5))
    unsure = Query.of(query.history, confidence=query.history * 0.1)
    np.testing.assert_array_equal(model.user_vectors(unsure), model.user_vectors(query))
    assert not np.allclose(model.score(unsure), model.score(query))


def test_a_cold_item_is_its_text_times_w(tables):
    model = TextIALS(CONFIG).fit(tables.train_set)
    E = np.hstack([tables.features, np.ones((len(tables.features), 1))])
    cold = ~tables.warm
    np.testing.assert_allclose(model.item_factors[cold], (E @ model.feature_weights)[cold], rtol=1e-12)


def test_an_item_that_joins_is_w_e(tables):
    model = TextIALS(CONFIG).fit(tables.train_set)
    cold = int(np.flatnonzero(~tables.warm)[0])
    grown = model.with_new_items(tables.features[[cold]])
    np.testing.assert_allclose(grown.item_factors[-1], model.item_factors[cold], rtol=1e-9)
    assert len(model.item_factors) == len(grown.item_factors) - 1  # the original is not touched


def test_without_features_the_prior_is_off(tables):
    plain = TextIALS(CONFIG).fit(tables.train_set.without_features())
    assert not plain.item_factors[~tables.warm].any()
    assert plain.feature_weights.shape[0] == 0
    np.testing.assert_array_equal(plain.item_factors, IALS(CONFIG).fit(tables.train_set).item_factors)


@pytest.mark.parametrize("engine", ["irspack", "torch"])
def test_a_strong_prior_puts_every_item_on_its_text(tables, engine):
    """With λ → ∞ what an item's own interactions say is drowned: v_i → W e_i."""
    config = IALSConfig(engine=engine, factors=8, regularization=1e4, lambda_item_feature=1e-9, iterations=4)
    model = TextIALS(config).fit(tables.train_set)
    E = np.hstack([tables.features, np.ones((len(tables.features), 1))])
    scale = np.abs(model.item_factors).max()
    np.testing.assert_allclose(model.item_factors / scale, E @ model.feature_weights / scale, atol=0.02)


@pytest.mark.parametrize("engine", ["irspack", "torch"])
def test_a_silenced_text_map_is_plain_ials(tables, engine):
    """With ρ → ∞ W vanishes, and what is left is iALS without features."""
    config = IALSConfig(engine=engine, factors=8, iterations=8, lambda_item_feature=1e12)
    muted, plain = TextIALS(config).fit(tables.train_set), IALS(config).fit(tables.train_set)
    query = tables.train_set.queries().take(slice(0, 9))
    assert np.abs(muted.item_factors[~tables.warm]).max() < 1e-6
    np.testing.assert_allclose(muted.score(query), plain.score(query), rtol=1e-3, atol=1e-4)


def test_a_converged_factorization_stays_where_it_is():
    """At the optimum of the objective the exact steps change nothing."""
    data = TrainSet.of(random_history(60, 20), ones(20), item_features=random_features(20))
    config = IALSConfig(engine="torch", factors=4, alpha=0.2, regularization=0.05, iterations=150)
    model = TextIALS(config).fit(data)
    again = model.partial_fit(data, 1)
    np.testing.assert_allclose(again.score(data.queries()), model.score(data.queries()), atol=1e-4)
    early = TextIALS(config.model_copy(update={"iterations": 3})).fit(data)
    assert not np.allclose(early.partial_fit(data, 1).score(data.queries()), early.score(data.queries()), atol=1e-2)


def test_the_item_step_is_the_stationary_point(tables):
    """Of the items' part of the objective: its gradient vanishes at every item; a cold one is W e."""
    config, warm, data = CONFIG.model_copy(update={"iterations": 16}), tables.warm, tables.train_set
    model = TextIALS(config).fit(data)
    stepped = model.partial_fit(data, 1)
    U, X = model.fold_in(binary(data.interactions)), data.interactions.toarray()
    prior = np.hstack([tables.features, np.ones((len(X[0]), 1))]) @ stepped.feature_weights
    diagonal = config.regularization * (X.sum(axis=0) + config.alpha * len(X)) ** config.nu
    V = stepped.item_factors
    gradient = -((X - X * (U @ V.T)).T @ U) + config.alpha * V @ (U.T @ U) + diagonal[:, None] * (V - prior)
    assert np.abs(gradient[warm]).max() < 1e-8
    np.testing.assert_allclose(V[~warm], prior[~warm])
