"""Bodies that bring events: one or many, each as its kind has it, refused by place and field."""

import json

import pytest

from tailor.errors import BadInputError
from tailor.serving.bodies import BadBodyError
from tailor.serving.event_bodies import read_events


def read(value):
    return read_events(json.dumps(value).encode())


def test_one_event_is_a_list_of_one():
    sent = {"kind": "buy", "user_id": 7, "item_id": 3.0, "event_id": "o", "occurred_at": 5, "value": None}
    assert read(sent) == read([sent])
    assert read(sent) == [{"kind": "buy", "user_id": "7", "item_id": "3", "event_id": "o", "occurred_at": 5.0}]


def test_each_kind_has_what_it_needs():
    exposure = {"kind": "exposure", "item_id": "a", "request_id": "r", "rank": 2, "propensity": 0.5}
    exposure |= {"variant": "challenger", "version": "4"}
    search = {"kind": "search", "words": "  slow films\u200d ", "user_id": "u"}
    assert read([exposure, search]) == [exposure, search | {"words": "slow films\u200d"}]
    for kind in ("view", "click", "cart", "buy", "like", "not_for_me"):
        assert read({"kind": kind, "item_id": "a"}) == [{"kind": kind, "item_id": "a"}]
    assert read({"kind": "rate", "item_id": "a", "value": 0}) == [{"kind": "rate", "item_id": "a", "value": 0.0}]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"item_id": "a"}, "kind is missing"),
        ({"kind": "bought", "item_id": "a"}, "kind = 'bought'"),
        ({"kind": "buy"}, "item_id is missing: an event of the kind buy has one"),
        ({"kind": "buy", "item_id": "  "}, "item_id is missing"),
        ({"kind": "rate", "item_id": "a"}, "value is missing: an event of the kind rate has one"),
        ({"kind": "search"}, "words is missing"),
        ({"kind": "search", "words": " "}, "words: there are no words"),
        ({"kind": "search", "words": "a\0b"}, "words: there are no words, or a character that is none"),
        ({"kind": "search", "words": "x" * 501}, "words: 501 characters; send at most 500"),
        ({"kind": "search", "words": "x", "item_id": "a"}, "item_id: a search is for words"),
        (
            {"kind": "buy", "item_id": "a", "value": 3},
            "value is of rate alone: leave it out of an event of the kind buy",
        ),
        ({"kind": "view", "item_id": "a", "rank": 1}, "rank is of exposure alone"),
        ({"kind": "exposure", "item_id": "a", "rank": 0}, "rank = 0 is out of bounds: 1 to 10000"),
        ({"kind": "exposure", "item_id": "a", "propensity": 0}, "propensity = 0 is out of bounds"),
        ({"kind": "exposure", "item_id": "a", "rank": True}, "rank = True is not a number"),
        ({"kind": "exposure", "item_id": "a", "variant": "challenger"}, "version is missing: an event with a variant"),
        ({"kind": "buy", "item_id": "a", "occurred_at": 1764180000000}, "occurred_at = 1764180000000 is out of bounds"),
        ({"kind": "buy", "item_id": "a", "occurred_at": -1}, "occurred_at = -1 is out of bounds"),
        ({"kind": "buy", "item_id": "a" * 1001}, "is no id of at most 1000 printable characters"),
        ({"kind": "buy", "item_id": "a\0"}, "is no id of at most 1000 printable characters"),
        ({"kind": "buy", "item_id": ["a"]}, "is not an id"),
        ({"kind": "buy", "item_id": "a", "user": "u"}, "Unknown field 'user'. Did you mean 'user_id'?"),
        ({"kind": "buy", "item_id": "a", "place": 3}, "Unknown field 'place'"),
        ("buy", "'buy' is no event; write it as"),
    ],
)
def test_what_is_wrong_is_one_sentence(event, words):
    with pytest.raises(BadInputError) as refused:
        read(event)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(BadBodyError) as refused:
        read([{"kind": "view", "item_id": "a"}, event])
    assert str(refused.value).startswith("[1]: ")
    assert words in str(refused.value)


def test_ten_problems_are_said_and_no_more_are_looked_for():
    with pytest.raises(BadBodyError) as refused:
        read([{"kind": "buy"}] * 30)
    assert [text[:4] for text in refused.value.problems] == [f"[{k}]:" for k in range(10)]


@pytest.mark.parametrize(("value", "words"), [([], "has 0 entries; send 1 to 1000"), ([1] * 1001, "has 1001 entries")])
def test_a_list_is_bounded(value, words):
    with pytest.raises(BadInputError, match=words):
        read(value)


@pytest.mark.parametrize("body", [b"", b"{", b'{"kind": "buy", "kind": "view"}', b'[{"kind": NaN}]', b"\xff"])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(BadInputError):
        read_events(body)


def test_bodies_that_are_too_deep_or_wide_are_refused_in_lists_too():
    with pytest.raises(BadInputError, match="deep"):
        read_events(b"[" * 20 + b"]" * 20)
