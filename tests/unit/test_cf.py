"""A conformance suite every engine inherits, and cross-checks of the closed forms."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.scorer import Hybrid, HybridEngineOptions
from tailor.metrics.accuracy import hits, ndcg
from tailor.models import ials_torch
from tailor.models.base import Engine
from tailor.models.baselines import ImplicitALSConfig, ItemKNN, ItemKNNConfig, NoOptions
from tailor.models.ease import EASE, ease_weights, penalty, pulled_ease_weights
from tailor.models.ials import IALS, PlainIALS, fold_in
from tailor.models.listing import recommend
from tailor.models.registry import BASELINES, build
from tailor.models.slit import Sequence
from tailor.models.store import load_engines, save_engines
from tailor.hybrid.config import Boosts
from tailor.models.ease import EASEConfig
from tailor.models.ials import IALSConfig
from tailor.models.slit import SLITConfig
from tests.conftest import by_source

FAST: dict[str, Any] = {
    "implicit_als": ImplicitALSConfig(factors=8, iterations=5),
    "irspack": IALSConfig(factors=8, iterations=5),
    "irspack_features": IALSConfig(factors=8, iterations=5, lambda_item_feature=1.0),
    "item_knn": ItemKNNConfig(neighbours=20),
    "ease": EASEConfig(regularization=20.0),
    "text_ease": EASEConfig(regularization=20.0, text_pull=20.0),
    "sequence": SLITConfig(regularization=20.0, half_life=20.0),
    "hybrid": HybridEngineOptions(
        ials=IALSConfig(factors=8, iterations=5, lambda_item_feature=1.0),
        ease=EASEConfig(regularization=20.0, text_pull=20.0),
        boosts=Boosts(cold_boost=0.1, tail_boost=0.1, popularity_debias=0.1),
    ),
}
FAST["torch_features"] = FAST["irspack_features"].model_copy(update={"engine": "torch"})
CLASSES = {**BASELINES, "hybrid": Hybrid, "torch_features": IALS}
NAMES = list(CLASSES)
LEARNERS = [name for name in NAMES if name not in ("random", "constant", "popular")]


def weights(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


GATE = BlendWeights(
    warm=BlendModel(
        by_source(mf=0.5, ease=0.25, sequence=0.1, popular=0.15), by_source(mf=0.1), by_source(ease=0.1), bias=0.1
    ),
    newcomer=((1, by_source(text=0.5, popular=0.5)),),
    cold=by_source(mf=0.5, ease=0.5),
    shift=0.5,
)


def make(name: str, seed: int = 0) -> Engine:
    if name == "hybrid":
        return Hybrid(FAST[name], seed, GATE)
    return CLASSES[name](FAST.get(name, NoOptions()), seed)


@pytest.fixture(scope="module")
def fitted(tables):
    train = tables.matrices["train"]
    return {name: make(name).fit(train, tables.warm, tables.features) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
class TestEveryEngine:
    def test_scores_the_whole_catalogue(self, fitted, tables, name):
        train = tables.matrices["train"]
        scores = fitted[name].score(train[:7], np.arange(7))
        assert scores.shape == (7, train.shape[1])
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_blocks_and_singles_agree(self, fitted, tables, name):
        train = tables.matrices["train"]
        whole = fitted[name].score(train[:9], np.arange(9))
        parts = np.vstack([fitted[name].score(train[[u]], np.array([u])) for u in range(9)])
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)

    def test_saved_and_loaded_scores_are_equal(self, fitted, tables, name, tmp_path):
        save_engines(tmp_path / "engines.safetensors", {"a": fitted[name], "b": fitted[name]})
        loaded = load_engines(tmp_path / "engines.safetensors")
        train = tables.matrices["train"]
        assert sorted(loaded) == ["a", "b"]
        np.testing.assert_allclose(
            loaded["b"].score(train[:5], np.arange(5)),
            fitted[name].score(train[:5], np.arange(5)),
            rtol=1e-4,
            atol=1e-5,
        )

    def test_the_same_seed_gives_the_same_scores(self, fitted, tables, name):
        train = tables.matrices["train"]
        again = make(name).fit(train, tables.warm, tables.features)
        np.testing.assert_array_equal(again.score(train[:5], np.arange(5)), fitted[name].score(train[:5], np.arange(5)))

    def test_an_empty_history_is_answered(self, fitted, tables, name):
        empty = sparse.csr_matrix((2, tables.matrices["train"].shape[1]), dtype=np.float32)
        assert np.isfinite(fitted[name].score(empty)).all()

    def test_a_cold_interaction_in_train_is_refused(self, tables, name):
        leaky = tables.matrices["train"].tolil()
        leaky[0, int(np.flatnonzero(~tables.warm)[0])] = 1
        with pytest.raises(BadInputError, match="1 train interactions belong to items that must be treated as cold"):
            make(name).fit(leaky.tocsr(), tables.warm, tables.features)

    def test_wrong_shapes_are_refused(self, fitted, tables, name):
        train = tables.matrices["train"]
        with pytest.raises(BadInputError, match="history has 3 items, the engine was fitted on"):
            fitted[name].score(sparse.csr_matrix((1, 3)))
        with pytest.raises(BadInputError, match="train has"):
            make(name).fit(train, tables.warm[:-1], tables.features)


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_find_the_planted_clusters(fitted, tables, planted, name):
    """Users stay in their cluster nine times out of ten; whatever learns puts the own cluster first."""
    train = tables.matrices["train"]
    known = np.flatnonzero(np.diff(train.indptr) > 0)
    n_items = train.shape[1]
    found = recommend(
        fitted[name], known, train[known], train[known], {"warm": tables.warm}, 10, np.arange(n_items), 64
    )["warm"][0]
    item_cluster = planted.item_cluster.to_numpy()
    user_cluster = planted.user_cluster[tables.users["user_id"]].to_numpy()[known]
    assert (item_cluster[found] == user_cluster[:, None]).mean() > 0.8


@pytest.mark.parametrize("name", [n for n in NAMES if CLASSES[n].scores_cold_items])
def test_cold_items_of_the_right_cluster_come_first(fitted, tables, planted, name):
    train, cold = tables.matrices["train"], ~tables.warm
    known = np.flatnonzero(np.diff(train.indptr) > 0)
    found = recommend(fitted[name], known, train[known], train[known], {"cold": cold}, 1, np.arange(len(cold)))["cold"][
        0
    ]
    own = (
        planted.item_cluster.to_numpy()[found[:, 0]] == planted.user_cluster[tables.users["user_id"]].to_numpy()[known]
    )
    assert own.mean() > 0.8


def test_learners_beat_popularity_and_popularity_beats_chance(fitted, tables):
    train, test = tables.matrices["train"], tables.matrices["test"]
    known = np.flatnonzero(np.diff(test.indptr) > 0)
    value = {}
    for name in NAMES:
        lists = recommend(fitted[name], known, train[known], train[known], {"w": tables.warm}, 10, np.arange(160))["w"][
            0
        ]
        value[name] = np.nanmean(ndcg(hits(lists, test[known]), np.diff(test[known].indptr), 10))
    assert value["popular"] > value["random"]
    assert all(value[name] > value["popular"] for name in LEARNERS)


def random_history(n_users=40, n_items=25, seed=0):
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix((rng.random((n_users, n_items)) < 0.25).astype(np.float32))


def test_fold_in_is_the_ridge_solution():
    rng = np.random.default_rng(0)
    V, history = rng.normal(size=(25, 4)), random_history(6)
    gram, ridge = 0.1 * V.T @ V, rng.random(6) + 0.1
    U = fold_in(history, V, gram, ridge)
    for u in range(6):
        S = V[history[[u]].indices]
        expected = np.linalg.solve(S.T @ S + gram + ridge[u] * np.eye(4), S.sum(axis=0))
        np.testing.assert_allclose(U[u], expected, rtol=1e-10)


def test_fold_in_equals_irspacks_cholesky_user_step():
    from irspack import IALSRecommender

    X, o = random_history(), IALSConfig(factors=5, iterations=4, alpha=0.3, regularization=0.02, nu=0.8)
    ours = PlainIALS(o).fit(X, np.ones(25, bool))
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


def test_a_cold_item_is_its_text_times_w(fitted, tables):
    engine = fitted["irspack_features"]
    E = np.hstack([tables.features, np.ones((len(tables.features), 1))])
    cold = ~tables.warm
    np.testing.assert_allclose(engine.item_factors[cold], (E @ engine.feature_weights)[cold], rtol=1e-12)


def gradient_norms(X, E, U, V, W, o):
    """Relative lengths of the objective's gradients (DESIGN §4) in U, V and W, each halved; written out densely."""
    n_users, n_items = X.shape
    f_u = (X.sum(axis=1) + o.alpha * n_items) ** o.nu
    f_i = (X.sum(axis=0) + o.alpha * n_users) ** o.nu
    observed = X * (U @ V.T - 1)
    of_u = observed @ V + o.alpha * U @ V.T @ V + o.regularization * f_u[:, None] * U
    of_v = observed.T @ U + o.alpha * V @ U.T @ U + o.regularization * f_i[:, None] * (V - E @ W)
    of_w = -o.regularization * E.T @ (f_i[:, None] * (V - E @ W)) + o.lambda_item_feature * W
    return [np.linalg.norm(g) / np.linalg.norm(X) for g in (of_u, of_v, of_w)]


