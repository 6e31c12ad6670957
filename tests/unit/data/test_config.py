"""Options of the data steps: bounds, defaults that the parameters repeat, what is refused."""

import pytest
import yaml

from tailor.config import parse
from tailor.data.config import (
    CategoryOptions,
    CleaningOptions,
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
        (SplitOptions, {"pseudo_cold": 0.0}),
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
        (SplitOptions, {"pseudo_cold": 0.001}),
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
