"""What the language model reads of items."""

import numpy as np
import pandas as pd
import pytest

from tailor.config import parse
from tailor.data.config import CategoryOptions, TextOptions
from tailor.data.interactions import category_matrix
from tailor.data.text import (
    add_reviews,
    clean_cells,
    constant_columns,
    item_categories,
    join_pieces,
    pack_pieces,
    refuse_empty_texts,
    template_columns,
    unpack_pieces,
    write_pieces,
)
from tailor.errors import ConfigurationError

MISSING = TextOptions().missing


def test_missing_pieces_are_left_out():
    items = pd.DataFrame(
        {
            "title": ["Amélie &amp; co", "Heat", None],
            "year": [2001.0, np.nan, 1999.0],
            "genres": ["Comedy", "Unknown", "  "],
        }
    )
    pieces = write_pieces(items, ["{title} ({year})", "{title}", "genres: {genres}"], MISSING, "template")
    assert pieces[0] == ["Amélie & co (2001)", "Amélie & co", "genres: Comedy"]
    assert unpack_pieces(pack_pieces(pieces)) == pieces
    assert join_pieces(pieces).tolist() == ["Amélie & co (2001). Amélie & co. genres: Comedy", "Heat", ""]


def test_other_scripts_are_left_alone():
    titles = ["進撃の巨人", "Сталкер", "الرسالة", "Amélie – Le Fabuleux"]
    assert join_pieces(write_pieces(pd.DataFrame({"title": titles}), ["{title}"], MISSING, "t")).tolist() == titles


def test_no_template_is_no_text():
    assert write_pieces(pd.DataFrame({"a": ["x", "y"]}), [], MISSING, "t") == [[], []]


def test_template_column_that_does_not_exist():
    with pytest.raises(ConfigurationError, match=r"item_template '\{titel\}' names a column.*Did you mean 'title'\?"):
        write_pieces(pd.DataFrame({"title": ["x"]}), ["{titel}"], MISSING, "item_template")


@pytest.fixture
def reviewed():
    items = pd.DataFrame({"item_id": ["a", "b", "c"], "title": ["A", "B", "C"], "pseudo_cold": ["none", "A", "none"]})
    interactions = pd.DataFrame(
        {
            "user_id": ["1", "2", "1", "1", "2", "3"],
            "item_id": ["a", "a", "b", "c", "c", "a"],
            "split": ["train", "test", "train", "train", "validation", "train"],
            "text": ["slow and lovely", "SECRET", "LEAK", None, "SECRET", "one two three four"],
            "timestamp": [3.0, 4.0, 1.0, 2.0, 5.0, 1.0],
        }
    )
    return items, interactions


def test_reviews_come_from_train_rows_of_items_that_are_not_pseudo_cold(reviewed):
    items, interactions = reviewed
    pieces = add_reviews([["A"], ["B"], ["C"]], items, interactions, TextOptions(review_words=3))
    assert sorted(pieces[0]) == ["A", "one two three", "slow and lovely"]
    assert pieces[1:] == [["B"], ["C"]]
    one = add_reviews([["A"], ["B"], ["C"]], items, interactions, TextOptions(reviews_per_item=1))
    assert len(one[0]) == 2
    assert add_reviews([["A"]], items, interactions.drop(columns="text"), TextOptions()) == [["A"]]


@pytest.mark.parametrize("name", ["user_template", "history_titles"])
def test_options_of_user_texts_are_refused_by_name(name):
    with pytest.raises(
        ConfigurationError, match=rf"'text\.{name}' is gone: .*profile\.columns, .*feature_engineering\.user_text"
    ):
        parse(TextOptions, {name: []}, "text")


def test_categories_are_listed_once_per_item():
    items = pd.DataFrame({"item_id": ["a", "b", "c"], "genres": ["Drama, War,Drama", None, "War"]})
    listed = item_categories(items, CategoryOptions(column="genres", separator=","), MISSING)
    assert list(listed.itertuples(index=False, name=None)) == [("a", "Drama"), ("a", "War"), ("c", "War")]
    np.testing.assert_array_equal(category_matrix(items, listed).toarray(), [[1, 1], [0, 0], [0, 1]])
    nothing = item_categories(items, CategoryOptions(), MISSING)
    assert category_matrix(items, nothing).shape == (3, 0)
    with pytest.raises(ConfigurationError, match=r"no such column. Did you mean 'genres'\?"):
        item_categories(items, CategoryOptions(column="genre"), MISSING)


