"""Values of any kind are read; what is refused is said in one sentence with name, value and what would be right."""

from typing import Annotated

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field

from tailor.config import Options
from tailor.errors import BadInputError, did_you_mean
from tailor.serving.validation import (
    MAX_VALUE,
    Validated,
    bounds,
    excerpt,
    is_missing,
    property_of,
    read_filters,
    read_id,
    read_ids,
    read_numbers,
    read_side_features,
    read_words,
    refuse_unreadable,
)


class Inner(BaseModel):
    level: Annotated[float, Field(ge=0, le=1)] = 0.5


class Asked(Validated):
    count: Annotated[int, Field(ge=1, le=50)] = 1
    width: Annotated[float | None, Field(gt=0)] = None
    names: Annotated[list[str], Field(max_length=2)] = []
    word: Annotated[str, Field(max_length=3)] = ""
    inner: Inner | None = None
    size: Annotated[float, Field(allow_inf_nan=False)] = 0.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"count": 0}, r"^count = 0 is out of bounds: 1 to 50$"),
        ({"count": 51}, r"^count = 51 is out of bounds: 1 to 50$"),
        ({"width": 0}, r"^width = 0 is out of bounds: above 0$"),
        ({"names": ["a", "b", "c"]}, r"^names: 3 items in one request; send at most 2$"),
        ({"word": "long"}, r"^word: 4 characters; send at most 3$"),
        ({"inner": {"level": 2}}, r"^inner.level = 2 is out of bounds: 0 to 1$"),
        ({"names": ["a", 5]}, r"^names\[1\] = '5': Input should be a valid string$"),
        ({"size": float("inf")}, r"^size = inf is not a finite number; leave it out or give another$"),
        ({"count": "x" * 100}, rf"^count = '{'x' * 50}…': Input should be a valid integer"),
        # A misspelt name comes first, wherever it stands.
        (
            {"count": 0, "cuont": 1},
            r"^Unknown field 'cuont'\. Did you mean 'count'\? Known: count, width, names, word,",
        ),
    ],
)
def test_what_is_refused_is_said_in_one_sentence(given, words):
    with pytest.raises(BadInputError, match=words):
        Asked(**given)


def test_a_misspelt_name_within_a_group_is_compared_with_those_of_the_group():
    class Strict(Options):
        level: float = 0.0

    class Outer(Validated):
        strict: Strict = Strict()

    with pytest.raises(BadInputError, match=r"^Unknown field 'strict.levle'\. Did you mean 'level'\? Known: level\.$"):
        Outer(strict={"levle": 1})


def test_fields_in_order_then_by_name():
    assert Asked(2, 1.5).model_dump(exclude_defaults=True) == {"count": 2, "width": 1.5}
    assert Asked(2, word="a").count == 2
    assert Asked(1, None, [], "", None, 0.0) == Asked()
    with pytest.raises(BadInputError, match="Asked has 6 fields, 7 were given"):
        Asked(1, None, [], "", None, 0.0, 0)


def test_a_request_that_is_no_mapping_is_named_as_a_whole():
    from tailor.serving.validation import sentence

    assert sentence([{"type": "dict_type", "loc": (), "input": 3, "msg": "give a mapping"}], Asked) == (
        "The request = '3': give a mapping"
    )
    value = {"type": "value_error", "loc": (), "input": 3, "msg": "", "ctx": {"error": ValueError("together too long")}}
    assert sentence([value], Asked) == "together too long"
    assert sentence([value | {"loc": ("word",)}], Asked) == "word: together too long"
    assert sentence([{"type": "missing", "loc": ("word",), "input": {}, "msg": ""}], Asked) == "word is missing"


def test_the_schema_of_a_field_is_followed_through_references_lists_and_or_null():
    assert property_of(Asked, ("width",))["exclusiveMinimum"] == 0
    assert property_of(Asked, ("inner", "level"))["maximum"] == 1
    assert property_of(Asked, ("names", 1))["type"] == "string"
    assert property_of(Asked, ("nothing", "there")) == {}
    assert "anyOf" not in property_of(Asked, ("inner",))


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"minimum": 0, "maximum": 1}, "0 to 1"),
        ({"minimum": 0, "maximum": 99_999}, "0 to 99999"),
        ({"minimum": 0, "maximum": 100_000}, "0 to 100000"),
        ({"minimum": 0, "maximum": 1_234_567}, "0 to 1234567"),
        ({"exclusiveMinimum": 0, "maximum": 100}, "above 0, up to 100"),
        ({"exclusiveMinimum": 0.5}, "above 0.5"),
        ({"minimum": 2}, "at least 2"),
        ({"maximum": 3}, "up to 3"),
        ({"type": "string"}, ""),
    ],
)
def test_bounds_in_words(schema, text):
    assert bounds(schema) == text


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        (None, True),
        (float("nan"), True),
        (np.float64("nan"), True),
        (pd.NA, True),
        (pd.NaT, True),
        (0, False),
        (0.0, False),
        ("", False),
        ([], False),
        ("nan", False),
    ],
)
def test_cells_that_say_not_given(value, missing):
    assert is_missing(value) is missing


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("u1", "u1"),
        (" u1 ", "u1"),
        ("  ", None),
        (7, "7"),
        (7.0, "7"),
        (np.float32(7), "7"),
        (np.int64(7), "7"),
        (0, "0"),
        (None, None),
        (float("nan"), None),
        (pd.NA, None),
    ],
)
def test_ids_of_any_type_become_strings(value, read):
    assert read_id(value) == read


