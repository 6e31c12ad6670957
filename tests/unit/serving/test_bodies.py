"""Bodies: JSON of a bounded shape, refused in short sentences, each with its place."""

import json

import pytest

from tailor.errors import BadInputError
from tailor.serving.bodies import MAX_DEPTH, MAX_KEYS, BadBodyError, read_json, read_question, read_rows


def test_plain_json_is_read_as_it_is():
    body = {"a": [1, 2.5, "x", None, True, {"b": []}], "n": 2**63 - 1, "small": 1e-300}
    assert read_json(json.dumps(body).encode()) == body
    assert read_json('{"é": "\\ud83d\\ude00"}'.encode()) == {"é": "😀"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": NaN}', "The body is not JSON: expected value"),
        (b'{"a": 1e400}', r"a = inf is not a finite number"),
        (b'{"a": [0, {"b": -1e999}]}', r"a\[1\]\.b = -inf is not a finite number"),
        (b'{"a": ' + str(2**63).encode() + b"}", "a: a whole number of more than 64 bits; send an id as a text"),
        (b'{"\\ud800": 1}', "The body is not JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice in one object"),
        (b'{"' + b"x" * 201 + b'": 1}', "has 201 characters; names have at most 200"),
        (b'"text"', "The body is no JSON object"),
    ],
)
def test_what_is_no_body_is_refused_in_one_sentence(body, words):
    with pytest.raises(BadInputError, match=words):
        read_json(body)


def test_the_shape_is_bounded():
    def nested(depth):
        return b'{"a":' * depth + b"1" + b"}" * depth

    assert read_json(nested(MAX_DEPTH + 1))
    with pytest.raises(BadInputError, match=r"^a\.a\.a…: values stand more than 16 deep"):
        read_json(nested(MAX_DEPTH + 2))
    assert len(read_json(json.dumps({str(n): 1 for n in range(MAX_KEYS)}).encode())) == MAX_KEYS
    with pytest.raises(BadInputError, match="has 1001 names; send at most 1000"):
        read_json(json.dumps({str(n): 1 for n in range(MAX_KEYS + 1)}).encode())
    assert read_json(json.dumps({"a": [0] * 99_999}).encode())
    with pytest.raises(BadInputError, match="more than 100000 values"):
        read_json(json.dumps({"a": [0] * 100_000}).encode())


def test_the_first_ten_problems_of_a_question_are_told():
    with pytest.raises(BadBodyError) as refused:
        read_question(json.dumps({"k": 0, "histroy": [], "weights": [0] * 20}).encode())
    assert len(refused.value.problems) == 10
    assert str(refused.value).startswith("Unknown field 'histroy'. Did you mean 'history'?")
    assert "weights[2] = 0 is out of bounds: above 0, up to 100" in refused.value.problems
    with pytest.raises(BadBodyError) as refused:
        read_question(b'{"k": 0, "tail_boost": 2}')
    assert refused.value.problems == ["k = 0 is out of bounds: 1 to 1000", "tail_boost = 2 is out of bounds: 0 to 1"]
    assert read_question(b'{"k": null, "user_id": 7}').model_dump(exclude_unset=True) == {"user_id": "7"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "items is no list; send a list of 1 to 1000 items"),
        ({"items": {}}, "items is no list"),
        ({"items": []}, "items has 0; send a list of 1 to 1000"),
        ({"items": [{}] * 1001}, "items has 1001; send"),
        ({"item": [{}]}, r"Unknown field 'item'\. Did you mean 'items'\? Known: items\."),
        ({"items": [{}, 5]}, r"items\[1\] = '5' is no item"),
        ({"items": [{"a": {}}]}, r"items\[0\]\.a = '\{\}' is neither a text nor a number"),
        ({"items": [{"item_id": False}]}, r"items\[0\]\.item_id = 'False' is neither a text nor a number"),
        ({"items": [{"item_id": "x" * 1001}]}, r"items\[0\]\.item_id has 1001 characters; an id has at most 1000"),
    ],
)
def test_what_is_no_list_of_items_is_refused(body, words):
    with pytest.raises(BadInputError, match=f"^{words}"):
        read_rows(json.dumps(body).encode())


def test_items_are_read_as_they_are_and_ten_problems_told():
    rows = [{"item_id": 7, "title": "A", "year": 1999.5, "genre": None}, {"item_id": "x" * 1000}]
    assert read_rows(json.dumps({"items": rows}).encode()) == rows
    with pytest.raises(BadBodyError) as refused:
        read_rows(json.dumps({"items": [{"a": []}] * 11}).encode())
    assert len(refused.value.problems) == 10
    assert refused.value.problems[9].startswith("items[9].a")