def test_the_torch_engine_finds_a_stationary_point_of_the_objective():
    X, rng = random_history(60, 20), np.random.default_rng(1)
    E = np.hstack([rng.normal(size=(20, 3)), np.ones((20, 1))])
    o = IALSConfig(factors=4, alpha=0.2, regularization=0.05, lambda_item_feature=2.0, iterations=400)
    found = ials_torch.fit(X, E, o, seed=0)
    assert max(gradient_norms(X.toarray(), E, found.users, found.items, found.feature_weights, o)) < 1e-4


def test_both_engines_reach_the_same_objective(tables):
    """The factors may be turned against each other; what they predict, and the text map, may not."""
    train, warm, E = tables.matrices["train"], tables.warm, tables.features
    o = IALSConfig(factors=8, alpha=0.2, regularization=0.02, lambda_item_feature=1.0, iterations=60)
    irspack, own = (IALS(o.model_copy(update={"engine": e})).fit(train, warm, E) for e in ("irspack", "torch"))
    a, b = irspack.score(train[:50]), own.score(train[:50])
    assert np.corrcoef(a[:, warm].ravel(), b[:, warm].ravel())[0, 1] > 0.99
    assert np.corrcoef(a[:, ~warm].ravel(), b[:, ~warm].ravel())[0, 1] > 0.99


