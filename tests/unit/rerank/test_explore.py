"""Draws by Plackett-Luce: frequencies against the formula, propensities against enumeration."""

from itertools import permutations

import numpy as np
import pytest

from tailor.evaluation.off_policy import ips
from tailor.rerank.explore import draw_lists

SCORES = np.array([[1.0, 0.5, 0.0, -1.0]], np.float32)
POOL = np.array([[7, 3, 9, 5]])


def probability(ranked: tuple[int, ...], temperature: float) -> list[float]:
    """Probability of each step of a ranking of columns of SCORES."""
    worth = np.exp(SCORES[0].astype(float) / temperature)
    return [worth[c] / worth[[x for x in range(4) if x not in ranked[:r]]].sum() for r, c in enumerate(ranked)]


def draws(n: int, temperature: float, k: int):
    return draw_lists(np.tile(POOL, (n, 1)), np.tile(SCORES, (n, 1)), temperature, [f"r{i}" for i in range(n)], k)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_lists_come_as_often_as_plackett_luce_says_and_say_so(temperature):
    n = 20_000
    items, scores, propensities = draws(n, temperature, 2)
    column = {item: c for c, item in enumerate(POOL[0].tolist())}
    for ranked in permutations(range(4), 2):
        steps = probability(ranked, temperature)
        mine = (items == POOL[0, list(ranked)]).all(axis=1)
        expected = steps[0] * steps[1]
        assert mine.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / n))
        assert propensities[mine] == pytest.approx(np.tile(steps, (mine.sum(), 1)))
    assert scores == pytest.approx(SCORES[0, [[column[i] for i in row] for row in items.tolist()]])


def test_a_request_that_is_repeated_gets_the_same_draw_and_another_one_another():
    first, again = draws(2000, 1.0, 3), draws(2000, 1.0, 3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(np.unique(first[0], axis=0)) == 24


def test_cold_draws_are_the_best_list_and_hot_ones_even():
    items, _, propensities = draws(50, 1e-3, 3)
    assert (items == POOL[0, :3]).all()
    assert propensities == pytest.approx(1.0)
    assert draws(10, 1e6, 3)[2] == pytest.approx(np.tile([1 / 4, 1 / 3, 1 / 2], (10, 1)), rel=1e-4)


def test_empty_places_are_never_drawn():
    pool, scores = np.array([[4, 2, -1, -1]]), np.array([[3.0, 1.0, -np.inf, -np.inf]], np.float32)
    for n in range(20):
        items, values, propensities = draw_lists(pool, scores, 50.0, [str(n)], 3)
        assert sorted(items[0, :2].tolist()) == [2, 4]
        assert (items[0, 2], values[0, 2], propensities[0, 2]) == (-1, -np.inf, 0)
        assert propensities[0, 1] == pytest.approx(1.0)
    none = draw_lists(np.full((1, 3), -1), np.full((1, 3), -np.inf, np.float32), 1.0, ["x"], 2)
    assert none[0].tolist() == [[-1, -1]]
    assert none[2].tolist() == [[0.0, 0.0]]
    assert draw_lists(np.zeros((0, 4), int), np.zeros((0, 4), np.float32), 1.0, [], 2)[0].shape == (0, 2)


def test_what_is_logged_of_the_first_rank_values_another_policy():
    items, _, propensities = draws(20_000, 1.0, 1)
    reward = np.random.default_rng(0).random(len(items)) < np.where(items[:, 0] == 5, 0.6, 0.1)
    always_five = (items[:, 0] == 5).astype(float)
    estimate = ips(reward.astype(float), propensities[:, 0], always_five)
    assert estimate.low < 0.6 < estimate.high
