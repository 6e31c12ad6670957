"""Sources as data: each reads what its entry says, and what is not a source is refused."""

import pytest

from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid import sources as sources_module
from tailor.hybrid.config import HybridConfig
from tailor.hybrid.model import Hybrid
from tailor.hybrid.sources import SOURCES, check_sources, source
from tailor.hybrid.text_factors import TextFactors
from tailor.models import registry
from tailor.models.base import Derives, FittedModel, Model, NoConfig
from tailor.models.ease import TextEASE
from tailor.models.popular import FittedPopular, Popular
from tailor.testing.models import ModelTests
from tailor.testing.sources import SourceTests
from tests.recipes import FAST, hybrid


class TestHybrid(ModelTests):
    """The whole of them keeps to what every model keeps to."""

    reads_order = True

    def make(self, seed=0):
        return hybrid(seed=seed)


class TestIALS(SourceTests):
    source = "ials"
    options = FAST["text_ials"]


class TestTextFactors(SourceTests):
    source = "text_factors"
    base_options = FAST["text_ials"]


class TestEASE(SourceTests):
    source = "ease"
    options = FAST["text_ease"]


class TestSLIT(SourceTests):
    source = "slit"
    options = FAST["slit"]


class TestTransformer(SourceTests):
    source = "transformer"
    options = FAST["transformer"]


class TestSASRec(SourceTests):
    source = "sasrec"
    options = FAST["sasrec"]


class TestTransitionKNN(SourceTests):
    source = "transition_knn"


class TestTextKNN(SourceTests):
    source = "text_knn"


class TestContextual(SourceTests):
    source = "contextual"


class TestDemographic(SourceTests):
    source = "demographic"


class TestRecentEASE(SourceTests):
    source = "recent_ease"
    options = {"half_life": 2.0}
    base_options = {"regularization": 20.0, "text_pull": 20.0}


class TestRecentText(SourceTests):
    source = "recent_text"
    options = {"half_life": 2.0}


class TestUserText(SourceTests):
    source = "user_text"


class TestPopular(SourceTests):
    source = "popular"


@pytest.fixture
def scratch(monkeypatch):
    """Registries that forget what a test registers."""
    monkeypatch.setattr(sources_module, "SOURCES", dict(SOURCES))
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    return sources_module.SOURCES


def test_every_built_in_source_is_tested_here():
    tested = {
        name.source
        for name in globals().values()
        if isinstance(name, type) and issubclass(name, SourceTests) and name is not SourceTests
    }
    assert tested == set(SOURCES)


def test_a_model_becomes_a_source_by_a_decorator(scratch):
    @source(name="newest", reason="new", label="newest titles", reads={"popularity"})
    class Newest(Popular):
        pass

    assert scratch["newest"].model is Newest
    assert registry.model_class("newest") is Newest
    assert (Newest.name, Popular.name) == ("newest", "popular")
    check_sources({"newest": {}})


def test_two_sources_of_one_name_are_refused(scratch):
    class Other(Model[NoConfig]):
        pass

    with pytest.raises(ConfigurationError, match=r"Two sources are called 'ease': TextEASE and .*Other"):
        source(name="ease", reason="x", label="x", reads={"history"})(Other)
    source(name="ease", reason="x", label="x", reads={"history"})(TextEASE)  # the module is imported again


def test_an_unknown_source_is_refused_with_the_nearest_one_or_the_new_name():
    with pytest.raises(ConfigurationError, match=r"hybrid_cf.sources: no source 'eese'. Did you mean 'ease'\?"):
        check_sources({"eese": {}})
    with pytest.raises(ConfigurationError, match=r"no source 'mf'. It is called 'ials' now. Known: ials, text_factors"):
        check_sources({"mf": {}})


def test_an_unknown_option_of_a_source_is_refused_with_its_path():
    with pytest.raises(ConfigurationError, match=r"'hybrid_cf.sources.ease.lambda' does not exist"):
        check_sources({"ease": {"lambda": 1}})


def test_text_factors_are_neither_fitted_nor_loaded_alone(tables):
    model = TextFactors()
    assert isinstance(model, Derives)
    with pytest.raises(ConfigurationError, match="text_factors is computed from the source ials"):
        model.fit(tables.train_set)
    with pytest.raises(ConfigurationError, match="text_factors is loaded together with the source ials"):
        model.load({})
    popular = Popular().fit(tables.train_set)
    with pytest.raises(ConfigurationError, match="text_factors needs the source ials, not a FittedPopular"):
        model.derive(popular, None)


def test_a_derived_source_without_its_base_is_refused(tables):
    recipe = Hybrid(HybridConfig(sources={"text_factors": {}, "popular": {}}))
    message = r"hybrid_cf.sources.text_factors is computed from ials, which is left out: set text_factors to null too"
    with pytest.raises(ConfigurationError, match=message):
        recipe.fit(tables.train_set)


def test_a_hybrid_of_no_source_is_refused():
    with pytest.raises(ConfigurationError, match=r"hybrid_cf.sources is empty"):
        Hybrid(HybridConfig(sources={}))


def test_a_source_that_takes_no_items_in_is_named(tables, scratch, monkeypatch):
    class Rigid(FittedModel):
        """Popularity that cannot grow."""

        def __init__(self, fitted: FittedPopular) -> None:
            self.fitted, self.recipe = fitted, fitted.recipe

        @property
        def n_items(self) -> int:
            return self.fitted.n_items

        def _score(self, query):
            return self.fitted.score(query)

        def state(self):
            return self.fitted.state()

    scorer = Hybrid(HybridConfig(sources={"popular": {}})).fit(tables.train_set)
    scorer.sources["popular"] = Rigid(scorer.sources["popular"])
    with pytest.raises(BadInputError, match="The source popular cannot take items in without being fitted again"):
        scorer.with_new_items(tables.features[:1])
