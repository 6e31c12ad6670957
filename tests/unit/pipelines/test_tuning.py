"""What a search leaves out of its space, what it tries first, and what it ends in."""

import pandas as pd
import pytest

from tailor.errors import ConfigurationError
from tailor.hybrid.config import HybridOptions
from tailor.models.ials import TextIALS
from tailor.models.implicit_als import ImplicitALSConfig
from tailor.options import Choices
from tailor.pipelines.tuning.nodes import _used, choose, default_sets, events_space, hybrid_default_sets
from tailor.pipelines.tuning.search import BORDER, Outcome


def test_dimensions_of_sources_that_are_left_out_are_not_searched():
    space = dict.fromkeys(("ials.alpha", "slit.half_life", "ease.dropout", "cold_items.width", "eaze.x"), (0.1, 1.0))
    options = HybridOptions(sources={"ials": {}, "slit": None})
    assert list(_used(space, options)) == ["ials.alpha", "cold_items.width", "eaze.x"]  # what does not exist is refused


def test_dimensions_that_an_option_set_leaves_open_are_filled_with_the_models_defaults():
    space = {"alpha": (0.5, 20.0), "regularization": (0.001, 1.0), "factors": Choices(choices=[8, 16])}
    hybrid = HybridOptions(trials={"implicit_als": [{"factors": 16, "iterations": 8}]})
    config = ImplicitALSConfig()
    filled = {"alpha": config.alpha, "regularization": config.regularization, "factors": 16, "iterations": 8}
    assert default_sets("implicit_als", space, hybrid) == [filled]
    assert default_sets("implicit_als", {"alpha": (0.5, 20.0)}, HybridOptions()) == [{"alpha": config.alpha}]


def test_open_dimensions_of_the_hybrid_are_those_of_its_sources():
    space = {"ials.alpha": (0.02, 1.0), "ials.regularization": (0.0005, 0.1), "cold_items.width": (0.3, 4.0)}
    hybrid = HybridOptions(
        sources={"ials": {"regularization": 0.02}}, trials={"hybrid": [{"ials": {"lambda_item_feature": 1.0}}]}
    )
    expected = {"ials.alpha": TextIALS.config_class().alpha, "ials.regularization": 0.02, "cold_items.width": 2.0}
    assert hybrid_default_sets(space, hybrid) == [expected | {"ials.lambda_item_feature": 1.0}]


def test_figures_before_and_after_are_one_table():
    row = {"model": "ease", "objective": "criterion", "trials": 3, "before": 0.4, "after": 0.5, BORDER: "nothing"}
    found = Outcome("ease", {"regularization": 20.0}, pd.DataFrame(), {}, [row])
    nothing = Outcome("hybrid_lora", {}, pd.DataFrame(), {})
    tuned, _, _, summary = choose([found], nothing, nothing, Outcome("events", {"view": 0.3}, pd.DataFrame(), {}))
    assert tuned["tuned"]["baselines"] == {"ease": {"regularization": 20.0}}
    assert tuned["tuned"]["events"] == {"view": 0.3}
    assert summary.to_dict(orient="records") == [row]


def test_strengths_are_searched_where_kinds_are_told_apart():
    known = {"view": 0.2, "cart": 0.6}
    assert events_space({}, known, 1.0) == {"view": (0.02, 0.99), "cart": (0.02, 0.99)}
    assert events_space({"view": (0.1, 0.5)}, known, 1.0) == {"view": (0.1, 0.5)}
    assert events_space({}, {}, 1.0) == {}
    with pytest.raises(ConfigurationError, match=r"names 'buy', whose strength is not searched.* than what lists"):
        events_space({"buy": (0.1, 0.5)}, known, 1.0)
    with pytest.raises(ConfigurationError, match=r"Kinds that are above 0 .*: none\."):
        events_space({"view": (0.1, 0.5)}, {}, 1.0)


def test_no_searched_strength_counts_as_a_hit():
    known = {"view": 0.2}
    assert events_space({}, known, 0.6) == {"view": (0.02, pytest.approx(0.594))}
    assert events_space({}, known, 0.02) == {"view": (pytest.approx(0.0099), pytest.approx(0.0198))}
    for reaches in ((0.1, 0.6), Choices(choices=[0.1, 0.6])):
        with pytest.raises(ConfigurationError, match=r"tuning\.space\.events\.view reaches 0\.6, .* end it below 0\.6"):
            events_space({"view": reaches}, known, 0.6)
