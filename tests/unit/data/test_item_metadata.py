"""What is known of items: how it is gathered, filtered, cut, joined and stored."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError

ITEMS = pd.DataFrame(
    {
        "item_id": ["a", "b", "c", "d"],
        "title": ["Alpha", None, "Gamma", "Delta"],
        "year": ["1990", "2000", "2010", None],
        "votes": [1, 2, 3, 4],
        "studio": ["north", "1", "south", "east"],
        "mostly": ["1", "2", "3", "x"],
        "blank": [" ", None, "", " "],
        "vector_cover": [[1.0], [2.0], [3.0], [4.0]],
        "n_train": [3, 0, 1, 0],
        "bucket": ["head", "unseen", "tail", "cold"],
        "pseudo_cold": ["none", "A", "B", "none"],
    }
)
PIECES = pd.Series([json.dumps([name]) for name in "wxyz"])
CATEGORIES = pd.DataFrame({"item_id": ["a", "a", "c", "d"], "category": ["Drama", "Crime", "Drama", "Żart"]})


@pytest.fixture
def metadata() -> ItemMetadata:
    return ItemMetadata.build(ITEMS, PIECES, CATEGORIES)


def test_titles_pieces_and_categories_stand_in_the_order_of_the_catalogue(metadata):
    assert metadata.titles == ["Alpha", "", "Gamma", "Delta"]
    assert metadata.pieces == [["w"], ["x"], ["y"], ["z"]]
    assert metadata.categories == [["Drama", "Crime"], [], ["Drama"], ["Żart"]]
    assert metadata.vocabulary.names == ("Crime", "Drama", "Żart")
    assert metadata.category_matrix.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert "Żart" in metadata.table["categories"][3]


def test_without_titles_ids_are_shown():
    assert ItemMetadata.build(ITEMS[["item_id"]], PIECES, CATEGORIES).titles == ["a", "b", "c", "d"]


def test_a_category_that_is_listed_twice_counts_once():
    twice = pd.DataFrame({"item_id": ["a", "a"], "category": ["Drama", "Drama"]})
    assert ItemMetadata.build(ITEMS, PIECES, twice).category_matrix.toarray().tolist() == [[1], [0], [0], [0]]


def test_numeric_columns_are_those_of_numbers_in_nine_of_ten_filled_cells(metadata):
    """Blank cells do not count; columns of the pipeline and vectors are no filters."""
    assert metadata.numeric_columns == ["year", "votes"]
    assert metadata.table["year"].tolist()[:3] == [1990, 2000, 2010]
    assert np.isnan(metadata.table["year"][3])
    ten = pd.DataFrame({"item_id": [f"i{n}" for n in range(10)], "size": [*map(str, range(9)), "large"]})
    pieces = pd.Series(["[]"] * 10)
    assert ItemMetadata.build(ten, pieces, CATEGORIES).numeric_columns == ["size"]
    assert ItemMetadata.build(ten.iloc[1:], pieces.iloc[1:], CATEGORIES).numeric_columns == []
    spaced = ten.assign(size=["1", " ", "", *[None] * 7])
    assert ItemMetadata.build(spaced, pieces, CATEGORIES).numeric_columns == ["size"]


@pytest.mark.parametrize(
    ("filters", "passing"),
    [
        ({}, "abcd"),
        ({"categories": "drama"}, "ac"),
        ({"categories": ["CRIME", "żart"]}, "ad"),
        ({"categories": []}, ""),
        ({"year": {"min": 2000}}, "bc"),
        ({"year": {"max": 2000}}, "ab"),
        ({"year": {"min": 2000, "max": 2000}}, "b"),
        ({"year": {}}, "abc"),  # of d no year is known
        ({"year": {"min": "1995"}, "categories": ["Drama"]}, "c"),
        ({"votes": {"max": 3}, "year": {"min": 2000}}, "bc"),
    ],
)
def test_filters_join(metadata, filters, passing):
    assert "".join(np.array(list("abcd"))[metadata.matching(filters)]) == passing


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (
            {"yeer": {"min": 1}},
            r"Unknown filter 'yeer'\. Did you mean 'year'\? This catalogue has: categories, year, votes",
        ),
        ({"categories": ["drma"]}, r"Unknown category 'drma'\. Did you mean 'Drama'\? Known: Crime, Drama, Żart"),
        ({"categories": 3}, "categories = 3: a name or a list of names is needed"),
        ({"categories": ["Drama", 3]}, "a name or a list of names is needed"),
        ({"year": 1990}, "Filter year = 1990: write {'min': number, 'max': number}, either or both"),
        ({"year": {"from": 1990}}, "write {'min': number, 'max': number}"),
        ({"year": {"min": 1, "to": 2}}, "write {'min': number, 'max': number}"),
        ({"year": {"min": "soon"}}, "min and max must be numbers"),
        ({"year": {"min": [1]}}, "min and max must be numbers"),
        ({"year": {"min": float("nan")}}, "min and max must be numbers"),
        ({"year": {"max": float("nan")}}, "min and max must be numbers"),
    ],
)
def test_filters_that_cannot_be_read_are_refused(metadata, filters, words):
    with pytest.raises(BadInputError, match=words):
        metadata.matching(filters)


@pytest.fixture
def full(metadata) -> ItemMetadata:
    return metadata.with_arrays(
        np.eye(4, dtype=np.float32), np.array([3, 0, 1, 0]), np.array(["head", "unseen", "tail", "cold"])
    )


def test_what_is_taken_is_cut_in_every_array(full):
    part = full.take(np.array([2, 0]))
    assert part.titles == ["Gamma", "Alpha"]
    assert part.table.index.tolist() == [0, 1]
    assert list(part.table) == list(full.table)
    assert part.n_train.tolist() == [1, 3]
    assert part.bucket.tolist() == ["tail", "head"]
    assert part.tail.tolist() == [True, False]
    assert part.vectors.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]


def test_arrays_are_given_one_at_a_time(metadata):
    assert len(metadata.vectors) == len(metadata.n_train) == len(metadata.bucket) == 0
    counted = metadata.with_arrays(n_train=np.arange(4))
    assert counted.n_train.tolist() == [0, 1, 2, 3]
    both = counted.with_arrays(bucket=np.array(["tail"] * 4))
    assert both.n_train.tolist() == [0, 1, 2, 3]
    assert both.tail.all()
    assert len(both.vectors) == 0


def test_items_join_behind_the_others_with_the_arrays_that_both_have(full, metadata):
    joined = full.concat(full.take(np.array([1])))
    assert joined.titles == ["Alpha", "", "Gamma", "Delta", ""]
    assert joined.n_train.tolist() == [3, 0, 1, 0, 0]
    assert joined.table.index.tolist() == list(range(5))
    without = full.concat(metadata.take(np.array([1])))
    assert len(without.n_train) == len(without.vectors) == 0
    assert without.titles == joined.titles


def test_rows_are_replaced_and_columns_that_the_new_ones_lack_stay(full):
    new = ItemMetadata.build(
        pd.DataFrame({"item_id": ["b"], "title": ["Beta"], "votes": [9]}), PIECES[:1], CATEGORIES[:0]
    )
    changed = full.with_rows(np.array([1]), new)
    assert changed.titles == ["Alpha", "Beta", "Gamma", "Delta"]
    assert changed.table["votes"].tolist() == [1, 9, 3, 4]
    assert changed.table["year"].tolist()[1] == 2000
    assert changed.n_train.tolist() == [3, 0, 1, 0]
    assert full.titles[1] == ""


def test_the_table_survives_its_file(metadata, tmp_path):
    metadata.save(tmp_path / "facts.parquet")
    pd.testing.assert_frame_equal(ItemMetadata.load(tmp_path / "facts.parquet").table, metadata.table)


def test_a_column_of_lists_is_no_number():
    items = ITEMS.assign(tags=[[1], [2, 3], [], None])
    assert ItemMetadata.build(items, PIECES, CATEGORIES).numeric_columns == ["year", "votes"]


def test_options_of_the_texts_bring_other_words_for_categories(metadata):
    options = {
        "aliases": {"de": {"Crime": ["krimi"]}, "en": {"Crime": ["heist"]}},
        "keywords": {"en": {"Drama": ["tears"]}},
        "descriptions": {"Drama": "sad"},
    }
    named = replace(metadata, text={"categories": options})
    assert named.vocabulary.find(["krimi", "drama"]) == (0, 1)
    assert named.vocabulary.find(["heist"]) == (0,)
    assert named.keywords.find(["tears", "drama"]) == (1,)
    assert named.descriptions == {"Drama": "sad"}
    assert metadata.descriptions == {}


SAYING = [
    "A board game",
    "Games for the Board, a classic",
    "A surfboard. Game of boards",
    "Board\u2013Games!",
    "Comédies",
    "Zombie night",
    "L\u2019Or\u00e9al shampoo. fragrance-free",
    "A shampoo. No fragrance",
    "A shampoo. without fragrance, with a fragrance of roses",
    "黑白棋盘游戏",
]


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("board games", [0, 3]),
        ("board game", [0, 3]),
        ("board", [0, 1, 2, 3]),
        ("game board", []),
        ("surf", []),
        ("comedie", [4]),
        ("comedy", [4]),
        ("zombies", [5]),
        ("l'oréal", [6]),
        ("fragrance", [8]),
        ("fragrances of roses", [8]),
        ("棋盘", []),
        ("(", []),
        ("", []),
    ],
)
def test_an_item_says_a_phrase_where_its_words_follow_each_other_and_are_not_denied(phrase, expected):
    items = pd.DataFrame({"item_id": [str(n) for n in range(len(SAYING))], "title": SAYING})
    metadata = ItemMetadata.build(
        items, pd.Series([json.dumps([f"thing {n}"]) for n in range(len(SAYING))]), CATEGORIES
    )
    assert np.flatnonzero(metadata.saying(phrase)).tolist() == expected
    grown = metadata.concat(metadata.take(np.array([0, 5])))
    more = [len(SAYING) + place for place, row in enumerate((0, 5)) if row in expected]
    assert np.flatnonzero(grown.saying(phrase)).tolist() == expected + more


def test_no_item_says_a_phrase_where_there_are_none(metadata):
    assert metadata.take(np.zeros(0, np.int64)).saying("w").tolist() == []
