"""The torch engine of iALS: stationary points of the objective, the same optimum as irspack's."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tailor.models import ials_torch
from tailor.models.base import TrainSet
from tailor.models.ials import IALS, IALSConfig, TextIALS
from tailor.testing.models import ModelTests
from tests.unit.models.histories import random_history


class TestTorchEngine(ModelTests):
    def make(self, seed=0):
        return TextIALS(IALSConfig(engine="torch", factors=8, iterations=5, lambda_item_feature=1.0), seed)


def gradient_norms(X, E, U, V, W, config):
    """Relative lengths of the objective's gradients in U, V and W, each halved; written out densely."""
    n_users, n_items = X.shape
    f_u = (X.sum(axis=1) + config.alpha * n_items) ** config.nu
    f_i = (X.sum(axis=0) + config.alpha * n_users) ** config.nu
    observed, pull = X * (U @ V.T - 1), config.regularization * f_i[:, None] * (V - E @ W)
    of_u = observed @ V + config.alpha * U @ V.T @ V + config.regularization * f_u[:, None] * U
    of_v = observed.T @ U + config.alpha * V @ U.T @ U + pull
    of_w = -E.T @ pull + config.lambda_item_feature * W
    return [np.linalg.norm(g) / np.linalg.norm(X) for g in (of_u, of_v, of_w)]


def test_it_finds_a_stationary_point_of_the_objective():
    X, rng = random_history(60, 20), np.random.default_rng(1)
    E = np.hstack([rng.normal(size=(20, 3)), np.ones((20, 1))])
    config = IALSConfig(factors=4, alpha=0.2, regularization=0.05, lambda_item_feature=2.0, iterations=400)
    solution = ials_torch.fit(X, E, config, seed=0)
    norms = gradient_norms(X.toarray(), E, solution.users, solution.items, solution.feature_weights, config)
    assert max(norms) < 1e-4


def test_both_engines_reach_the_same_objective(tables):
    """The factors may be turned against each other; what they predict, and the text map, may not."""
    warm, query = tables.warm, tables.train_set.queries().take(slice(0, 50))
    config = IALSConfig(factors=8, alpha=0.2, regularization=0.02, lambda_item_feature=1.0, iterations=60)
    a, b = (
        TextIALS(config.model_copy(update={"engine": engine})).fit(tables.train_set).score(query)
        for engine in ("irspack", "torch")
    )
    assert np.corrcoef(a[:, warm].ravel(), b[:, warm].ravel())[0, 1] > 0.99
    assert np.corrcoef(a[:, ~warm].ravel(), b[:, ~warm].ravel())[0, 1] > 0.99


def test_after_a_last_user_solve_fold_in_equals_the_training_factor():
    X = random_history(60, 20)
    config = IALSConfig(engine="torch", factors=4, alpha=0.2, regularization=0.05, iterations=12)
    model = IALS(config).fit(TrainSet.of(X, np.ones(20, bool)))
    V = torch.from_numpy(model.item_factors)
    frequency = torch.from_numpy(np.diff(X.indptr).astype(float)) + config.alpha * 20
    diagonal = config.regularization * frequency**config.nu
    users = ials_torch.solve_rows(X, V, config.alpha * V.T @ V, diagonal).numpy()
    np.testing.assert_allclose(model.fold_in(X), users, rtol=1e-4, atol=1e-12)


def test_solving_in_small_blocks_changes_nothing(monkeypatch):
    X, rng = random_history(60, 20), np.random.default_rng(0)
    V, prior = torch.from_numpy(rng.normal(size=(20, 4))), torch.from_numpy(rng.normal(size=(60, 4)))
    diagonal = torch.from_numpy(rng.random(60) + 0.1)
    whole = ials_torch.solve_rows(X, V, V.T @ V, diagonal, prior)
    monkeypatch.setitem(ials_torch._BUDGET, "cpu", 100)
    torch.testing.assert_close(ials_torch.solve_rows(X, V, V.T @ V, diagonal, prior), whole, rtol=1e-12, atol=1e-12)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    """Texts are so wide that LAPACK would use both threads, and groups so small that there are many of them."""
    monkeypatch.setitem(ials_torch._BUDGET, "cpu", 20_000)
    texts = np.random.default_rng(0).normal(size=(25, 500)).astype(np.float32)
    data = TrainSet.of(random_history(), np.ones(25, bool), item_features=texts)
    config = IALSConfig(engine="torch", factors=40, iterations=3, lambda_item_feature=1.0)

    def item_factors(n_threads):
        monkeypatch.setenv("OMP_NUM_THREADS", str(n_threads))
        torch.set_num_threads(n_threads)
        return TextIALS(config).fit(data).item_factors

    before = torch.get_num_threads()
    try:
        np.testing.assert_array_equal(item_factors(1), item_factors(2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@given(sizes=st.lists(st.integers(0, 50), max_size=60), budget=st.integers(1, 5000))
def test_groups_hold_every_row_once_and_no_more_than_the_budget(sizes, budget):
    lengths, d = np.sort(np.array(sizes, dtype=np.int64)), 3
    groups = ials_torch._groups(lengths, d, budget)
    assert [row for group in groups for row in range(group.start, group.stop)] == list(range(len(sizes)))
    for group in groups:
        n = group.stop - group.start
        assert n == 1 or n * (lengths[group.stop - 1] + d) * d <= budget