def test_after_a_last_user_solve_fold_in_equals_the_training_factor():
    X = random_history(60, 20)
    o = IALSConfig(engine="torch", factors=4, alpha=0.2, regularization=0.05, iterations=12)
    engine = PlainIALS(o).fit(X, np.ones(20, bool))
    V = torch.from_numpy(engine.item_factors)
    ridge = o.regularization * (torch.from_numpy(np.diff(X.indptr).astype(float)) + o.alpha * 20) ** o.nu
    users = ials_torch.solve_rows(X, V, o.alpha * V.T @ V, ridge).numpy()
    np.testing.assert_allclose(engine.fold_in(X), users, rtol=1e-4, atol=1e-12)


def test_solving_in_small_blocks_changes_nothing(monkeypatch):
    X, rng = random_history(60, 20), np.random.default_rng(0)
    V, prior = torch.from_numpy(rng.normal(size=(20, 4))), torch.from_numpy(rng.normal(size=(60, 4)))
    ridge = torch.from_numpy(rng.random(60) + 0.1)
    whole = ials_torch.solve_rows(X, V, V.T @ V, ridge, prior)
    monkeypatch.setattr(ials_torch, "_BUDGET", 100)
    torch.testing.assert_close(ials_torch.solve_rows(X, V, V.T @ V, ridge, prior), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ["irspack", "torch"])
def test_a_strong_prior_puts_every_item_on_its_text(tables, engine):
    """With λ → ∞ what an item's own interactions say is drowned: v_i → W e_i."""
    o = IALSConfig(engine=engine, factors=8, regularization=1e4, lambda_item_feature=1e-9, iterations=4)
    found = IALS(o).fit(tables.matrices["train"], tables.warm, tables.features)
    E = np.hstack([tables.features, np.ones((len(tables.features), 1))])
    scale = np.abs(found.item_factors).max()
    np.testing.assert_allclose(found.item_factors / scale, E @ found.feature_weights / scale, atol=0.02)


@pytest.mark.parametrize("engine", ["irspack", "torch"])
def test_a_silenced_text_map_is_plain_ials(tables, engine):
    """With ρ → ∞ W vanishes, and what is left is iALS without features."""
    train, warm = tables.matrices["train"], tables.warm
    o = IALSConfig(engine=engine, factors=8, iterations=8, lambda_item_feature=1e12)
    muted, plain = IALS(o).fit(train, warm, tables.features), PlainIALS(o).fit(train, warm)
    assert np.abs(muted.item_factors[~warm]).max() < 1e-6
    np.testing.assert_allclose(muted.score(train[:9]), plain.score(train[:9]), rtol=1e-3, atol=1e-4)


def test_without_features_the_prior_is_off(tables):
    train = tables.matrices["train"]
    plain = IALS(FAST["irspack_features"]).fit(train, tables.warm, None)
    assert not plain.item_factors[~tables.warm].any()
    assert plain.feature_weights.shape[0] == 0


