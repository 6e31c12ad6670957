"""The recipe of the hybrid: fitted, saved, loaded; sources left out; what is derived from another source."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid import model
from tailor.hybrid.blend import BlendWeights
from tailor.hybrid.config import Boosts, HybridConfig
from tailor.hybrid.model import _AVERAGED, Hybrid
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Query, TrainSet
from tailor.models.store import load_models, save_models
from tailor.testing.compare import wider_query
from tests.unit.hybrid.conftest import BLEND, of_one_source, recipe, source_forgotten


def some(queries):
    return queries.take(np.arange(12))


def without(*names):
    """The blend of all sources, the weights of some set to 0 and left out."""
    state = {k: (v * 0 if k.split("/")[-1] in names else v) for k, v in BLEND.state().items()}
    return BlendWeights.from_state(state).aligned([name for name in SOURCES if name not in names])


def test_the_same_seed_and_data_give_the_same_scores(blended, tables, queries):
    again = recipe(blend=BLEND).fit(tables.train_set)
    np.testing.assert_array_equal(again.score(some(queries)), blended.score(some(queries)))


def test_a_recipe_is_not_changed_by_a_fit(tables, queries):
    """A fit without texts, after one with texts, knows nothing of them."""
    hybrid = recipe(blend=of_one_source("text_knn"))
    hybrid.fit(tables.train_set)
    blind = hybrid.fit(tables.train_set.without_features())
    assert not blind.score(some(queries))[queries.lengths[:12] > 0].any()


def test_saved_and_loaded_it_scores_alike(blended, queries, tmp_path):
    boosted = blended.with_boosts(Boosts(cold_boost=0.1, tail_boost=0.2, popularity_debias=0.3, tail_boost_scale=2.0))
    save_models(tmp_path / "models.safetensors", {"hybrid": boosted})
    loaded = load_models(tmp_path / "models.safetensors")["hybrid"]
    assert loaded.boosts == boosted.boosts
    assert loaded.popularity_of_none == boosted.popularity_of_none
    assert loaded.recipe.config == boosted.recipe.config
    np.testing.assert_array_equal(loaded.tail, boosted.tail)
    np.testing.assert_allclose(loaded.score(some(queries)), boosted.score(some(queries)), rtol=1e-4, atol=1e-5)


def test_what_is_loaded_takes_items_in_as_what_was_saved(blended, tables, tmp_path):
    save_models(tmp_path / "models.safetensors", {"hybrid": blended})
    loaded = load_models(tmp_path / "models.safetensors")["hybrid"]
    ours, theirs = (model.with_new_items(tables.features[:2]) for model in (blended, loaded))
    np.testing.assert_allclose(theirs.mean_scores, ours.mean_scores, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(theirs.popularity, ours.popularity)


def test_saved_options_do_not_hang_on_later_defaults():
    assert recipe().config.sources["ease"]["max_dense_items"] == 10_000
    assert HybridConfig().sources["slit"]["half_life"] == 5.0


def test_popularity_is_standardised_over_warm_items(blended, tables):
    logs = np.log1p(tables.train_set.counts)
    np.testing.assert_allclose(blended.popularity[tables.warm].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(blended.popularity[tables.warm].std(), 1, rtol=1e-5)
    expected = (logs - logs[tables.warm].mean()) / logs[tables.warm].std()
    np.testing.assert_allclose(blended.popularity, expected, rtol=1e-4)
    assert blended.popularity_of_none == pytest.approx(-logs[tables.warm].mean() / logs[tables.warm].std())


def test_the_average_user_is_the_mean_of_users_with_a_history(blended, queries):
    users = np.flatnonzero(queries.lengths > 0)
    assert len(users) < min(_AVERAGED, len(queries))
    expected = np.stack([z.mean(axis=0) for z in blended.standardised(queries.take(users))])
    np.testing.assert_allclose(blended.mean_scores[:, blended.warm], expected[:, blended.warm], atol=1e-5)
    # These read the text of a cold item themselves; others mix what similar items have, and so does the mean.
    mixtures = [name not in ("text_factors", "text_knn", "recent_text", "transformer") for name in SOURCES]
    cold, of_cold = blended.mean_scores[:, ~blended.warm], expected[:, ~blended.warm]
    np.testing.assert_allclose(cold[mixtures], of_cold[mixtures], atol=1e-4)
    np.testing.assert_allclose(cold, of_cold, atol=0.3)
    assert blended.mean_activity == pytest.approx(np.log1p(queries.lengths[users]).mean())


class TestSourcesLeftOut:
    def test_one_is_out_of_the_fit_the_weights_and_the_state(self, tables, queries):
        scorer = recipe(slit=None, blend=without("slit")).fit(tables.train_set)
        assert "slit" not in scorer.sources
        assert "slit" not in scorer.blend.sources
        assert len(scorer.mean_scores) == len(SOURCES) - 1
        assert not [key for key in scorer.state() if "slit" in key]
        again = scorer.recipe.load(scorer.state())
        np.testing.assert_allclose(again.score(some(queries)), scorer.score(some(queries)), rtol=1e-4, atol=1e-5)

    def test_the_others_score_as_if_its_weight_were_0(self, tables, queries, blended):
        left_out = recipe(slit=None, blend=without("slit")).fit(tables.train_set)
        weightless = blended.with_blend(without("slit"))
        np.testing.assert_allclose(left_out.score(some(queries)), weightless.score(some(queries)), rtol=1e-4, atol=1e-5)

    def test_texts_are_saved_without_text_knn_too(self, tables, queries):
        scorer = recipe(text_knn=None, recent_text=None, blend=without("text_knn", "recent_text")).fit(tables.train_set)
        again = scorer.recipe.load(scorer.state())
        np.testing.assert_array_equal(again.item_features, tables.features)
        np.testing.assert_allclose(again.score(some(queries)), scorer.score(some(queries)), rtol=1e-4, atol=1e-5)

    def test_text_factors_need_ials(self, tables):
        hybrid = recipe(ials=None, blend=of_one_source("popular").aligned(tuple(SOURCES)))
        with pytest.raises(
            ConfigurationError,
            match=r"hybrid_cf\.sources\.text_factors is computed from ials, which is left out: "
            r"set text_factors to null too",
        ):
            hybrid.fit(tables.train_set)

    def test_ials_goes_together_with_text_factors(self, tables, queries):
        blend = without("ials", "text_factors")
        scorer = recipe(ials=None, text_factors=None, blend=blend).fit(tables.train_set)
        assert np.isfinite(scorer.score(some(queries))).all()
        assert scorer.with_new_items(tables.features[:1]).n_items == scorer.n_items + 1

    def test_a_weight_of_what_is_left_out_is_refused(self):
        with pytest.raises(ConfigurationError, match="weighs sources that this model does not have: slit"):
            recipe(slit=None, blend=BLEND)

    def test_a_saved_weight_of_an_unknown_source_is_refused_with_the_version(self, blended, tmp_path):
        save_models(tmp_path / "models.safetensors", {"hybrid": blended})
        message = r"written by Tailor \S+ and cannot be read by .*no source 'slit'"
        with source_forgotten("slit"), pytest.raises(BadInputError, match=message):
            load_models(tmp_path / "models.safetensors")

    def test_no_source_at_all_is_refused(self):
        with pytest.raises(ConfigurationError, match=r"hybrid_cf\.sources is empty"):
            Hybrid(HybridConfig(sources={}))

    def test_a_large_catalogue_has_sparse_weights(self, tables, queries, tmp_path):
        """And goes on in all that a hybrid does: it is saved, takes items in, gives reasons."""
        few = {"max_dense_items": 10, "neighbours": 30}
        scorer = recipe(ease=few, slit=few).fit(tables.train_set)
        assert all(sparse.issparse(scorer.sources[name].weights) for name in ("ease", "slit"))
        save_models(tmp_path / "models.safetensors", {"hybrid": scorer})
        loaded = load_models(tmp_path / "models.safetensors", mapped=True)["hybrid"]
        np.testing.assert_allclose(loaded.score(some(queries)), scorer.score(some(queries)), rtol=1e-4, atol=1e-5)
        ours, theirs = (model.with_new_items(tables.features[:2]) for model in (scorer, loaded))
        wide = wider_query(some(queries), 2)
        np.testing.assert_allclose(theirs.score(wide), ours.score(wide), rtol=1e-3, atol=1e-4)


class TestTextFactors:
    def test_each_item_is_predicted_from_the_others(self, blended):
        imputer, V = blended.imputer, blended.sources["ials"].item_factors
        item = int(imputer.landmarks[5])
        others = imputer.landmarks[imputer.landmarks != item]
        alone = replace(imputer, landmarks=others).predict(blended.item_features[[item]], V[others])[0]
        np.testing.assert_allclose(blended.sources["text_factors"].vectors[item], alone, rtol=1e-2, atol=1e-4)

    def test_cold_items_are_where_ials_has_them(self, blended):
        cold = ~blended.warm
        vectors, V = blended.sources["text_factors"].vectors, blended.sources["ials"].item_factors
        np.testing.assert_allclose(vectors[cold], V[cold], rtol=1e-4, atol=1e-6)

    def test_they_cannot_be_fitted_or_loaded_alone(self, tables, blended):
        model = SOURCES["text_factors"].model()
        with pytest.raises(ConfigurationError, match="computed from the source ials: it cannot be fitted alone"):
            model.fit(tables.train_set)
        with pytest.raises(ConfigurationError, match="loaded together with the source ials"):
            model.load({})
        with pytest.raises(ConfigurationError, match="text_factors needs the source ials, not a FittedPopular"):
            model.derive(blended.sources["popular"], blended.imputer)


class TestPretrained:
    def test_a_source_that_is_fitted_already_is_taken_as_it_is(self, blended, tables, queries):
        other = recipe(ials={"factors": 4}).source_models()["ials"].fit(tables.train_set)
        scorer = blended.recipe.fit(tables.train_set, {"ials": other})
        assert scorer.sources["ials"].item_factors.shape[1] == 4
        again = blended.recipe.fit(tables.train_set, {"slit": blended.sources["slit"]})
        np.testing.assert_allclose(again.score(some(queries)), blended.score(some(queries)), rtol=1e-4, atol=1e-5)

    def test_more_interactions_move_scores_under_the_same_blend(self, blended, tables):
        more = tables.train_set
        interactions = more.interactions.tolil()
        user = int(np.argmax(more.queries().lengths))
        new = np.flatnonzero(tables.warm & (more.interactions[[user]].toarray()[0] == 0))[:3]
        interactions[user, new] = 1.0
        grown = replace(more, interactions=interactions.tocsr(), order=None)
        updated = blended.partial_fit(grown, sweeps=2)
        assert updated.blend is blended.blend
        counts = updated.sources["popular"].counts - blended.sources["popular"].counts
        assert np.flatnonzero(counts).tolist() == new.tolist()
        assert not np.allclose(updated.sources["ials"].item_factors, blended.sources["ials"].item_factors)


def fit_popular(interactions, warm):
    data = TrainSet.of(sparse.csr_matrix(np.array(interactions, np.float32)), np.array(warm))
    return recipe_of_popular().fit(data)


def recipe_of_popular():
    return Hybrid(HybridConfig(sources={"popular": {}}))


def test_items_that_are_all_taken_alike_are_all_of_mean_popularity():
    scorer = fit_popular([[1, 1, 0, 0], [0, 0, 1, 0]], [True, True, True, False])
    np.testing.assert_allclose(scorer.popularity, [0, 0, 0, -np.log(2)], rtol=1e-6)
    assert scorer.popularity_of_none == pytest.approx(-np.log(2))


def test_where_nothing_was_taken_nothing_is_popular():
    scorer = fit_popular([[0, 0], [0, 0]], [False, False])
    assert scorer.popularity.tolist() == [0, 0]
    assert scorer.popularity_of_none == 0
    assert scorer.mean_activity == 0
    assert scorer.mean_scores.tolist() == [[0, 0]]


def test_of_many_users_an_evenly_spread_sample_makes_the_average(tables, queries, monkeypatch):
    monkeypatch.setattr(model, "_AVERAGED", 5)
    scorer = recipe_of_popular().fit(tables.train_set)
    users = np.flatnonzero(queries.lengths > 0)
    spread = users[[round(share * (len(users) - 1) - 0.4999) for share in (0, 0.25, 0.5, 0.75, 1)]]
    assert scorer.mean_activity == pytest.approx(np.log1p(queries.lengths[spread]).mean())


def test_of_a_single_user_the_average_is_that_user():
    scorer = fit_popular([[1, 1, 0, 0], [0, 0, 0, 0]], [True, True, True, False])
    (z,) = scorer.standardised(scorer_queries([[1, 1, 0, 0]]))
    np.testing.assert_allclose(scorer.mean_scores, z, atol=1e-6)
    assert np.abs(z).max() > 0.5


def scorer_queries(history):
    return Query.of(sparse.csr_matrix(np.array(history, np.float32)))
