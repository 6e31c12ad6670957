"""Vectors of items beside their texts: cells that hold none, parts of length 1, rows of length 1."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.item_vectors import (
    ItemParts,
    centres_of,
    join_parts,
    missing_counts,
    parts_of,
    read_vectors,
    slices_of,
    unit_part,
    vector_columns,
)
from tailor.data.quality import QualityReport
from tailor.errors import BadInputError

ROOT_HALF = np.sqrt(0.5)


def cells(*values):
    return pd.Series(list(values), index=pd.RangeIndex(1, len(values) + 1, name="row"), dtype=object)


@pytest.mark.parametrize("empty", [None, float("nan"), "", "  ", "[]", "nan", [], np.zeros(0), pd.NA])
def test_an_empty_cell_is_a_missing_vector(empty):
    report = QualityReport()
    read = read_vectors(cells("1 2", empty, [3, 4], np.array([5.0, 6.0])), "vector_image", report)
    assert read.tolist() == [[1, 2], None, [3, 4], [5, 6]]
    found = report.to_frame().iloc[0]
    assert (found["problem"], found["rows"], found["lines"]) == ("vector_image is missing", 1, "2")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("1 2 3", "vector_image does not have 2 numbers as most (taken as missing)"),
        ([1.0], "vector_image does not have 2 numbers as most (taken as missing)"),
        ("cat.jpg", "vector_image is not a vector of finite numbers (taken as missing)"),
        ([1.0, float("inf")], "vector_image is not a vector of finite numbers (taken as missing)"),
        ([1.0, float("nan")], "vector_image is not a vector of finite numbers (taken as missing)"),
        (7, "vector_image is not a vector of finite numbers (taken as missing)"),
    ],
)
def test_a_cell_that_is_no_vector_is_counted_with_its_row(bad, problem):
    report = QualityReport()
    read = read_vectors(cells("1 2", "3 4", bad), "vector_image", report)
    assert read.tolist() == [[1, 2], [3, 4], None]
    found = report.to_frame()
    assert found[["problem", "action", "rows", "lines"]].to_numpy().tolist() == [[problem, "noticed", 1, "3"]]
    assert found["examples"][0] == str(bad)


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (cells(None, ""), "raw_items column 'vector_image' has no vector in any row. Fill it, or map no column to it."),
        (cells("1 2", "3", None), r"1 of 2 filled cells are not vectors .* \(1, the most frequent\); see row 1: '1 2'"),
        (cells("1 2", "x", "y"), r"2 of 3 filled cells are not vectors .* \(2, the most frequent\); see row 2: 'x'"),
        (cells("a.jpg", "b.jpg"), r"2 of 2 filled cells are not vectors .* see row 1: 'a.jpg'\. Write as many numbers"),
    ],
)
def test_a_column_of_no_common_length_is_one_sentence(column, sentence):
    with pytest.raises(BadInputError, match=sentence):
        read_vectors(column, "vector_image", QualityReport())


def test_columns_are_told_by_their_prefix():
    items = pd.DataFrame({"item_id": ["a"], "vector_sound": [[1.0]], "title": ["x"], "vector_image": [None]})
    assert vector_columns(items) == ["vector_image", "vector_sound"]
    assert missing_counts(items) == {"vector_image": 1, "vector_sound": 0}


def test_the_centre_is_the_mean_of_the_vectors_that_are_there():
    items = pd.DataFrame({"vector_image": [[2.0, 0.0], None, [4.0, 0.0]]})
    centre = centres_of(items)["vector_image"]
    assert centre.tolist() == [(2 + 4) / 2, 0]
    assert parts_of(items["vector_image"], centre).tolist() == [[-1, 0], [0, 0], [1, 0]]
    with pytest.raises(BadInputError, match="items column 'vector_image' has no vector"):
        centres_of(pd.DataFrame({"vector_image": [None, None]}))


def test_vectors_that_are_all_the_same_say_nothing():
    """Less their mean they are rounding noise, which must not be made as long as 1."""
    column = pd.Series([[0.1, 0.7, 1e6]] * 3)
    assert not parts_of(column, centres_of(pd.DataFrame({"vector_image": column}))["vector_image"]).any()


def test_rows_have_length_1_with_and_without_a_vector():
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
    image = np.array([[-1.0], [1.0], [0.0]], np.float32)
    joined = join_parts([texts, image])
    expected = [[ROOT_HALF, 0, -ROOT_HALF], [0, ROOT_HALF, ROOT_HALF], [1, 0, 0]]
    np.testing.assert_allclose(joined, expected, rtol=1e-6)
    assert join_parts([texts]) is texts
    place = slices_of({"vector_image": 1, "text": 2})["vector_image"]
    np.testing.assert_allclose(unit_part(joined, place), image, rtol=1e-6)


@pytest.fixture
def parts():
    return ItemParts.of(5, {"vector_sound": [0.0, 0.0], "vector_image": [1.0]})


def test_vectors_that_come_are_read_by_the_centres_of_the_catalogue(parts):
    assert parts.names == ["vector_image", "vector_sound"]
    assert parts.slices == {"text": slice(0, 2), "vector_image": slice(2, 3), "vector_sound": slice(3, 5)}
    read = parts.read({"vector_image": [[3], None], "vector_sound": ["3 4", [0, -2]]})
    np.testing.assert_allclose(read, [[1, 3 / 5, 4 / 5], [0, 0, -1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (
            [1, 2],
            r"vector_image = \[1, 2\]: 2 numbers; this catalogue's have 1 numbers\. Send as many, or leave it out\.",
        ),
        ("cat.jpg", "vector_image = cat.jpg: no list of finite numbers"),
        ([float("inf")], "no list of finite numbers"),
        (3.0, "no list of finite numbers"),
    ],
)
def test_a_vector_that_does_not_fit_is_one_sentence(parts, cell, sentence):
    with pytest.raises(BadInputError, match=sentence):
        parts.read({"vector_image": [cell], "vector_sound": [None]})


def test_an_item_keeps_the_parts_that_do_not_come(parts):
    texts, given = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 0.6, 0.8]], np.float32)
    known = parts.join(texts, np.array([[-1.0, 1.0, 0.0]], np.float32))
    np.testing.assert_allclose(known, np.array([[1, 0, -1, 1, 0]]) / np.sqrt(3), rtol=1e-6)
    np.testing.assert_allclose(parts.join(texts, given), np.array([[1, 0, 0, 0.6, 0.8]]) / np.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(
        parts.join(texts, given, known), np.array([[1, 0, -1, 0.6, 0.8]]) / np.sqrt(3), rtol=1e-6
    )
    np.testing.assert_allclose(parts.join(texts, given[:0], known), known, rtol=1e-6)
    np.testing.assert_allclose(parts.join(texts, given[:0]), [[1, 0, 0, 0, 0]])


def test_each_part_is_left_out_in_turn(parts):
    whole = parts.join(np.array([[0.0, 1.0]], np.float32), np.array([[1.0, 0.0, 0.0]], np.float32))
    without = parts.without_each(whole)
    np.testing.assert_allclose(without["text"], [[0, 0, 1, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(without["vector_image"], [[0, 1, 0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(without["vector_sound"], whole, rtol=1e-6)
    np.testing.assert_allclose(parts.of_texts(whole), [[0, 1]], rtol=1e-6)


def test_texts_alone_are_left_as_they_are():
    alone, features = ItemParts.of(2, {}), np.eye(2, dtype=np.float32)
    assert alone.of_texts(features) is features
    assert alone.without_each(features) == {}


def test_no_item_decides_what_becomes_of_anothers_vector():
    centre = np.array([0.5, 0.5], np.float32)
    alone, beside = parts_of([[1, 2]], centre), parts_of([[1, 2], [1e10, 0], [1e200, 1e200]], centre)
    np.testing.assert_allclose(beside[0], alone[0], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(beside, axis=1), 1, rtol=1e-6)


def test_a_vector_that_is_the_mean_says_nothing():
    items = pd.DataFrame({"vector_image": [[0.1, 0.7]] * 3})
    assert not parts_of(items["vector_image"], centres_of(items)["vector_image"]).any()
