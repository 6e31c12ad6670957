"""Models by name."""

import pytest

from tailor.errors import ConfigurationError
from tailor.models import registry
from tailor.models.base import Model, NoConfig
from tailor.models.ease import EASE, EASEConfig
from tailor.models.registry import BASELINES, build, model_class, register_model


def test_a_model_is_built_with_its_options_and_seed():
    model = build("ease", {"regularization": 7.0}, 3)
    assert isinstance(model, EASE)
    assert model.config == EASEConfig(regularization=7.0)
    assert (model.seed, model.name) == (3, "ease")


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_has_its_name_and_defaults(name):
    assert build(name, {}, 0).name == name
    assert model_class(name).config_class() == build(name, {}, 0).config


def test_an_unknown_model_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigurationError, match=r"No model 'eese'. Did you mean 'ease'\? Known: .*'plugins'"):
        build("eese", {}, 0)


def test_an_unknown_option_is_refused_with_its_path():
    with pytest.raises(ConfigurationError, match=r"'hybrid_cf.trials.ease.lambda' does not exist"):
        build("ease", {"lambda": 1}, 0)
    with pytest.raises(ConfigurationError, match=r"'elsewhere.ease.lambda' does not exist"):
        build("ease", {"lambda": 1}, 0, where="elsewhere")


def test_two_models_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))

    class Other(Model[NoConfig]):
        pass

    with pytest.raises(ConfigurationError, match=r"Two models are called 'ease': EASE and .*Other"):
        register_model("ease")(Other)


def test_a_model_of_ones_own_is_known_by_its_name(monkeypatch):
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))

    @register_model("newest")
    class Newest(Model[NoConfig]):
        pass

    assert Newest.name == "newest"
    assert model_class("newest") is Newest