def categories_of(cells, **options):
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(len(cells))], "tags": cells})
    listed = item_categories(items, CategoryOptions(column="tags", **options), MISSING)
    return [listed.loc[listed["item_id"] == item, "category"].tolist() for item in items["item_id"]]


@pytest.mark.parametrize(
    "cells",
    [
        [["tea", "hot milk"], [], ["tea"]],
        [np.array(["tea", "hot milk"]), np.array([]), np.array(["tea"])],
        ["['tea', 'hot milk']", "[]", "['tea']"],
        ["['tea' 'hot milk']", None, "tea"],
        ['["tea", "hot milk", "tea"]', "", '["tea", null, "Unknown"]'],
    ],
    ids=["lists", "arrays", "python text", "numpy text", "json text"],
)
def test_a_list_is_its_categories_whatever_the_separator(cells):
    assert categories_of(cells) == [["tea", "hot milk"], [], ["tea"]]


def test_lists_that_parquet_gives_back_are_categories(tmp_path):
    pd.DataFrame({"tags": [["tea", "x"], None, ["tea"]]}).to_parquet(tmp_path / "items.parquet")
    assert categories_of(pd.read_parquet(tmp_path / "items.parquet")["tags"]) == [["tea", "x"], [], ["tea"]]


def test_numbers_in_a_list_are_categories_too():
    assert categories_of([[28.0, 12.0], [28]]) == [["28", "12"], ["28"]]
    assert categories_of(["[28, 12]", "[28]"]) == [["28", "12"], ["28"]]


def test_the_separator_is_taken_as_it_is_written():
    assert categories_of(["a||b", "a|b"], separator="||") == [["a", "b"], ["a|b"]]


@pytest.mark.parametrize("cell", [[{"name": "tea"}], "[{'id': 1, 'name': 'tea'}]", '{"name": "tea"}', [["tea"]]])
def test_records_are_no_categories(cell):
    with pytest.raises(ConfigurationError, match=r"categories\.column = 'tags': a cell holds .*tea.* no list of names"):
        categories_of(pd.Series([cell], dtype=object))


def test_a_list_in_a_template_is_written_with_commas():
    cells = pd.Series([["tea", "milk"], None, "['a', 'b']"], dtype=object)
    assert clean_cells(cells, MISSING).tolist() == ["tea, milk", "", "a, b"]


def test_a_column_may_stand_twice_in_a_piece():
    table = pd.DataFrame({"title": ["x"], "year": [1999]})
    assert write_pieces(table, ["{title} ({year}), {title}"], MISSING, "t") == [["x (1999), x"]]
    assert template_columns(["{title} ({year})", "{title} {{plain}}"]) == ["title", "year"]


def test_columns_that_say_the_same_of_all_items_are_found():
    table = pd.DataFrame({"title": ["x", "y"], "size": [0, 0.0], "brand": [None, "unknown"], "other": ["z", "z"]})
    template = ["{title} {size}", "{brand}"]
    assert constant_columns(table, template, MISSING) == {"size": "0", "brand": ""}
    assert constant_columns(table.head(1), template, MISSING) == {}


def test_texts_that_say_nothing_are_refused_with_the_first_items():
    items = pd.DataFrame({"item_id": list("abcd"), "title": [None, "unknown", "", None]})
    said = r"reads title, .*item_id = 'a', title = .*; item_id = 'b', title = 'unknown'; item_id = 'c'"
    with pytest.raises(ConfigurationError, match=said) as caught:
        refuse_empty_texts(pd.Series([""] * 4), items, ["{title}"], "here")
    assert "'d'" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="reads no column"):
        refuse_empty_texts(pd.Series([""] * 4), items, [], "here")
    refuse_empty_texts(pd.Series(["", "", "", "x"]), items, ["{title}"], "here")
