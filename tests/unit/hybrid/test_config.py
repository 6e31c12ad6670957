"""Parameters of hybrid_cf: old names are refused with the new ones, and so is what a source does not have."""

import pytest
import yaml

from tailor.config import parse
from tailor.errors import ConfigurationError
from tailor.hybrid.config import BlendOptions, Boosts, HybridConfig, HybridOptions, all_sources
from tailor.hybrid.sources import SOURCES
from tailor.options import ProjectOptions
from tests.conftest import ROOT

RENAMED = {
    "ials": "sources.ials",
    "ease": "sources.ease",
    "sequence": "sources.slit",
    "profile": "sources.demographic",
    "context": "sources.contextual",
    "kernel": "cold_items",
    "mixture": "blend",
    "dials": "boosts",
    "blend.fusions": "blend.models",
    "blend.newcomer_history": "blend.few_shot_lengths",
    "blend.shifts": "blend.cold_shifts",
    "blend.max_price": "blend.max_cold_boost_loss",
    "blend.max_tail_price": "blend.max_tail_boost_loss",
    "boosts.cold_span": "boosts.cold_boost_scale",
    "boosts.tail_span": "boosts.tail_boost_scale",
}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_refused_with_the_new_one(old, new):
    values = {}
    for key in reversed(old.split(".")):
        values = {key: values}
    message = rf"^Parameter 'hybrid_cf\.{old}' is called 'hybrid_cf\.{new}' now\.$"
    with pytest.raises(ConfigurationError, match=message):
        parse(HybridOptions, values, "hybrid_cf")
    with pytest.raises(ConfigurationError, match=message):
        parse(ProjectOptions, {"hybrid_cf": values}, "")


@pytest.mark.parametrize("options", [BlendOptions, HybridOptions, Boosts])
def test_what_a_name_is_called_now_exists(options):
    for new in options.renamed.values():
        name, _, source = new.partition(".")
        assert name in options.model_fields
        assert not source or source in SOURCES


def test_what_is_gone_says_what_to_do():
    with pytest.raises(ConfigurationError, match=r"'hybrid_cf.without' is gone: set the source to null in hybrid_cf"):
        parse(HybridOptions, {"without": ["ease"]}, "hybrid_cf")
    with pytest.raises(ConfigurationError, match=r"head_share' is gone: data_processing.head_share is the one"):
        parse(HybridOptions, {"boosts": {"head_share": 0.5}}, "hybrid_cf")


def test_where_boosts_stand_is_no_parameter():
    with pytest.raises(ConfigurationError, match=r"'hybrid_cf\.boosts\.tail_boost' does not exist"):
        parse(HybridOptions, {"boosts": {"tail_boost": 0.5}}, "hybrid_cf")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"mf": {}}, r"^hybrid_cf.sources: no source 'mf'. It is called 'ials' now\. Known: ials, text_factors, ease"),
        ({"text": None}, r"no source 'text'. It is called 'text_knn' now"),
        ({"popullar": {}}, r"no source 'popullar'. Did you mean 'popular'\?.* listed under 'plugins'"),
        ({"ease": {"lambda": 1}}, r"^Parameter 'hybrid_cf.sources.ease.lambda' does not exist"),
        ({"slit": {"window": 0}}, r"^Parameter 'hybrid_cf.sources.slit.window' = 0: Input should be greater"),
    ],
)
def test_a_source_or_option_that_does_not_exist_is_refused(sources, message):
    with pytest.raises(ConfigurationError, match=message):
        parse(HybridOptions, {"sources": sources}, "hybrid_cf")


def test_every_source_is_used_unless_it_is_left_out():
    assert HybridOptions().sources == all_sources()
    sources = {"ease": {"regularization": 7.0}, "slit": None, "popular": {}}
    config = HybridOptions(sources=sources).hybrid_config({})
    assert list(config.sources) == ["ease", "popular"]
    assert config.sources["ease"]["regularization"] == 7.0


