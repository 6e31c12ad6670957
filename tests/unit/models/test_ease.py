"""EASE, plain and pulled toward texts: closed forms against brute force."""

import numpy as np
import pytest
from scipy import sparse

from tailor.config import parse
from tailor.data.interactions import empty_rows
from tailor.errors import ConfigurationError
from tailor.models.base import Query, TrainSet
from tailor.models.ease import (
    EASE,
    EASEConfig,
    TextEASE,
    ease_weights,
    nearest_ease_weights,
    nearest_pulled_ease_weights,
    penalty,
    pulled_ease_weights,
)
from tailor.models.registry import build
from tailor.testing.compare import wider_query
from tailor.testing.models import ModelTests
from tests.unit.models.histories import random_history


class TestEASE(ModelTests):
    def make(self, seed=0):
        return EASE(EASEConfig(regularization=20.0), seed)


class TestTextEASE(ModelTests):
    def make(self, seed=0):
        return TextEASE(EASEConfig(regularization=20.0, text_pull=20.0), seed)


class TestSparseEASE(ModelTests):
    """Above max_dense_items."""

    def make(self, seed=0):
        return EASE(EASEConfig(regularization=20.0, max_dense_items=1), seed)


class TestSparseTextEASE(ModelTests):
    """Likewise."""

    def make(self, seed=0):
        return TextEASE(EASEConfig(regularization=20.0, text_pull=20.0, max_dense_items=1), seed)


class TestTextEASEWithoutPull(ModelTests):
    """What the hybrid holds where texts are not pulled toward: its cold items wait for an imputer."""

    scores_cold_items = False

    def make(self, seed=0):
        return TextEASE(EASEConfig(regularization=20.0), seed)


def test_it_is_the_least_squares_solution_with_zero_diagonal():
    X = random_history(60, 8).toarray().astype(float)
    ridge = penalty(np.diag(X.T @ X), 3.0, 0.2)
    np.testing.assert_allclose(ridge, 3.0 + 0.2 / 0.8 * (X**2).sum(axis=0))
    B = ease_weights(X.T @ X, ridge)
    for j in range(8):
        others = [i for i in range(8) if i != j]
        A = X[:, others]
        expected = np.linalg.solve(A.T @ A + np.diag(ridge[others]), A.T @ X[:, j])
        np.testing.assert_allclose(B[others, j], expected, rtol=1e-8)
        assert B[j, j] == 0


def test_the_penalty_of_dropout_is_what_dropping_out_costs():
    """Dropping entries of X with chance p, and scaling up the rest, adds p / (1 - p) Σ_u x² to the normal matrix."""
    rng, p = np.random.default_rng(0), 0.3
    X = random_history(60, 8).toarray().astype(float)
    noisy = [(X * (rng.random(X.shape) >= p)) / (1 - p) for _ in range(20_000)]
    mean = sum(z.T @ z for z in noisy) / len(noisy)
    np.testing.assert_allclose(np.diag(mean), np.diag(X.T @ X) + penalty(np.diag(X.T @ X), 0.0, p), rtol=0.01)


def test_user_weights_make_users_alike():
    """With power 1 a user counts once, whatever the length of the history."""
    X = sparse.csr_matrix(np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.float32))
    model = EASE(EASEConfig(regularization=2.0, user_weight_power=1.0)).fit(TrainSet.of(X, np.ones(4, bool)))
    weights = np.array([3 / 4, 3 / 2])  # the mean length is 3
    G = X.toarray().T @ np.diag(weights) @ X.toarray()
    np.testing.assert_allclose(model.weights, ease_weights(G, np.full(4, 2.0)), rtol=1e-5)


def test_scores_are_the_weighted_sum_over_the_history():
    model = EASE(EASEConfig(regularization=2.0)).fit(TrainSet.of(random_history(30, 5), np.ones(5, bool)))
    history = sparse.csr_matrix(np.array([[1, 0, 0, 1, 0]], np.float32))
    confidence = sparse.csr_matrix(np.array([[0.5, 0, 0, 2, 0]], np.float32))
    B = model.weights
    np.testing.assert_allclose(model.score(Query.of(history))[0], B[0] + B[3], rtol=1e-5)
    np.testing.assert_allclose(
        model.score(Query.of(history, confidence=confidence))[0], 0.5 * B[0] + 2 * B[3], rtol=1e-5
    )


def test_pulled_ease_minimises_its_objective():
    X, E = random_history(60, 6).toarray().astype(float), np.random.default_rng(1).normal(size=(6, 4))
    lam_text, kappa, ridge = 0.7, 5.0, np.linspace(2.0, 3.0, 6)
    T = ease_weights(E @ E.T, np.full(6, lam_text))
    B, _ = pulled_ease_weights(X.T @ X, ridge, E, lam_text, kappa)
    for j in range(6):
        others = [i for i in range(6) if i != j]
        A = X[:, others]
        normal = A.T @ A + np.diag(ridge[others] + kappa)
        expected = np.linalg.solve(normal, A.T @ X[:, j] + kappa * T[others, j])
        np.testing.assert_allclose(B[others, j], expected, rtol=1e-8)


