"""Options of the data steps: bounds, defaults that the parameters repeat, what is refused."""

import re

import pytest
import yaml

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import (
    CategoryOptions,
    CleaningOptions,
    ColumnOptions,
    DataProcessingOptions,
    SideFeatureOptions,
    SplitOptions,
    TextOptions,
)
from tailor.errors import ConfigurationError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (SplitOptions, {"train": 0.0}),
        (SplitOptions, {"train": 1.0}),
        (SplitOptions, {"validation": 0.0}),
        (SplitOptions, {"validation": 1.0}),
        (SplitOptions, {"cold_items": -0.1}),
        (SplitOptions, {"pseudo_cold": -0.01}),
        (SplitOptions, {"pseudo_cold": 0.5}),
        (SplitOptions, {"train": 0.9, "validation": 0.1}),
        (DataProcessingOptions, {"head_share": 0.0}),
        (DataProcessingOptions, {"head_share": 1.0}),
        (TextOptions, {"reviews_per_item": -1}),
        (TextOptions, {"reviews_per_item": 101}),
        (TextOptions, {"review_words": 0}),
        (SideFeatureOptions, {"bins": 1}),
        (SideFeatureOptions, {"bins": 101}),
        (SideFeatureOptions, {"min_rows": 0}),
    ],
)
def test_values_beyond_the_bounds_are_refused(options, given):
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        parse(options, given, "here")


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (SplitOptions, {"train": 0.001, "validation": 0.998}),
        (SplitOptions, {"train": 0.998, "validation": 0.001}),
        (SplitOptions, {"pseudo_cold": 0.499}),
        (SplitOptions, {"pseudo_cold": 0.0}),
        (DataProcessingOptions, {"head_share": 0.001}),
        (DataProcessingOptions, {"head_share": 0.999}),
        (TextOptions, {"reviews_per_item": 0}),
        (TextOptions, {"reviews_per_item": 100}),
        (SideFeatureOptions, {"bins": 2}),
        (SideFeatureOptions, {"bins": 100}),
        (SideFeatureOptions, {"min_rows": 1}),
    ],
)
def test_values_at_the_bounds_are_taken(options, given):
    assert parse(options, given, "here").model_dump() | given == parse(options, given, "here").model_dump()


def test_a_split_without_a_test_window_is_refused_with_the_sum():
    with pytest.raises(ConfigurationError, match=r"train \+ validation = 1.1 leaves no test window \(< 1 needed\)"):
        parse(SplitOptions, {"train": 0.8, "validation": 0.3}, "data_processing.split")


def test_defaults_are_what_the_parameters_of_the_project_say():
    """Who leaves a parameter out gets what the file documents."""
    parameters = yaml.safe_load((ROOT / "conf/base/parameters/data_processing.yml").read_text())["data_processing"]
    plain, written = DataProcessingOptions(), parse(DataProcessingOptions, parameters, "data_processing")
    assert written.split == plain.split
    assert written.cleaning.max_dropped_fraction == plain.cleaning.max_dropped_fraction == 0.5
    assert written.head_share == plain.head_share
    assert CleaningOptions().implicit_threshold is None
    assert CategoryOptions().separator == " "


def columns(**tables):
    return parse(ColumnOptions, tables, "data_processing.columns")


def test_columns_are_written_as_a_mapping_or_as_a_list_of_pairs():
    pairs = [{"item_id": "sku"}, {"title": "name", "label": "name"}]
    assert columns(items=pairs).items == {"item_id": "sku", "title": "name", "label": "name"}
    assert columns(items=pairs) == columns(items=columns(items=pairs).items)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"items": [{"title": "a"}, {"title": "b"}]}, "'title' is mapped twice, to 'a' and to 'b': leave one out"),
        ({"users": ["user_id"]}, "'user_id' maps nothing: write '- ours: theirs'"),
    ],
)
def test_a_mapping_that_says_two_things_or_none_is_refused(tables, said):
    table = next(iter(tables))
    with pytest.raises(ConfigurationError, match=rf"'data_processing\.columns\.{table}'.*{re.escape(said)}"):
        columns(**tables)


@pytest.mark.parametrize(
    ("table", "ours", "remedy"),
    [
        *(("items", ours, f"item_{ours}") for ours in (*c.ADDED_TO_ITEMS, "split", "pieces")),
        *(("users", ours, f"user_{ours}") for ours in (*c.ADDED_TO_USERS, "split")),
    ],
)
def test_names_that_tailor_writes_are_refused_with_another(table, ours, remedy):
    said = rf"'data_processing\.columns\.{table}'.*the column 'raw' cannot be called '{ours}'.*such as '{remedy}'"
    with pytest.raises(ConfigurationError, match=said):
        columns(**{table: {f"{table[:-1]}_id": "id", ours: "raw"}})


def test_a_split_of_interactions_may_be_given():
    assert columns(interactions={"user_id": "u", "item_id": "i", "split": "part"}).interactions["split"] == "part"


def test_nothing_cannot_separate_categories():
    with pytest.raises(ConfigurationError, match=r"'text\.categories\.separator' = '': .*nothing stands between"):
        parse(TextOptions, {"categories": {"separator": ""}}, "text")


@pytest.mark.parametrize(
    ("piece", "said"),
    [
        ("{genre:.1f}", "cells are text, which this format does not fit: write {genre} and nothing else"),
        ("{genre!x}", "cells are text, which this format does not fit: write {genre} and nothing else"),
        ("{genre:{width}}", "cells are text, which this format does not fit: write {genre} and nothing else"),
        ("{genre", "a brace has no partner: write {column}"),
        ("genre}", "a brace has no partner: write {column}"),
        ("by {}", "'{}' names no column: write the name of one, such as {title}"),
        ("by {0}", "'{0}' names no column: write the name of one, such as {title}"),
        ("{genre.name}", "'{genre.name}' looks into a cell: write the column alone, {genre}"),
        ("{genre[0]}", "'{genre[0]}' looks into a cell: write the column alone, {genre}"),
    ],
)
def test_a_piece_that_can_be_written_for_no_row_is_refused_by_name(piece, said):
    with pytest.raises(ConfigurationError) as caught:
        parse(TextOptions, {"item_template": ["{title}", piece]}, "feature_engineering.text")
    assert str(caught.value).startswith(f"Parameter 'feature_engineering.text.item_template.1' = {piece!r}: ")
    assert said in str(caught.value)


def test_pieces_may_pad_and_hold_braces():
    pieces = ["{title:>10}", "{{{title}}}", "{release year}", "plain"]
    assert parse(TextOptions, {"item_template": pieces}, "text").item_template == pieces