def test_item_knn_is_the_cosine_of_implicit():
    from implicit.nearest_neighbours import CosineRecommender

    X = random_history(200, 60).astype(np.float64)
    theirs = CosineRecommender(K=61, num_threads=1)
    theirs.fit(X, show_progress=False)
    expected = theirs.similarity.toarray()
    np.fill_diagonal(expected, 0.0)
    found = ItemKNN(ItemKNNConfig(neighbours=60)).fit(sparse.csr_matrix(X), np.ones(60, bool))
    np.testing.assert_allclose(found.similarity.toarray(), expected, atol=1e-5)


def test_item_knn_keeps_the_nearest_and_shrinks():
    X = sparse.csr_matrix(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32))
    found = ItemKNN(ItemKNNConfig(neighbours=1, shrinkage=2.0)).fit(X, np.ones(3, bool))
    # Item 1 has 2 common users with item 0 (norms √2, √3) and 1 with item 2 (norm 1); the nearest is item 0.
    assert found.score(sparse.csr_matrix([[0.0, 1.0, 0.0]])).tolist() == [
        pytest.approx([2 / (np.sqrt(6) + 2), 0.0, 0.0], rel=1e-4)
    ]


def test_ease_is_the_least_squares_solution_with_zero_diagonal():
    X = random_history(60, 8).toarray().astype(float)
    ridge = penalty(X.T @ X, 3.0, 0.2)
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
    np.testing.assert_allclose(np.diag(mean), np.diag(X.T @ X) + penalty(X.T @ X, 0.0, p), rtol=0.01)


def test_user_weights_make_users_alike():
    """With power 1 a user counts once, whatever the length of the history."""
    X = sparse.csr_matrix(np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.float32))
    engine = EASE(EASEConfig(regularization=2.0, user_weight_power=1.0)).fit(X, np.ones(4, bool))
    weights = np.array([3 / 4, 3 / 2])  # the mean length is 3
    G = X.toarray().T @ np.diag(weights) @ X.toarray()
    np.testing.assert_allclose(engine.weights, ease_weights(G, np.full(4, 2.0)), rtol=1e-5)


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
    np.testing.assert_allclose(pulled_ease_weights(G, two, E, 0.7, 0.0)[0], ease_weights(G, two), atol=1e-10)
    text = ease_weights(E @ E.T, np.full(6, 0.7))
    np.testing.assert_allclose(pulled_ease_weights(G, two, E, 0.7, 1e9)[0], text, atol=1e-6)


def test_ease_refuses_a_large_catalogue_with_the_remedy():
    with pytest.raises(BadInputError, match=r"25 items are more than max_items = 10 .*Raise max_items"):
        build("ease", {"max_items": 10}, 0).fit(random_history(), np.ones(25, bool))


def test_unknown_engine_and_option():
    with pytest.raises(ConfigurationError, match=r"No engine 'eese'. Did you mean 'ease'\?"):
        build("eese", {}, 0)
    with pytest.raises(ConfigurationError, match=r"'hybrid_cf.trials.ease.lambda' does not exist"):
        build("ease", {"lambda": 1}, 0)


def test_a_file_without_engines_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(BadInputError, match="holds no engines"):
        load_engines(tmp_path / "x.safetensors")


def test_an_item_that_joins_ease_is_what_a_cold_item_of_the_fit_is(tables):
    """Column M e / (1 - e'Ke), row κ/(λ + κ) e'K E' diag(q): of a cold item that the fit knew, they are its own."""
    ease = EASE(EASEConfig(regularization=20.0, text_pull=10.0))
    ease.fit(tables.matrices["train"], tables.warm, tables.features)
    cold = int(np.flatnonzero(~tables.warm)[0])
    others = np.arange(len(tables.warm)) != cold
    grown = ease.with_new_items(tables.features[[cold]])
    np.testing.assert_allclose(grown.new_columns[others, 0], ease.weights[others, cold], atol=1e-5)
    np.testing.assert_allclose(grown.new_rows[0, others], ease.weights[cold, others], atol=1e-5)
    history = tables.matrices["train"][:5]
    wide = sparse.csr_matrix((history.data, history.indices, history.indptr), shape=(5, len(others) + 1))
    scores = grown.score(wide)
    np.testing.assert_array_equal(scores[:, :-1], ease.score(history))
    np.testing.assert_allclose(scores[:, -1], ease.score(history)[:, cold], atol=1e-4)


