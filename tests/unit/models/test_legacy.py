"""What Tailor 0.1 saved is read, weights by name; what cannot be read is refused with the name and the version."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tailor import __version__
from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.sources import SOURCES
from tailor.models import legacy
from tailor.models.base import Query
from tailor.models.registry import model_class
from tailor.models.store import load_models, save_models
from tests.conftest import ROOT, by_source
from tests.recipes import BLEND, FAST_SOURCES, hybrid
from tests.unit.models.test_store import rewritten

OLD = ROOT / "tests" / "data" / "package_0_1" / "model.safetensors"


@pytest.fixture(scope="module")
def old_arrays():
    return load_file(OLD)


@pytest.fixture(scope="module")
def old():
    return load_models(OLD)["model"]


@pytest.fixture
def query(tables):
    return tables.train_set.queries().take(slice(0, 20))


def rewritten_old(folder, change):
    """The old file with ``change`` applied to its recipes."""
    with safe_open(OLD, framework="numpy") as file:
        recipes = json.loads(file.metadata()["engines"])
    change(recipes)
    save_file(load_file(OLD), folder / "old.safetensors", metadata={"engines": json.dumps(recipes)})
    return folder / "old.safetensors"


def test_every_old_name_has_a_model_or_source_of_today():
    assert set(legacy.SOURCES.values()) == set(SOURCES) - {
        "user_text",
        "recent_ease",
        "recent_text",
        "transformer",
        "sasrec",
        "transition_knn",
    }
    for name in legacy.MODELS.values():
        assert model_class(name).name == name


def test_scores_are_finite_for_any_history(old, query):
    scores = old.score(query)
    assert scores.shape == (20, 160)
    assert np.isfinite(scores).all()
    assert np.isfinite(old.score(Query.of(query.history))).all()


@pytest.mark.parametrize("mapped", [False, True])
def test_read_at_once_or_mapped_it_is_the_same_model(old, query, mapped):
    again = load_models(OLD, mapped)["model"]
    np.testing.assert_array_equal(again.score(query), old.score(query.take(slice(0, 20))))


def test_weights_are_those_of_the_old_places_by_name(old, old_arrays):
    places = {new: place for place, new in enumerate(legacy.SOURCES.values())}
    blend = old.blend
    assert set(blend.sources) == set(places)
    for name, weights in (
        ("base", blend.warm.base),
        ("by_popularity", blend.warm.by_popularity),
        ("by_activity", blend.warm.by_activity),
        ("cold", blend.cold),
    ):
        for source, weight in zip(blend.sources, weights, strict=True):
            assert weight == old_arrays[f"model/gate/{name}"][places[source]], (name, source)
    assert [longest for longest, _ in blend.few_shot] == old_arrays["model/gate/newcomer_lengths"].tolist()
    for (_, weights), before in zip(blend.few_shot, old_arrays["model/gate/newcomer"], strict=True):
        assert dict(zip(blend.sources, weights, strict=True)) == {s: before[p] for s, p in places.items()}
    bias, centre, scale, shift = old_arrays["model/gate/scalars"]
    assert (blend.warm.bias, blend.warm.activity_centre, blend.warm.activity_scale) == (bias, centre, scale)
    assert blend.cold_shift == shift


def test_mean_scores_and_options_are_those_of_the_old_names(old, old_arrays):
    places = {new: place for place, new in enumerate(legacy.SOURCES.values())}
    for source, row in zip(old.source_names, old.mean_scores, strict=True):
        np.testing.assert_array_equal(row, old_arrays["model/common"][places[source]])
    assert old.recipe.config.sources["ials"]["factors"] == 8
    assert old.recipe.config.sources["ease"]["text_pull"] == 20.0
    assert old.recipe.config.sources["slit"]["regularization"] == 20.0
    boosts = old.boosts
    assert (boosts.cold_boost, boosts.tail_boost, boosts.popularity_debias) == (0.1, 0.1, 0.1)
    np.testing.assert_array_equal(old.tail, old_arrays["model/tail"])


def test_blended_scores_are_the_sum_that_0_1_formed(old, old_arrays, query):
    """The warm score by the old arrays alone: places of 0.1, no name of today."""
    places = {new: place for place, new in enumerate(legacy.SOURCES.values())}
    gate = {key.removeprefix("model/gate/"): value for key, value in old_arrays.items() if "/gate/" in key}
    bias, centre, scale, _ = gate["scalars"]
    z = dict(zip(old.source_names, old.standardised(query), strict=True))
    x_u = ((np.log1p(query.lengths) - centre) / scale)[:, None]
    x_i = old_arrays["model/popularity"]
    expected = bias * x_i + sum(
        z[name] * (gate["base"][p] + gate["by_popularity"][p] * x_i + gate["by_activity"][p] * x_u)
        for name, p in places.items()
    )
    long = query.lengths > gate["newcomer_lengths"].max()
    assert long.any()
    plain = old.boosted({"cold_boost": 0.0, "tail_boost": 0.0, "popularity_debias": 0.0}).score(query)
    np.testing.assert_allclose(plain[np.ix_(long, old.warm)], expected[np.ix_(long, old.warm)], rtol=1e-4, atol=1e-4)


def test_an_old_model_is_saved_as_a_new_one(old, query, tmp_path):
    save_models(tmp_path / "new.safetensors", {"model": old})
    again = load_models(tmp_path / "new.safetensors")["model"]
    np.testing.assert_allclose(again.score(query), old.score(query.take(slice(0, 20))), rtol=1e-5, atol=1e-6)


def test_a_class_that_0_1_never_had_is_refused_with_the_version(tmp_path):
    path = rewritten_old(tmp_path, lambda recipes: recipes["model"].update(engine="Hybird"))
    message = rf"old.safetensors was written by Tailor 0\.1\.0 and cannot be read by {__version__}: .*'Hybird'.* Hybrid"
    with pytest.raises(BadInputError, match=message):
        load_models(path)


def test_another_number_of_weights_is_refused_with_the_version(tmp_path):
    arrays = load_file(OLD)
    arrays["model/gate/base"] = arrays["model/gate/base"][:7].copy()
    with safe_open(OLD, framework="numpy") as file:
        save_file(arrays, tmp_path / "old.safetensors", metadata=file.metadata())
    with pytest.raises(BadInputError, match=r"Tailor 0\.1\.0 .*it weighs 7 sources, 0\.1 had 8"):
        load_models(tmp_path / "old.safetensors")


def test_a_source_that_0_1_left_out_is_left_out(tmp_path, query):
    """A catalogue too large for EASE was served without it; its weights were 0."""
    arrays = load_file(OLD)
    place = list(legacy.SOURCES).index("ease")
    for name in ("base", "by_popularity", "by_activity", "cold"):
        arrays[f"model/gate/{name}"][place] = 0
    arrays["model/gate/newcomer"][:, place] = 0
    with safe_open(OLD, framework="numpy") as file:
        metadata = file.metadata()
    recipes = json.loads(metadata["engines"])
    recipes["model"]["options"]["without"] = ["ease"]
    path = tmp_path / "old.safetensors"
    save_file(arrays, path, metadata={"engines": json.dumps(recipes)})
    model = load_models(path)["model"]
    assert "ease" not in model.source_names
    assert np.isfinite(model.score(query)).all()


def test_boosts_and_baselines_have_their_new_names():
    renamed = legacy.rename_boosts({"cold_exposure": 0.5, "tail_weight": 0.2, "personal_weight": 0.1, "diversity": 0.3})
    assert renamed == {
        "cold_boost": 0.5,
        "tail_boost": 0.2,
        "popularity_debias": 0.1,
        "rerank": {"method": "mmr", "strength": 0.3},
    }
    recipes = {"irspack": {"engine": "PlainIALS", "options": {}, "seed": 3}}
    converted, arrays = legacy.convert(recipes, {"irspack/item_factors": np.zeros(1), "irspack_features/x": np.ones(1)})
    assert converted == {"ials": {"model": "ials", "config": {}, "seed": 3}}
    assert list(arrays) == ["ials/item_factors"]


# --- files of this version, weights by name ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tables, tmp_path_factory):
    path = tmp_path_factory.mktemp("hybrid") / "model.safetensors"
    save_models(path, {"model": hybrid().fit(tables.train_set)})
    return path


def test_a_source_that_this_version_does_not_know_is_refused_with_the_version(saved):
    path = rewritten(saved, lambda recipes: recipes["model"]["config"]["sources"].update(sequenze={}))
    message = rf"Tailor 7\.8\.9 and cannot be read by {__version__}: .*no source 'sequenze'"
    with pytest.raises(BadInputError, match=message):
        load_models(path)


def test_an_old_name_of_a_source_is_refused_with_the_new_one(saved):
    path = rewritten(saved, lambda recipes: recipes["model"]["config"]["sources"].update(sequence={}))
    with pytest.raises(BadInputError, match=r"Tailor 7\.8\.9 .*no source 'sequence'. It is called 'slit' now"):
        load_models(path)


def test_a_blend_that_weighs_a_source_that_is_left_out_is_refused(saved):
    path = rewritten(saved, lambda recipes: recipes["model"]["config"]["sources"].pop("ease"))
    message = rf"Tailor 7\.8\.9 and cannot be read by {__version__}: The blend weighs sources that .* not have: ease\."
    with pytest.raises(BadInputError, match=message):
        load_models(path)


def test_the_order_of_sources_changes_no_score(saved, query):
    """Two names that change places load with the same scores: nothing is told apart by its place."""

    def swap(recipes):
        sources = list(recipes["model"]["config"]["sources"].items())
        places = {name: place for place, (name, _) in enumerate(sources)}
        a, b = places["ease"], places["text_knn"]
        sources[a], sources[b] = sources[b], sources[a]
        recipes["model"]["config"]["sources"] = dict(sources[::-1])

    expected, swapped = load_models(saved)["model"], load_models(rewritten(saved, swap))["model"]
    assert swapped.source_names != expected.source_names
    np.testing.assert_allclose(swapped.score(query), expected.score(query.take(slice(0, 20))), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(swapped.population_score, expected.population_score, rtol=1e-4, atol=1e-5)


def test_a_source_without_weights_has_weight_0(tables, query, tmp_path):
    """Weights of fewer sources in a model of all: those that have none here count for nothing."""
    sources = ("popular", "ials")
    weights = BlendWeights(sources, BlendModel(np.array([0.25, 0.75], np.float32)), (), np.array([0, 1], np.float32))
    model = hybrid(weights).fit(tables.train_set)
    assert dict(zip(model.blend.sources, model.blend.warm.base, strict=True)) == {
        name: {"popular": 0.25, "ials": 0.75}.get(name, 0.0) for name in SOURCES
    }
    everything = BlendWeights(tuple(SOURCES), BlendModel(by_source(popular=0.25, ials=0.75)), (), by_source(ials=1))
    np.testing.assert_array_equal(
        model.score(query), hybrid(everything).fit(tables.train_set).score(query.take(slice(0, 20)))
    )


def test_a_new_source_has_weight_0_in_a_file_from_before_it_came(saved, query, tables):
    """A version that knows one more source reads what a version without it has saved."""
    few = {name: options for name, options in FAST_SOURCES.items() if name != "demographic"}
    model = hybrid(BLEND.aligned(tuple(few)), sources=few).fit(tables.train_set)
    save_models(saved.with_name("few.safetensors"), {"model": model})
    again = load_models(saved.with_name("few.safetensors"))["model"]
    assert again.source_names == tuple(few)
    np.testing.assert_allclose(again.score(query), model.score(query.take(slice(0, 20))), rtol=1e-4, atol=1e-5)
    wider = again.blend.aligned(tuple(SOURCES))
    assert wider.warm.base[list(SOURCES).index("demographic")] == 0


def test_weights_of_a_source_that_is_gone_are_refused_unless_they_are_0():
    with pytest.raises(ConfigurationError, match="The blend weighs sources that this model does not have: ease"):
        BLEND.aligned(("ials", "slit", "popular", "text_knn"))
    assert BLEND.aligned(("ials", "slit", "popular", "text_knn", "ease")).sources[-1] == "ease"
