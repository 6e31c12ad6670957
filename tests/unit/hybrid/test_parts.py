"""A planted catalogue in which only the picture tells, through the choice of weights to lists of new items."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor import columns as c
from tailor.config import parse
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import keep_items
from tailor.data.item_vectors import join_parts, parts_of
from tailor.errors import ConfigurationError
from tailor.hybrid import selection
from tailor.hybrid.config import HybridOptions
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.listing import recommend
from tailor.models.store import load_models, save_models
from tailor.testing.compare import wider_query
from tests.unit.hybrid.conftest import FAST_SOURCES

K, PARTS = 10, {"text": 8, "vector_image": 4}
SOURCES = {name: options for name, options in FAST_SOURCES.items() if name not in ("transformer", "sasrec")}
OPTIONS = HybridOptions(
    sources=SOURCES,
    blend={"models": ["linear"], "few_shot_lengths": [0, 1], "cold_shifts": [0.0], "steps": 1},
    k=K,
    cold_weight=1.0,
)


def cold_ndcg(scorer, tables):
    """Mean NDCG of lists of the items that are cold in the split, of users who take one of them."""
    cold = (tables.items[c.BUCKET] == c.COLD).to_numpy()
    positives = keep_items(tables.matrices[c.COLD], cold)
    users = np.flatnonzero(np.diff(positives.indptr))
    query, nothing = tables.train_set.queries().take(users), tables.matrices[c.TRAIN][users]
    lists, _ = recommend(scorer, query, nothing, {"cold": cold}, K, tie_ranks(0, tables.items[c.ITEM]))["cold"]
    return float(np.nanmean(ndcg(hits(lists, positives[users]), np.diff(positives[users].indptr), K)))


def fitted(holdout, tables, features, dimensions):
    """What a run does: weights of the parts chosen on pseudo-cold items, then fitted on all of train."""
    options = OPTIONS.with_parts(dimensions)
    chosen, trials, selected = selection.select_hybrid(holdout, holdout.train_set(features), options, 0)
    recipe = selection.Hybrid(options.hybrid_config(chosen), 0, selected.blend)
    return chosen, trials, recipe.fit(tables.train_set.with_features(features))


@pytest.fixture(scope="module")
def text(tables):
    """Texts that say nothing of the cluster (n_items, 8)."""
    noise = np.random.default_rng(7).normal(size=(len(tables.items), PARTS["text"]))
    return (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def image(tables):
    """Pictures that tell the cluster (n_items, 4)."""
    vectors = pd.Series(tables.features.tolist())
    return parts_of(vectors, tables.features.mean(axis=0))


@pytest.fixture(scope="module")
def with_image(holdout, tables, text, image):
    return fitted(holdout, tables, join_parts([text, image]), PARTS)


@pytest.fixture(scope="module")
def without_image(holdout, tables, text):
    """NDCG of lists of new items where only texts are known."""
    return cold_ndcg(fitted(holdout, tables, text, {})[2], tables)


def test_lists_of_new_items_are_well_above_those_by_texts(with_image, without_image, tables):
    chosen, _, scorer = with_image
    assert cold_ndcg(scorer, tables) > without_image + 0.15
    assert chosen["cold_items"]["weights"]["vector_image"] >= 0.75
    assert scorer.recipe.config.cold_items.weights == chosen["cold_items"]["weights"]


def test_permuted_pictures_give_nothing(holdout, tables, text, image, without_image):
    permuted = image[np.random.default_rng(3).permutation(len(image))]
    assert cold_ndcg(fitted(holdout, tables, join_parts([text, permuted]), PARTS)[2], tables) < without_image + 0.03


def test_where_some_pictures_are_missing_the_others_still_tell(holdout, tables, text, image, without_image):
    there = np.random.default_rng(3).random(len(image)) > 0.3
    some = image * there[:, None].astype(np.float32)
    _, _, scorer = fitted(holdout, tables, join_parts([text, some]), PARTS)
    assert np.isfinite(scorer.score(tables.train_set.queries())).all()
    assert cold_ndcg(scorer, tables) > without_image + 0.1


def test_every_weight_is_tried_and_the_best_is_taken(with_image):
    chosen, trials, _ = with_image
    tried = [{}, *({"cold_items": {"weights": weights}} for weights in selection.weights_to_try(list(PARTS)))]
    assert trials["options"].tolist() == [str(settings) for settings in tried]
    assert str(chosen) == trials.sort_values("criterion")["options"].iloc[-1]


def test_the_sources_of_a_trial_are_fitted_once(holdout, tables, text, image):
    """What is imputed otherwise is that of a fit from the start."""
    options = OPTIONS.with_parts(PARTS)
    data = holdout.train_set(join_parts([text, image]))
    settings = {"cold_items": {"weights": {"text": 0.25, "vector_image": 0.75}}}
    equal = selection.fit_scorer(holdout, data, {}, options, 0)
    again = selection.fit_scorer(holdout, data, settings, options, 0, equal.sources)
    anew = selection.fit_scorer(holdout, data, settings, options, 0)
    query = holdout.histories.take(np.arange(20))
    np.testing.assert_allclose(again.score(query), anew.score(query), rtol=1e-4, atol=1e-4)
    assert np.abs(again.score(query) - equal.score(query)).max() > 0.01


@pytest.mark.parametrize(
    ("dimensions", "weights", "sentence"),
    [
        (PARTS, {"text": 0.5, "vector_image": 0.4}, "weights sum to 0.9; they must sum to 1"),
        (
            PARTS,
            {"text": 0.5, "vector_sound": 0.5},
            "weights are needed of text, vector_image, found text, vector_sound",
        ),
    ],
)
def test_weights_that_do_not_fit_are_one_sentence(dimensions, weights, sentence):
    with pytest.raises(ConfigurationError, match=f"hybrid_cf.cold_items.*{sentence}"):
        parse(HybridOptions, {"cold_items": {"weights": weights}}, "hybrid_cf").with_parts(dimensions)


def test_weights_of_the_configuration_are_taken_as_they_are(holdout, tables, text, image):
    weights = {"text": 0.4, "vector_image": 0.6}
    options = HybridOptions.model_validate(OPTIONS.model_dump() | {"cold_items": {"weights": weights}})
    data = holdout.train_set(join_parts([text, image]))
    _, trials, scorer = selection.select_hybrid(holdout, data, options.with_parts(PARTS), 0)
    assert trials["options"].tolist() == ["{}"]
    assert scorer.imputer.options.weights == weights


def test_without_pseudo_cold_items_there_is_nothing_to_weigh_by(holdout, tables, text, image):
    data = holdout.train_set(join_parts([text, image]))
    no_cold = replace(holdout, cold=np.zeros_like(holdout.cold))
    chosen, trials, _ = selection.select_hybrid(no_cold, data, OPTIONS.with_parts(PARTS), 0)
    assert (chosen, len(trials)) == ({}, 1)


def test_a_saved_model_knows_its_weights(with_image, tables, tmp_path):
    scorer = with_image[2]
    save_models(tmp_path / "models", {"hybrid": scorer})
    loaded = load_models(tmp_path / "models")["hybrid"]
    query, fresh = tables.train_set.queries().take(np.arange(9)), scorer.item_features[:3]
    assert loaded.imputer.options == scorer.imputer.options
    wide = wider_query(query, 3)
    joined, expected = (one.with_new_items(fresh).score(wide) for one in (loaded, scorer))
    np.testing.assert_allclose(joined, expected, atol=1e-5)


def test_texts_alone_are_weighed_by_nothing(holdout, tables):
    options = OPTIONS.with_parts({})
    assert options is OPTIONS
    chosen, trials, _ = selection.select_hybrid(holdout, holdout.train_set(tables.features), options, 0)
    assert (chosen, trials["options"].tolist()) == ({}, ["{}"])
