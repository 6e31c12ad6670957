"""What to ask about: by arithmetic on planted factors."""

import itertools

import numpy as np
import pytest

from tailor.hybrid.elicit import choose_items, unit_scale


def information(vectors, known, rows):
    """Log det(I + Σ p v vᵀ)."""
    V, p = vectors[list(rows)], known[list(rows)]
    return np.linalg.slogdet(np.eye(vectors.shape[1]) + (V.T * p) @ V)[1]


def test_the_first_is_the_longest_that_is_known_and_the_next_looks_elsewhere():
    """p v·v is 2, 1.805, .5 and .9; after the first the second tells 1.805 / 3, the last still .9."""
    vectors = np.array([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0], [0.0, 3.0]])
    known = np.array([0.5, 0.5, 0.5, 0.1])
    assert choose_items(vectors, known, 4).tolist() == [0, 3, 1, 2]


def test_what_nobody_knows_is_not_asked():
    vectors, known = np.eye(3) * [[1], [100], [2]], np.array([0.2, 0.0, 0.1])
    assert choose_items(vectors, known, 3).tolist() == [2, 0]  # .1 · 4 before .2 · 1
    assert choose_items(vectors, np.zeros(3), 3).tolist() == []
    assert choose_items(vectors, known, 0).tolist() == []


def test_each_step_is_the_best_of_all_that_are_left():
    """Every step against the determinant itself."""
    rng = np.random.default_rng(0)
    vectors, known = rng.normal(size=(30, 4)), rng.random(30)
    chosen = choose_items(vectors, known, 8).tolist()
    for step, item in enumerate(chosen):
        before = chosen[:step]
        gains = {i: information(vectors, known, [*before, i]) for i in range(30) if i not in before}
        assert item == max(gains, key=gains.get)


def test_greedy_is_near_the_best_set():
    """At least 1 - 1/e of the best of all sets of three."""
    rng = np.random.default_rng(1)
    vectors, known = rng.normal(size=(12, 3)), rng.random(12)
    best = max(information(vectors, known, rows) for rows in itertools.combinations(range(12), 3))
    assert information(vectors, known, choose_items(vectors, known, 3)) >= (1 - np.exp(-1)) * best


def test_the_scale_makes_the_mean_square_1():
    assert unit_scale(np.array([[3.0, 0.0], [0.0, 4.0]])) == pytest.approx(np.array([[3, 0], [0, 4]]) / 2.5)  # √(25/4)
    assert unit_scale(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