def test_what_is_computed_from_a_source_goes_with_it():
    sources = {name: {} for name in SOURCES} | {"ease": None, "ials": None}
    left = list(HybridOptions(sources=sources).hybrid_config({}).sources)
    assert set(SOURCES) - set(left) == {"ease", "recent_ease", "ials", "text_factors"}


def test_a_recipe_of_its_own_dump_is_the_same():
    config = HybridConfig(sources={"ease": {"regularization": 7.0}, "popular": {}})
    assert HybridConfig.model_validate(config.model_dump(mode="json")) == config


def test_defaults_are_what_the_parameters_of_the_project_say():
    """Who leaves a parameter out gets what the file documents."""
    text = (ROOT / "conf/base/parameters/hybrid_cf.yml").read_text()
    written = parse(HybridOptions, yaml.safe_load(text)["hybrid_cf"], "hybrid_cf")
    plain = HybridOptions()
    for name in ("cold_weight", "k", "cold_items", "boosts"):
        assert getattr(plain, name) == getattr(written, name), name
    for name in yaml.safe_load(text)["hybrid_cf"]["blend"]:
        assert getattr(plain.blend, name) == getattr(written.blend, name), name


@pytest.mark.parametrize(
    ("path", "low", "high", "beyond"),
    [
        ("cold_weight", 0.0, 1.0, (-0.01, 1.01)),
        ("blend.max_cold_boost_loss", 0.0, 0.99, (-0.01, 1.0)),
        ("blend.max_tail_boost_loss", 0.0, 0.99, (-0.01, 1.0)),
        ("blend.l2", 0.0, 10.0, (-0.01,)),
        ("blend.click.l2", 0.0, 10.0, (-0.01,)),
        ("blend.click.popularity_power", 0.0, 2.0, (-0.01, 2.01)),
        ("k", 1, 1000, (0,)),
        ("blend.epochs", 1, 1000, (0,)),
        ("blend.steps", 1, 1000, (0,)),
    ],
)
def test_options_at_and_beyond_their_bounds(path, low, high, beyond):
    def nested(value):
        for key in reversed(path.split(".")):
            value = {key: value}
        return value

    for value in (low, high):
        parse(HybridOptions, nested(value), "hybrid_cf")
    for value in beyond:
        with pytest.raises(ConfigurationError, match=rf"hybrid_cf\.{path}"):
            parse(HybridOptions, nested(value), "hybrid_cf")


def test_boosts_at_0_are_the_accuracy_ranking():
    off = Boosts(cold_boost=0.3, tail_boost=0.2, popularity_debias=0.1, cold_boost_scale=2.0).off()
    assert off == Boosts(cold_boost_scale=2.0)
    assert (off.cold_boost, off.tail_boost, off.popularity_debias) == (0.0, 0.0, 0.0)


def test_budgets_are_the_same_but_for_a_baseline_that_takes_minutes():
    HybridOptions(trials={"ease": [{}, {}], "slit": [{}, {}], "sasrec": [{}]})
    with pytest.raises(ValueError, match=r"same number of trials, found \{'ease': 2, 'sasrec': 3\}"):
        HybridOptions(trials={"ease": [{}, {}], "sasrec": [{}, {}, {}]})
    with pytest.raises(ValueError, match=r"same number of trials, found \{'ease': 2, 'slit': 1\}"):
        HybridOptions(trials={"ease": [{}, {}], "slit": [{}]})


def test_baselines_that_a_run_leaves_out_are_in_no_budget():
    HybridOptions(baselines=["ease"], trials={"ease": [{}], "slit": [{}, {}], "hybrid": [{}]})
    with pytest.raises(ValueError, match=r"same number of trials, found \{'ease': 1, 'hybrid': 2\}"):
        HybridOptions(baselines=["ease"], trials={"ease": [{}], "slit": [{}], "hybrid": [{}, {}]})
