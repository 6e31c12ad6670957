"""Sources as data: one that is defined here is fitted, blended, saved and explained; src knows nothing of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pytest

from tailor.config import Options, Positive
from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.config import HybridConfig, HybridOptions
from tailor.hybrid.explain import explain
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tailor.hybrid.sources import SOURCES, source
from tailor.models import registry
from tailor.models.base import FittedModel, Model, Query, State, TrainSet
from tailor.models.store import load_models, save_models
from tests.unit.hybrid.conftest import FAST_SOURCES, source_forgotten


class NewestConfig(Options):
    power: Positive = 1.0


@dataclass(frozen=True, eq=False)
class FittedNewest(FittedModel):
    recipe: Model[NewestConfig]
    age: np.ndarray

    @property
    def n_items(self) -> int:
        return len(self.age)

    def _score(self, query: Query) -> np.ndarray:
        return np.tile(self.age**self.recipe.config.power, (len(query), 1)).astype(np.float32)

    def state(self) -> State:
        return {"age": self.age}

    def with_new_items(self, features: np.ndarray) -> Self:
        return replace(self, age=np.append(self.age, np.full(len(features), self.age.max(), np.float32)))


@pytest.fixture
def newest() -> Iterator[type[Model[NewestConfig]]]:
    """A source: rows further down in the item table are newer. It is forgotten after the test."""

    @source(name="newest", reason="new", label="newest titles", reads={"popularity"})
    class Newest(Model[NewestConfig]):
        config_class = NewestConfig

        def fit(self, data: TrainSet) -> FittedNewest:
            return FittedNewest(self, np.arange(data.n_items, dtype=np.float32))

        def load(self, state: State) -> FittedNewest:
            return FittedNewest(self, state["age"])

    yield Newest
    SOURCES.pop("newest")
    registry._MODELS.pop("newest")


def blend_of(**weights: float) -> BlendWeights:
    values = np.array(list(weights.values()), np.float32)
    return BlendWeights(tuple(weights), BlendModel(values), (), values)


@pytest.mark.usefixtures("newest")
def test_a_source_of_ones_own_is_fitted_blended_saved_loaded_and_explained(tables, queries, tmp_path):
    config = HybridConfig(sources={"ials": FAST_SOURCES["ials"], "newest": {"power": 2.0}, "popular": {}})
    hybrid = Hybrid(config, 0, blend_of(ials=0.3, newest=0.5, popular=0.2))
    scorer, part = hybrid.fit(tables.train_set), queries.take(np.flatnonzero(queries.lengths > 0)[:6])
    assert isinstance(scorer.sources["newest"], FittedNewest)
    z = dict(zip(scorer.source_names, scorer.standardised(part), strict=True))
    np.testing.assert_allclose(
        scorer.score(part), 0.3 * z["ials"] + 0.5 * z["newest"] + 0.2 * z["popular"], rtol=1e-4, atol=1e-5
    )
    assert (np.diff(z["newest"], axis=1) > 0).all()
    save_models(tmp_path / "m.safetensors", {"hybrid": scorer})
    loaded = load_models(tmp_path / "m.safetensors")["hybrid"]
    assert loaded.recipe.config.sources["newest"] == {"power": 2.0}
    np.testing.assert_allclose(loaded.score(part), scorer.score(part), rtol=1e-4, atol=1e-5)
    items = np.arange(5)
    shares = explain(loaded, part.take(np.array([0])), items).sources["newest"]
    np.testing.assert_allclose(shares, 0.5 * z["newest"][0, :5], rtol=1e-4)
    assert loaded.with_new_items(tables.features[:2]).n_items == loaded.n_items + 2


@pytest.mark.usefixtures("newest")
def test_its_weight_is_fitted_on_validation(tables, holdout):
    options = HybridOptions(
        sources={"newest": {}, "ials": FAST_SOURCES["ials"], "popular": {}},
        blend={"models": ["linear"], "few_shot_lengths": [1], "cold_shifts": [0.0], "steps": 1},
    )
    scorer = Hybrid(options.hybrid_config({"newest": {"power": 0.5}}), 0).fit(holdout.train_set(tables.features))
    fitted = fit_blend(scorer, holdout, options.blend, 10, 0)
    assert fitted.weights.sources == ("newest", "ials", "popular")
    assert fitted.weights.warm.base[1] > abs(fitted.weights.warm.base[0])
    assert set(fitted.weights.state()) >= {"base/newest", "cold/newest", "few_shot/newest"}


@pytest.mark.usefixtures("newest")
def test_without_it_what_was_saved_with_it_is_refused(tables, tmp_path):
    config = HybridConfig(sources={"newest": {}, "popular": {}})
    save_models(tmp_path / "m.safetensors", {"hybrid": Hybrid(config).fit(tables.train_set)})
    message = r"cannot be read by .*no source 'newest'.*once its module is listed"
    with source_forgotten("newest"), pytest.raises(BadInputError, match=message):
        load_models(tmp_path / "m.safetensors")


@pytest.mark.usefixtures("newest")
def test_what_cannot_take_items_in_is_named(tables):
    plain = Hybrid(HybridConfig(sources={"newest": {}, "popular": {}})).fit(tables.train_set)

    class Fixed(FittedModel):
        recipe = plain.sources["newest"].recipe
        n_items = plain.n_items

        def _score(self, query):
            return np.zeros((len(query), self.n_items), np.float32)

        def state(self):
            return {}

    fixed = replace(plain, sources=plain.sources | {"newest": Fixed()})
    with pytest.raises(BadInputError, match="The source newest cannot take items in without being fitted again"):
        fixed.with_new_items(tables.features[:1])


def test_two_sources_of_one_name_are_refused(newest):
    class Other(Model[NewestConfig]):
        fit = load = None

    with pytest.raises(ConfigurationError, match=r"Two sources are called 'newest': .*Newest and .*Other"):
        source(name="newest", reason="new", label="new", reads={"popularity"})(Other)
    assert SOURCES["newest"].model is newest


def test_a_source_reads_something():
    with pytest.raises(ConfigurationError, match="The source newest reads nothing"):
        source(name="newest", reason="new", label="new", reads=set())
    assert "newest" not in SOURCES


def test_the_built_in_sources():
    assert list(SOURCES) == [
        "ials", "text_factors", "ease", "slit", "text_knn", "recent_ease", "recent_text",
        "transformer", "sasrec", "transition_knn", "contextual", "demographic", "user_text", "popular",
    ]  # fmt: skip
    assert {name for name, entry in SOURCES.items() if entry.derived_from} == {
        "text_factors", "recent_ease", "recent_text"
    }  # fmt: skip
    assert {name for name, entry in SOURCES.items() if not entry.text_dependent} == {
        "sasrec",
        "transition_knn",
        "contextual",
        "demographic",
        "popular",
    }
    assert SOURCES["popular"].model.name == "popular"
    assert SOURCES["ials"].model.name == "text_ials"