def test_an_item_that_joins_ials_is_w_e(tables):
    model = IALS(IALSConfig(factors=8, iterations=3, lambda_item_feature=1.0))
    model.fit(tables.matrices["train"], tables.warm, tables.features)
    cold = int(np.flatnonzero(~tables.warm)[0])
    grown = model.with_new_items(tables.features[[cold]])
    np.testing.assert_allclose(grown.item_factors[-1], model.item_factors[cold], rtol=1e-9)
    assert len(model.item_factors) == len(grown.item_factors) - 1  # the original is not touched


def test_an_engine_without_texts_takes_nothing_in(tables):
    model = build("item_knn", {}, 0).fit(tables.matrices["train"], tables.warm)
    with pytest.raises(BadInputError, match="ItemKNN cannot take items in without being fitted again"):
        model.with_new_items(tables.features[:1])


CHAIN = ((0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1))


def histories(*rows: tuple[int, ...], n_items: int = 4) -> sparse.csr_matrix:
    """Items of each row in their order, as a matrix of places from 1."""
    user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    places = np.concatenate([np.arange(1, len(row) + 1) for row in rows]).astype(np.float32)
    return sparse.csr_matrix((places, (user, np.concatenate(rows).astype(int))), shape=(len(rows), n_items))


def test_sequence_is_the_ridge_from_decayed_pasts_to_what_followed():
    o = SLITConfig(regularization=2.0, half_life=1.0, fit_half_life=1.0, window=2)
    S, T = [], []
    for row in CHAIN:
        for at in range(len(row)):
            past = np.zeros(4)
            for lag in (1, 2):
                if at - lag >= 0:
                    past[row[at - lag]] += 0.5 ** (lag - 1)
            S.append(past)
            T.append(np.eye(4)[row[at]])
    S, T = np.array(S), np.array(T)
    expected = np.linalg.solve(S.T @ S + 2.0 * np.eye(4), S.T @ T)
    found = Sequence(o).fit(histories(*CHAIN), np.ones(4, bool))
    np.testing.assert_allclose(found.weights, expected, rtol=1e-5, atol=1e-7)
    scores = found.score(histories((2, 0), n_items=4))
    np.testing.assert_allclose(scores[0], 0.5 * expected[2] + expected[0], rtol=1e-5)


def test_sequence_blocks_are_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    train = histories(*(tuple(rng.permutation(12)[: rng.integers(1, 12)]) for _ in range(50)), n_items=12)
    whole = Sequence(SLITConfig(window=5)).fit(train, np.ones(12, bool)).weights
    monkeypatch.setattr("tailor.models.slit._BLOCK", 5 * 7)
    np.testing.assert_allclose(Sequence(SLITConfig(window=5)).fit(train, np.ones(12, bool)).weights, whole, rtol=1e-6)


def test_sequence_finds_a_planted_chain_that_co_occurrence_cannot_see():
    """Everybody walks a circle of 40 items from a random start; what comes next depends on the latest item alone."""
    rng, n = np.random.default_rng(0), 40
    train = histories(*(tuple((start + np.arange(20)) % n) for start in rng.integers(0, n, 300)), n_items=n)
    asked = histories(*(tuple((start + np.arange(8)) % n) for start in range(n)), n_items=n)
    following = (np.arange(n) + 8) % n

    def right(engine: Engine) -> float:
        scores = engine.fit(train, np.ones(n, bool)).score(asked)
        scores[asked.nonzero()] = -np.inf
        return float((scores.argmax(axis=1) == following).mean())

    assert right(Sequence(SLITConfig(regularization=1.0))) == 1.0
    assert right(EASE(EASEConfig(regularization=1.0))) < 0.8


def test_where_no_order_is_known_sequence_says_nothing(tables):
    train = tables.matrices["train"]
    plain = sparse.csr_matrix((train > 0).astype(np.float32))
    assert not Sequence(SLITConfig()).fit(plain, tables.warm).score(train[:5]).any()


def test_only_engines_that_read_order_see_it(fitted, tables):
    train = tables.matrices["train"][:9]
    plain = sparse.csr_matrix((train > 0).astype(np.float32))
    for name, engine in fitted.items():
        same = np.array_equal(engine.score(train), engine.score(plain))
        assert same == (name not in ("sequence", "hybrid")), name


def test_a_catalogue_too_large_for_sequence_is_refused():
    with pytest.raises(BadInputError, match="4 items are more than max_items = 3"):
        Sequence(SLITConfig(max_items=3)).fit(histories(*CHAIN), np.ones(4, bool))
