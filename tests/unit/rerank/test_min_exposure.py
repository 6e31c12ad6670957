"""Places kept for new and tail items: the lowest-ranked others give way, what stays keeps its order."""

import numpy as np
import pytest

from tailor.config import parse
from tailor.errors import ConfigurationError
from tailor.rerank.min_exposure import MinExposure, best_of, ensure_exposure

#: Ten items, scored from 10 down to 1: 0 to 5 are neither, 6 and 7 of the tail, 8 and 9 new.
SCORES = np.arange(10, 0, -1, dtype=np.float32)[None]
TIES = np.arange(10)
MEMBERS = {"new": np.arange(10) >= 8, "tail": np.isin(np.arange(10), (6, 7))}


def kept(items, new=0, tail=0, scores=SCORES):
    minimum = {"new": new, "tail": tail}
    best = {name: best_of(scores, members, minimum[name], TIES) for name, members in MEMBERS.items()}
    items = np.array([items])
    values = np.where(items >= 0, scores[0][items], np.float32(-np.inf))
    lists, values = ensure_exposure(items, values, MEMBERS, best, minimum)
    listed = lists[0] >= 0
    np.testing.assert_array_equal(values[0, listed], scores[0][lists[0, listed]])
    assert np.isneginf(values[0, ~listed]).all()
    return lists[0].tolist()


def test_the_lowest_ranked_others_give_way_to_the_best_of_a_class():
    assert kept([0, 1, 2, 3, 4], new=1) == [0, 1, 2, 3, 8]
    assert kept([0, 1, 2, 3, 4], new=1, tail=2) == [0, 1, 6, 7, 8]


def test_what_stays_keeps_the_order_that_a_re_ranker_gave_it():
    assert kept([4, 2, 3, 1, 0], tail=2) == [4, 2, 3, 6, 7]


def test_a_list_that_has_enough_stays():
    for listed in ([6, 0, 8, 1, 2], [9, 8, 7, 6, 0], [0, 1, 2, 3, 4]):
        assert kept(listed, new=int(8 in listed), tail=int(6 in listed)) == listed


def test_what_a_minimum_needs_does_not_give_way_to_another_class():
    assert kept([0, 1, 2, 3, 7], new=2, tail=1) == [0, 1, 7, 8, 9]
    assert kept([0, 1, 2, 6, 7], new=2, tail=1) == [0, 1, 6, 8, 9]  # of two tail items one is needed


def test_an_item_is_listed_once():
    assert kept([0, 1, 2, 9, 3], new=2) == [0, 1, 2, 9, 8]


def test_where_a_class_has_fewer_all_of_them_are_listed():
    scores = SCORES.copy()
    scores[0, 8] = -np.inf  # must not be listed
    assert kept([0, 1, 2, 3, 4], new=2, scores=scores) == [0, 1, 2, 3, 9]
    assert kept([0, 1, 2, 3, 4], new=4) == [0, 1, 2, 8, 9]


def test_empty_places_are_filled_first():
    assert kept([0, 1, 2, -1, -1], new=1) == [0, 1, 2, 8, -1]


def test_users_are_handled_apart():
    scores = np.vstack([SCORES, SCORES])
    best = {"new": best_of(scores, MEMBERS["new"], 1, TIES)}
    lists = np.array([[0, 1], [9, 0]])
    kept_of, _ = ensure_exposure(lists, np.take_along_axis(scores, lists, 1), MEMBERS, best, {"new": 1})
    assert kept_of.tolist() == [[0, 8], [9, 0]]
    assert lists.tolist() == [[0, 1], [9, 0]]


@pytest.mark.parametrize(("k", "expected"), [(20, (2, 4)), (10, (1, 2)), (9, (0, 1)), (4, (0, 0)), (50, (5, 10))])
def test_a_minimum_is_stated_for_twenty_and_rounded_down(k, expected):
    assert tuple(MinExposure(new=2, tail=4).of_length(k).values()) == expected


def test_more_places_than_a_list_has_are_refused():
    with pytest.raises(ConfigurationError, match=r"new \+ tail = 21 places of 20"):
        parse(MinExposure, {"new": 1, "tail": 20}, "evaluation")
