"""What to ask about: by arithmetic on planted covariances, and on users who keep to one of a few tastes."""

import numpy as np
import pytest
from scipy import sparse

from tailor.hybrid import elicit
from tailor.hybrid.elicit import choose_items, covariance, least_remaining


def remaining(C, rows, noise):
    """tr(C - C_S (C_SS + λI)⁻¹ C_Sᵀ), by its definition."""
    S = list(rows)
    return np.trace(C - C[:, S] @ np.linalg.solve(C[np.ix_(S, S)] + noise * np.eye(len(S)), C[S]))


def random_covariance(n, seed):
    A = np.random.default_rng(seed).normal(size=(n, 4))
    return A @ A.T / 10


def everywhere(history):
    return np.ones(history.shape[1], dtype=bool)


def test_the_first_tells_most_of_all_and_the_next_looks_elsewhere():
    """0 and 1 take (.0625 + .04) / .35 = .293 off, 2 .0576 / .34 = .169; after 0, 1 takes .0217 / .236 = .092."""
    C = np.array([[0.25, 0.2, 0.0], [0.2, 0.25, 0.0], [0.0, 0.0, 0.24]])
    assert least_remaining(C, 3, 0.1).tolist() == [0, 2, 1]
    assert least_remaining(C, 9, 0.1).tolist() == [0, 2, 1]
    assert least_remaining(C, 0, 0.1).tolist() == []


@pytest.mark.parametrize("noise", [0.01, 0.1, 1.0])
def test_each_step_leaves_the_least_of_all_that_are_left(noise):
    """Every step against the definition itself."""
    C = random_covariance(20, 0)
    chosen = least_remaining(C, 8, noise).tolist()
    for step, item in enumerate(chosen):
        before = chosen[:step]
        left = {row: remaining(C, [*before, row], noise) for row in range(20) if row not in before}
        assert item == min(left, key=left.get)


def test_what_is_told_with_noise_must_vary():
    """Both are one taste, at .2 and .4: exact answers tell the same (.2); with noise .1 the second more: .057, .123."""
    taste = np.array([0.2, 0.4])
    assert least_remaining(np.outer(taste, taste), 1, 0.0).tolist() == [0]
    assert least_remaining(np.outer(taste, taste), 1, 0.1).tolist() == [1]


def test_covariances_are_over_users_with_a_history(monkeypatch):
    history = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 0]])
    matrix, items = sparse.csr_matrix(history), np.array([2, 0])
    with_history = history[[0, 2, 3, 4]][:, items]
    assert covariance(matrix, items) == pytest.approx(np.cov(with_history.T, bias=True))
    assert covariance(sparse.csr_matrix((2, 3)), items).tolist() == [[0, 0], [0, 0]]
    monkeypatch.setattr(elicit, "_USERS", 2)  # every other one
    assert covariance(matrix, items) == pytest.approx(np.cov(with_history[::2].T, bias=True))


def test_one_item_of_each_taste_comes_first():
    """Four tastes of three items each; the first item of each is known to all who share it, the others to half."""
    rng = np.random.default_rng(0)
    taste = np.repeat(np.arange(4), 50)
    history = np.zeros((200, 12))
    for item in range(12):
        history[:, item] = (taste == item % 4) & ((item < 4) | (rng.random(200) < 0.5))
    assert set(choose_items(sparse.csr_matrix(history), everywhere(history), 3).tolist()) < {0, 1, 2, 3}


def test_only_known_and_askable_items_are_asked_about(monkeypatch):
    history = sparse.csr_matrix([[1, 0, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]])
    assert set(choose_items(history, everywhere(history), 9).tolist()) == {0, 2, 3}
    assert set(choose_items(history, np.array([True, True, False, True]), 9).tolist()) == {0, 3}
    assert choose_items(history, everywhere(history), 0).tolist() == []
    assert choose_items(sparse.csr_matrix((5, 4)), np.ones(4, dtype=bool), 3).tolist() == []
    monkeypatch.setattr(elicit, "_POOL", 2)  # the two that most users know: 2 (three) and 0 (two)
    assert set(choose_items(history, everywhere(history), 9).tolist()) == {0, 2}
