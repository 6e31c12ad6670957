"""Pins, block rules and dates of lists."""

import time
from dataclasses import replace

import numpy as np
import pytest

from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError, ConfigurationError
from tailor.serving.items import put, read_items
from tailor.serving.rules import Block, Pin, pin
from tailor.serving.scenario import read_scenarios
from tailor.serving.schema import Request, Settings
from tailor.topk import EXCLUDED
from tests.unit.serving.conftest import listed

SCORES = np.array([5.0, 6, 8, 7, 9, EXCLUDED], np.float32)


def pinned(*pins, k=3):
    items = np.argsort(-SCORES, kind="stable")[:k]
    return pin(items, SCORES[items], SCORES, pins)[0].tolist()


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        ([], [4, 2, 3]),
        ([(0, 1)], [0, 4, 2]),
        ([(0, 2)], [4, 0, 2]),
        ([(0, 3)], [4, 2, 0]),
        ([(0, 4)], [4, 2, 3]),  # behind the end of this list
        ([(4, 3)], [2, 3, 4]),  # moved, not doubled
        ([(0, 1), (1, 2)], [0, 1, 4]),
        ([(1, 2), (0, 1)], [0, 1, 4]),
        ([(0, 1), (1, 1)], [0, 1, 4]),  # the first of two has the rank
        ([(0, 1), (1, 1), (2, 2)], [0, 1, 2]),  # and what is pinned behind them comes behind both
        ([(0, 1), (0, 3)], [0, 4, 2]),
        ([(5, 1)], [4, 2, 3]),  # must not be listed
        ([(-1, 1)], [4, 2, 3]),  # is unknown
    ],
)
def test_an_item_stands_where_it_is_pinned(pins, expected):
    assert pinned(*pins) == expected


def test_two_pins_behind_the_end_of_a_short_list_stay_in_their_order():
    items, _ = pin(np.array([4, -1, -1]), np.array([9.5, EXCLUDED, EXCLUDED]), SCORES, [(0, 3), (1, 3)])
    assert items.tolist() == [4, 0, 1]


def test_scores_stay_those_of_their_items_and_a_short_list_grows():
    items, values = pin(np.array([4, -1, -1]), np.array([9.5, EXCLUDED, EXCLUDED]), SCORES, [(1, 1)])
    assert items.tolist() == [1, 4, -1]
    assert values.tolist() == [6.0, 9.5, -np.inf]


def test_a_pin_is_for_its_segment(served, known):
    last = listed(served, Request(known), k=100).item_ids[-1]
    served = replace(served, about=served.about | {"feature_encoders": {}})
    for segment, profile, there in (({}, {}, True), ({"age": 31}, {"age": "31"}, True), ({"age": 31}, {}, False)):
        assert Pin(item_id=last, rank=1, segment=segment).is_for(profile) is there
    answer = listed(served, Request(known, pins=[{"item_id": last, "rank": 2}]))
    plain = listed(served, Request(known))
    assert answer.item_ids == [plain.item_ids[0], last, *plain.item_ids[1:9]]
    other = listed(served, Request(known, pins=[{"item_id": last, "rank": 2, "segment": {"age": 31}}]))
    assert other.item_ids == plain.item_ids


def test_what_must_not_be_listed_is_not_pinned(served, known, history):
    pins = [{"item_id": history[0], "rank": 1}]
    assert history[0] not in listed(served, Request(known, pins=pins)).item_ids
    assert listed(served, Request(known, pins=pins), exclude_seen=False).item_ids[0] == history[0]
    fresh = listed(served, Request(known)).item_ids[3]
    pins = [{"item_id": fresh, "rank": 1}]
    assert listed(served, Request(known, pins=pins)).item_ids[0] == fresh
    for request in (Request(known, pins=pins, exclude=[fresh]), Request(known, pins=pins, block={"item_ids": [fresh]})):
        assert fresh not in listed(served, request).item_ids
    assert fresh not in listed(served.without_items([fresh]), Request(known, pins=pins)).item_ids