def test_pull_zero_is_ease_and_pull_infinite_is_text():
    X, E = random_history(60, 6).toarray().astype(float), np.random.default_rng(1).normal(size=(6, 4))
    G, two = X.T @ X, np.full(6, 2.0)
    np.testing.assert_allclose(
        pulled_ease_weights(G.copy(), two, E, 0.7, 0.0)[0], ease_weights(G.copy(), two), atol=1e-10
    )
    text = ease_weights(E @ E.T, np.full(6, 0.7))
    np.testing.assert_allclose(pulled_ease_weights(G, two, E, 0.7, 1e9)[0], text, atol=1e-6)


def test_an_item_that_joins_is_what_a_cold_item_of_the_fit_is(tables):
    """Column M e / (1 - e'Ke), row κ/(λ + κ) e'K E' diag(q): of a cold item that the fit knew, they are its own."""
    model = TextEASE(EASEConfig(regularization=20.0, text_pull=10.0)).fit(tables.train_set)
    cold = int(np.flatnonzero(~tables.warm)[0])
    others = np.arange(len(tables.warm)) != cold
    grown = model.with_new_items(tables.features[[cold]])
    joined = grown.joined
    np.testing.assert_allclose(joined.columns.toarray()[others, 0], model.weights[others, cold], atol=1e-5)
    rows = joined.outgoing @ model.text.rows.T
    np.testing.assert_allclose(rows[0, others], model.weights[cold, others], atol=1e-5)
    query = tables.train_set.queries().take(slice(0, 5))
    scores = grown.score(wider_query(query, 1))
    np.testing.assert_array_equal(scores[:, :-1], model.score(query))
    np.testing.assert_allclose(scores[:, -1], model.score(query)[:, cold], atol=1e-4)


def test_items_that_join_together_weigh_each_other_as_those_of_the_fit_do(tables):
    model = TextEASE(EASEConfig(regularization=20.0, text_pull=10.0)).fit(tables.train_set)
    cold = np.flatnonzero(~tables.warm)[:2]
    grown, n = model.with_new_items(tables.features[cold]), model.n_items
    history = empty_rows(1, n + 2).tolil()
    history[0, n] = 1  # the first of the new ones
    scores = grown.score(Query.of(history.tocsr()))
    np.testing.assert_allclose(scores[0, n + 1], model.weights[cold[0], cold[1]], atol=1e-5)
    assert scores[0, n] == 0


def test_without_texts_no_weight_leads_to_or_from_an_item_that_joins(tables):
    grown = build("ease", {}, 0).fit(tables.train_set).with_new_items(tables.features[:2])
    query = wider_query(tables.train_set.queries().take(slice(0, 5)), 2)
    assert not grown.score(query)[:, -2:].any()
    from_it = sparse.csr_matrix(([1.0], ([0], [grown.n_items - 1])), shape=(1, grown.n_items))
    assert not grown.score(Query.of(from_it)).any()


def by_hand(X, E, ridge, kappa, supports):
    """The normal equations of the pulled objective, each column over its support alone."""
    T = ease_weights(E @ E.T, np.full(len(ridge), 0.7)) if kappa else np.zeros((len(ridge), len(ridge)))
    B = np.zeros_like(T)
    for j, support in enumerate(supports):
        A = X[:, support]
        normal = A.T @ A + np.diag(ridge[support] + kappa)
        B[support, j] = np.linalg.solve(normal, A.T @ X[:, j] + kappa * T[support, j])
    return B


def test_sparse_weights_are_the_least_squares_solution_over_the_nearest_items():
    X = random_history(60, 9).toarray().astype(float)
    ridge, G = np.linspace(2.0, 3.0, 9), X.T @ X
    cosine = G / np.sqrt(np.diag(G))[:, None]
    np.fill_diagonal(cosine, 0)
    supports = [np.sort(np.argsort(-cosine[:, j])[:3]) for j in range(9)]
    B = nearest_ease_weights(sparse.csr_matrix(G), ridge, 3)
    assert np.diff(B.tocsc().indptr).tolist() == [3] * 9
    np.testing.assert_allclose(B.toarray(), by_hand(X, np.zeros((9, 2)), ridge, 0, supports), rtol=1e-5, atol=1e-8)


