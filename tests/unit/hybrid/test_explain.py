"""Explanations add up to what they explain, and every term is what it says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor.hybrid.config import Boosts
from tailor.hybrid.explain import explain, text_scores
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Query
from tests.conftest import by_source
from tests.unit.hybrid.conftest import BLEND, nobody, of_one_source, recipe

UP = Boosts(tail_boost=0.5, cold_boost=0.5, popularity_debias=0.25)


@pytest.fixture(scope="module", params=["linear", "gated", "boosts up"])
def scorer(request, blended):
    if request.param == "linear":
        zeros = np.zeros(len(SOURCES), np.float32)
        return blended.with_blend(replace(BLEND, warm=replace(BLEND.warm, by_popularity=zeros, by_activity=zeros)))
    return blended.with_boosts(UP) if request.param == "boosts up" else blended


@pytest.fixture(scope="module")
def one(queries):
    """The user with the longest history."""
    return queries.take(np.array([int(np.argmax(queries.lengths))]))


@pytest.fixture(scope="module")
def items(tables):
    tail = np.flatnonzero(tables.tail)[:3]
    return np.r_[np.setdiff1d(np.flatnonzero(tables.warm), tail)[:5], tail, np.flatnonzero(~tables.warm)[:4]]


def test_shares_add_up_to_the_score(scorer, one, items):
    explanation = explain(scorer, one, items)
    np.testing.assert_allclose(explanation.score, scorer.score(one)[0, items], rtol=1e-5)
    assert explanation.items.tolist() == items.tolist()
    assert tuple(explanation.sources) == scorer.source_names


def test_no_term_can_be_left_out(scorer, one, items):
    """Each term is checked by arithmetic of its own, and counts: without it the sum is another."""
    explanation = explain(scorer, one, items)
    for name, z in zip(SOURCES, scorer.standardised(one), strict=True):
        model, popularity = BLEND.warm, scorer.popularity[items]
        place = list(SOURCES).index(name)
        slopes = scorer.blend.warm.by_popularity[place] * popularity
        activity = scorer.blend.warm.by_activity[place] * np.log1p(one.lengths[0])
        warm = model.base[place] + slopes + activity
        weight = np.where(scorer.warm[items], warm, BLEND.cold[place])
        np.testing.assert_allclose(explanation.sources[name], weight * z[0, items], rtol=1e-4, atol=1e-6, err_msg=name)
        if model.base[place]:
            remaining = explanation.score - explanation.sources[name]
            assert not np.allclose(remaining, scorer.score(one)[0, items], rtol=1e-3)


def test_what_no_source_says_is_named(scorer, one, items):
    """Popularity bias, cold shift, boosts, and what the population gets: nothing else is left over."""
    boosts, warm = scorer.boosts, scorer.warm[items]
    bias = BLEND.warm.bias * scorer.popularity[items]
    cold = BLEND.cold_shift + boosts.cold_boost * boosts.cold_boost_scale
    expected = np.where(warm, bias, cold) + np.where(scorer.tail[items], boosts.tail_boost * boosts.tail_boost_scale, 0)
    expected -= boosts.popularity_debias * scorer.population_score[items]
    np.testing.assert_allclose(explain(scorer, one, items).other, expected, atol=1e-4)


def test_history_items_share_the_score_of_the_factors(scorer, one, items):
    explanation = explain(scorer, one, items)
    raw = scorer.sources["ials"].score(one)[0, items]
    np.testing.assert_allclose(explanation.by_history.sum(axis=1), raw, rtol=1e-4, atol=1e-6)
    assert explanation.history.tolist() == sorted(one.history.indices.tolist())
    assert explanation.by_history.shape == (len(items), one.lengths[0])


def test_shares_stand_under_their_history_items(blended, one, items):
    """Whatever order the cells are stored in; an item that weighs nothing has no share."""
    columns = one.history.indices
    confidence = np.linspace(0.5, 2.0, len(columns)).astype(np.float32)
    confidence[3] = 1e-9
    backwards = sparse.csr_matrix(
        (confidence[::-1].copy(), columns[::-1].copy(), one.history.indptr.copy()), shape=one.history.shape
    )
    weighted = Query.of(one.history, confidence=backwards)
    explanation = explain(blended, weighted, items)
    assert explanation.history.tolist() == sorted(columns.tolist())
    weightless = explanation.history.tolist().index(columns[3])
    np.testing.assert_allclose(explanation.by_history[:, weightless], 0, atol=1e-6)
    sums = explanation.by_history.sum(axis=1)
    np.testing.assert_allclose(sums, blended.sources["ials"].score(weighted)[0, items], rtol=1e-4, atol=1e-6)


def test_without_a_history_it_is_popularity(scorer, tables):
    warm = np.flatnonzero(tables.warm)[:3]
    explanation = explain(scorer.with_boosts(Boosts()), nobody(scorer.n_items), warm)
    assert all((shares == 0).all() for name, shares in explanation.sources.items() if name != "popular")
    assert explanation.sources["popular"].any()
    np.testing.assert_allclose(explanation.other, 0, atol=1e-6)
    assert explanation.by_history.shape == (3, 0)


def test_without_factors_history_items_have_no_shares(tables, one):
    scorer = recipe(**{name: None for name in SOURCES if name not in ("text_knn", "popular")}).fit(tables.train_set)
    explanation = explain(scorer, one, np.arange(3))
    assert not explanation.by_history.any()
    np.testing.assert_allclose(explanation.score, scorer.score(one)[0, :3], rtol=1e-5)


class TestTextScores:
    def test_what_a_text_decides_of_a_known_item_is_its_similarity(self, blended, one, tables):
        warm, features = np.flatnonzero(tables.warm)[:4], tables.features[10:14]
        z = blended.sources["text_knn"]
        weights = blended.source_weights(one, warm[None])[0][:, list(SOURCES).index("text_knn")]
        scale = blended.mean_and_deviation(z.score(one))[1].item()
        np.testing.assert_allclose(
            text_scores(blended, one, warm, features), weights * z.score_texts(one, features)[0] / scale, rtol=1e-4
        )

    def test_a_source_that_declares_no_text_decides_nothing(self, blended, one, tables, monkeypatch):
        items = np.flatnonzero(tables.warm)[:3]
        assert text_scores(blended.with_blend(of_one_source("text_knn")), one, items, tables.features[items]).any()
        monkeypatch.setitem(SOURCES, "text_knn", replace(SOURCES["text_knn"], text_dependent=False))
        decided = text_scores(blended.with_blend(of_one_source("text_knn")), one, items, tables.features[items])
        assert decided.tolist() == [0.0] * 3

    @pytest.mark.parametrize("kind", ["warm", "cold"])
    def test_other_texts_move_scores_by_as_much(self, kind, blended, one, tables):
        """The score under another text, minus the score under this one: no other part moves."""
        blend = replace(BLEND, warm=replace(BLEND.warm, base=BLEND.warm.base + by_source(text_knn=1)))
        scorer = blended.with_blend(blend)
        items = np.flatnonzero(tables.warm if kind == "warm" else ~tables.warm)[:3]
        features = tables.features[items[::-1]]
        before, after = scorer.score(one)[0, items], scorer.with_item_texts(items, features).score(one)[0, items]
        difference = text_scores(scorer, one, items, features) - text_scores(scorer, one, items, tables.features[items])
        # A text of a warm item also moves what its user is compared with: mean and deviation over warm items.
        tolerance = 0.1 if kind == "warm" else 2e-3
        np.testing.assert_allclose(difference, after - before, atol=tolerance)
        assert np.abs(difference).max() > 0.4