def test_nothing_of_a_blocked_category_is_listed(served, genres, names):
    answer = listed(served, Request(block={"categories": [names[0]], "item_ids": ["ghost"]}), k=1000)
    assert {genres[item] for item in answer.item_ids} == set(names[1:])
    with pytest.raises(BadInputError, match="Unknown category 'nope'"):
        listed(served, Request(block={"categories": ["nope"]}))


def test_a_scenario_has_rules_that_join_those_of_the_request(served, genres, names):
    plain = listed(served, Request(), k=1000).item_ids
    rules = {"pins": [{"item_id": plain[-1], "rank": 1}], "block": {"categories": [names[0]]}}
    model = replace(served, about=served.about | {"scenarios": read_scenarios({"shop": rules})})
    blocked = next(item for item in plain if genres[item] == names[1])
    request = Request(pins=[{"item_id": plain[-2], "rank": 1}], block={"item_ids": [blocked]})
    answer = model.recommend([request, Request()], Settings(k=1000, scenario="shop"))
    of_scenario = [item for item in plain if genres[item] != names[0]]
    first = [item for item in (plain[-1], plain[-2]) if genres[item] != names[0]]
    rest = [item for item in of_scenario if item not in first]
    assert answer[0].item_ids == [*first, *(item for item in rest if item != blocked)]
    assert set(answer[1].item_ids) == set(of_scenario)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"pins": [{"item_id": "a", "rank": 0}]}, r"pins\[0\]\.rank = 0 is out of bounds: 1 to 1000"),
        ({"pins": [{"item": "a", "rank": 1}]}, r"pins\[0\]\.item"),
        ({"block": {"category": ["x"]}}, r"Unknown field 'block\.category'. Did you mean 'categories'"),
    ],
)
def test_rules_are_checked_where_they_are_written(rules, words):
    with pytest.raises(ConfigurationError, match=words):
        read_scenarios({"mine": rules})
    with pytest.raises(BadInputError, match=words):
        Request(**rules)


def test_two_block_rules_block_what_either_does():
    joined = Block(categories=["a"], item_ids=["1"]).joined(Block(categories=["b", "a"]))
    assert (joined.categories, joined.item_ids) == (("a", "b"), ("1",))


@pytest.fixture
def dated(served):
    """The first item ended an hour ago, the second ends in an hour; the others never do."""
    expires = np.full(len(served.item_ids), np.nan)
    expires[:2] = time.time() - 3600, time.time() + 3600
    table = served.known_metadata.table.assign(expires_at=expires)
    about = served.about | {"dates": {"expires": "ends"}}
    return replace(served, metadata=ItemMetadata(table, served.known_metadata.text), about=about)


def test_what_has_ended_is_listed_no_more(dated):
    first, second, third = dated.item_ids[:3]
    item_ids = listed(dated, Request(), k=1000).item_ids
    assert first not in item_ids
    assert {second, third} < set(item_ids)
    assert first not in dated.similar(str(third), 1000)[0]
    assert listed(dated, Request(history=[first])).path == "fold_in"  # it may stand in histories


def test_an_item_that_is_put_may_end(dated, names):
    row = {"item_id": "fresh", "title": "Fresh", "genre": names[0]}
    for ends, there in (("2001-01-01", False), ("2099-01-01", True), (None, True), (time.time() - 1, False)):
        grown = put(dated, read_items(dated, [row | {"ends": ends}]))
        assert ("fresh" in listed(grown, Request(candidates=["fresh"])).item_ids) is there
    with pytest.raises(BadInputError, match=r"items\.ends = 'soon' is no date, in 1 rows: write 2026-12-31"):
        read_items(dated, [row | {"ends": "soon"}])
    ended = put(dated, read_items(dated, [row | {"ends": "2001-01-01"}]))
    again = put(ended, read_items(ended, [row]))
    assert listed(again, Request(candidates=["fresh"])).item_ids == ["fresh"]


def test_a_catalogue_without_such_a_column_takes_none(served, names):
    with pytest.raises(BadInputError, match="Unknown column 'ends'"):
        read_items(served, [{"item_id": "fresh", "title": "Fresh", "genre": names[0], "ends": "2001-01-01"}])
