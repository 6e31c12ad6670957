"""Settings that no other one beats in every respect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tailor.evaluation.pareto import pareto_front


def test_a_setting_that_another_beats_in_one_respect_and_equals_in_the_rest_is_off_the_front():
    gains = np.array([[3.0, 1.0], [2.0, 2.0], [2.0, 1.0], [1.0, 3.0], [0.0, 3.0]])
    assert pareto_front(gains).tolist() == [True, True, False, True, False]


def test_equal_settings_share_their_fate():
    assert pareto_front(np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])).tolist() == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_setting_that_was_not_measured_is_off_the_front_and_beats_none():
    gains = np.array([[np.nan, 9.0], [1.0, 1.0]])
    assert pareto_front(gains).tolist() == [False, True]
    assert pareto_front(np.zeros((0, 2))).tolist() == []


def test_a_list_of_numbers_is_no_table():
    with pytest.raises(ValueError, match=r"a row for each setting .*, not shape \(3,\)"):
        pareto_front(np.arange(3.0))


@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(0, 4).map(float)))
def test_whoever_is_off_the_front_is_beaten_by_somebody_on_it(gains):
    front = pareto_front(gains)
    assert front.any()
    for setting in gains[~front]:
        beats = (gains[front] >= setting).all(axis=1) & (gains[front] > setting).any(axis=1)
        assert beats.any()
    for setting in gains[front]:
        assert not ((gains >= setting).all(axis=1) & (gains > setting).any(axis=1)).any()