def test_sparse_pulled_weights_are_too():
    """Near are items by what is taken together and by texts: r_ij / √(G_ii + κ), r = G + κ B_text."""
    X, E = random_history(60, 9).toarray().astype(float), np.random.default_rng(1).normal(size=(9, 4))
    X[:, 0] = 0  # known by its text alone
    ridge, kappa, G = np.linspace(2.0, 3.0, 9), 5.0, X.T @ X
    near = (G + kappa * ease_weights(E @ E.T, np.full(9, 0.7))) / np.sqrt(np.diag(G) + kappa)[:, None]
    np.fill_diagonal(near, 0)
    supports = [[i for i in np.sort(np.argsort(-near[:, j])[:4]) if near[i, j] > 0] for j in range(9)]
    assert supports[0]
    B, text = nearest_pulled_ease_weights(sparse.csr_matrix(G), ridge, E.astype(np.float32), 0.7, kappa, 4)
    np.testing.assert_allclose(B.toarray(), by_hand(X, E, ridge, kappa, supports), rtol=1e-4, atol=1e-6)
    K = np.linalg.inv(E.T @ E + 0.7 * np.eye(4))
    np.testing.assert_allclose(text.columns, kappa * E @ K / (np.diag(G) + ridge + kappa)[:, None], rtol=1e-4)


def test_with_as_many_neighbours_as_items_sparse_weights_are_those_that_are_taken_together():
    X = random_history(200, 8).toarray().astype(float)  # every pair is
    ridge, G = np.full(8, 2.0), X.T @ X
    np.testing.assert_allclose(
        nearest_ease_weights(sparse.csr_matrix(G), ridge, 8).toarray(), ease_weights(G, ridge), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("pull", [0.0, 5.0])
def test_a_large_catalogue_gets_sparse_weights(tables, pull):
    n, options = len(tables.warm), {"regularization": 20.0, "text_pull": pull, "neighbours": 3}
    full = build("text_ease", options | {"max_dense_items": n}, 0).fit(tables.train_set)
    few = build("text_ease", options | {"max_dense_items": n - 1}, 0).fit(tables.train_set)
    assert isinstance(full.weights, np.ndarray)
    assert sparse.issparse(few.weights)
    assert few.weights.nnz <= 3 * n
    assert few.weights.dtype == np.float32


def test_single_precision_is_close_to_double(monkeypatch):
    """Above so many items as a matrix of half a GiB has; scores move by less than a thousandth of their spread."""
    data = TrainSet.of(random_history(400, 60), np.ones(60, bool))
    double = build("ease", {"regularization": 1.0}, 0).fit(data).score(data.queries())
    monkeypatch.setattr("tailor.linear_algebra.DOUBLE_UP_TO", 59)
    single = build("ease", {"regularization": 1.0}, 0).fit(data).score(data.queries())
    assert not np.array_equal(single, double)
    np.testing.assert_allclose(single, double, atol=1e-3 * double.std())


def test_the_former_name_of_the_limit_is_told():
    with pytest.raises(ConfigurationError, match=r"'trial.max_items' is called 'trial.max_dense_items' now"):
        parse(EASEConfig, {"max_items": 10}, "trial")


@pytest.mark.parametrize("max_dense_items", [10_000, 1], ids=["full", "sparse"])
def test_of_several_domains_each_has_the_weights_of_a_fit_on_it_alone(max_dense_items):
    """Between domains they are those of the fit on all."""
    rng, domains = np.random.default_rng(3), np.arange(30) % 3
    data = TrainSet.of(
        random_history(200, 30), np.ones(30, bool), item_features=rng.normal(size=(30, 4)).astype(np.float32)
    )
    options = {"regularization": 20.0, "text_pull": 20.0, "user_weight_power": 0.5, "neighbours": 5}
    model = TextEASE(EASEConfig(**options, max_dense_items=max_dense_items), 0)
    joint, together = model.fit(data.with_domains(domains)), model.fit(data)
    weights, of_all = (sparse.csr_matrix(fitted.weights).toarray() for fitted in (joint, together))
    across = domains[:, None] != domains
    np.testing.assert_array_equal(weights[across], of_all[across])
    for domain in range(3):
        items = np.flatnonzero(domains == domain)
        alone = TrainSet.of(
            sparse.csr_matrix(data.interactions[:, items]),
            np.ones(10, bool),
            item_features=data.item_features[items],
        )
        expected = sparse.csr_matrix(model.fit(alone).weights).toarray()
        np.testing.assert_allclose(weights[np.ix_(items, items)], expected, atol=1e-7)
        assert np.abs(expected - of_all[np.ix_(items, items)]).max() > 0.01


@pytest.mark.parametrize("pull", [0.0, 20.0])
def test_weights_of_several_domains_are_saved_and_loaded(pull):
    rng = np.random.default_rng(4)
    train = random_history(100, 12)
    features = rng.normal(size=(12, 4)).astype(np.float32)
    data = TrainSet.of(train, np.ones(12, bool), item_features=features).with_domains(np.arange(12) // 6)
    model = TextEASE(EASEConfig(regularization=20.0, text_pull=pull, max_dense_items=1), 0)
    fitted = model.fit(data)
    query = Query.of(train[:5])
    np.testing.assert_array_equal(model.load(fitted.state()).score(query), fitted.score(query))