@pytest.mark.parametrize("value", [True, False, ["u"], {"u": 1}, np.datetime64("2020-01-01")])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(ValueError, match=r"is not an id \(a string or a number\)"):
        read_id(value)


def test_what_is_shown_of_a_value_is_cut():
    with pytest.raises(ValueError, match=r"^'a list of 200' is not an id"):
        read_id([1] * 200)
    assert excerpt("x" * 50) == "x" * 50
    assert excerpt("x" * 51) == "x" * 50 + "…"
    assert excerpt({"a": "y" * 100}) == "{'a': '" + "y" * 43 + "…"
    assert excerpt("\ud800") == "?"
    assert excerpt(-(2**63) - 1) == "a whole number of more than 64 bits"
    with pytest.raises(BadInputError, match=r"^Unknown field 'x{50}…'\. Known: count"):
        Asked(**{"x" * 1_000_000: 1})
    with pytest.raises(BadInputError, match=r"^word: 1000000 characters; send at most 3$"):
        Asked(word="x" * 1_000_000)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("\ud800", r"^a: '\?' is no text: it has half of a UTF-16 pair$"),
        (["fine", "x\udfff"], r"^a\[1\]: 'x\?' is no text"),
        ({"b": {"\udc00": 1}}, r"^a\.b: '\?' is no text"),
        ({"b": (float("inf"),)}, r"^a\.b\[0\] = inf is not a finite number"),
        ([2**63], r"^a\[0\]: a whole number of more than 64 bits; send an id as a text"),
        (-(2**63), r"^a: a whole number of more than 64 bits"),
    ],
)
def test_what_no_text_or_number_can_be_made_of_is_refused_wherever_it_stands(value, words):
    with pytest.raises(ValueError, match=words):
        refuse_unreadable(value, ("a",))


def test_all_other_values_are_readable():
    for value in (2**63 - 1, "é😀", None, True, {"a": [1.5, float("nan")]}, object()):
        refuse_unreadable(value, ("a",))


def test_words_may_be_numbers_and_filters_numbers_of_numpy():
    assert [read_words(value) for value in (1999, 1999.0, np.int64(7), "x", None)] == ["1999", "1999", "7", "x", None]
    assert read_words(True) is True  # which the field then refuses
    read = read_filters({"year": {"min": np.int64(1990)}, "categories": np.array(["a"])})
    assert read == {"year": {"min": 1990}, "categories": ["a"]}
    assert type(read["year"]["min"]) is int
    for value in (float("nan"), np.float64("inf")):
        with pytest.raises(ValueError, match="is not a finite number; leave it out"):
            read_filters({"year": {"min": value}})


def test_a_very_long_word_is_not_compared():
    assert did_you_mean("x" * 2_000_000, ["history"] * 50) == ""
    assert did_you_mean("histroy", ["history"]) == " Did you mean 'history'?"


def test_lists_of_ids():
    assert read_ids(["a", None, 3, " ", float("nan")]) == ("a", "3")
    assert read_ids(np.array([1, 2])) == ("1", "2")
    assert read_ids(None) == ()
    assert read_ids(float("nan")) == ()
    for value in ("abc", b"abc", {"a": 1}, 3):
        with pytest.raises(ValueError, match=r"is not a list of item ids; write it as \[\.\.\.\]"):
            read_ids(value)


def test_lists_of_numbers():
    assert read_numbers([1, 2.5]) == [1, 2.5]
    assert read_numbers((1,)) == [1]
    of_array = read_numbers(np.array([0.5, 1.0], np.float32))
    assert of_array == [0.5, 1.0]
    assert type(of_array[0]) is float
    for value in ("12", b"12", {"a": 1}, 3):
        with pytest.raises(ValueError, match="is not a list of numbers"):
            read_numbers(value)


def test_side_features_are_numbers_and_short_texts():
    read = read_side_features({"age": np.int64(3), "name": "x", "share": 0.5, "long": "y" * MAX_VALUE})
    assert read == {"age": 3, "name": "x", "share": 0.5, "long": "y" * 200}
    assert type(read["age"]) is int
    for value in ("age", 3, [("age", 3)]):
        with pytest.raises(ValueError, match="is not a mapping from names to values"):
            read_side_features(value)
    assert read_side_features({"age": None, "name": float("nan"), "hour": 3}) == {"hour": 3}
    for value in ([1], {"a": 1}, "y" * 201):
        with pytest.raises(ValueError, match="cell is neither a number nor a text of at most 200 characters"):
            read_side_features({"fine": 1, "cell": value})


def test_an_id_that_has_lost_digits_is_refused_and_a_whole_one_is_exact():
    assert read_id(2**53 + 1) == "9007199254740993"
    assert read_id("9007199254740993") == "9007199254740993"
    assert read_id("1000.0") == read_id(1000) == read_id(1000.0) == "1000"
    with pytest.raises(ValueError, match=r"as an id: 9007199254740992 was read as a float.*send ids as text"):
        read_id(float(2**53 + 1))
