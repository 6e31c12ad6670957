"""What the language model reads of items."""

import numpy as np
import pandas as pd
import pytest

from tailor.config import parse
from tailor.data.config import CategoryOptions, TextOptions
from tailor.data.interactions import category_matrix
from tailor.data.text import (
    add_reviews,
    item_categories,
    join_pieces,
    pack_pieces,
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
    with pytest.raises(ConfigurationError, match=rf"'text\.{name}' is gone: no texts of users .*profile\.columns"):
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
