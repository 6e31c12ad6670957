"""Explanations add up to what they explain, and every term is what it says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor.hybrid.config import Boosts
from tailor.hybrid.explain import Explanation, explain, text_scores
from tailor.hybrid.sources import SOURCES
from tailor.models.base import FittedModel, Query
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


def test_what_the_blend_and_the_boosts_add_is_named(scorer, one, items):
    """Each part by arithmetic of its own; one that is 0 for every item is not there."""
    boosts, warm, parts = scorer.boosts, scorer.warm[items], explain(scorer, one, items).parts
    expected = {
        "popularity_bias": np.where(warm, BLEND.warm.bias * scorer.popularity[items], 0),
        "cold_shift": np.where(warm, 0, BLEND.cold_shift),
        "cold_boost": np.where(warm, 0, boosts.cold_boost * boosts.cold_boost_scale),
        "tail_boost": np.where(scorer.tail[items], boosts.tail_boost * boosts.tail_boost_scale, 0),
        "popularity_debias": -boosts.popularity_debias * scorer.population_score[items],
    }
    assert set(parts) == {name for name, values in expected.items() if values.any()}
    for name, values in parts.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6, err_msg=name)


def test_the_bias_of_a_mixed_blend_counts_as_much_as_the_long_one(blended, one, items):
    """A short history whose score is to 0.4 that of long ones has 0.4 of their bias."""
    short = replace(BLEND, few_shot=((1000, by_source(ials=1.0)),), warm_shares=(0.4,))
    scorer = blended.with_blend(short)
    explanation = explain(scorer, one, items)
    np.testing.assert_allclose(explanation.score, scorer.score(one)[0, items], atol=1e-5)
    expected = np.where(scorer.warm[items], 0.4 * BLEND.warm.bias * scorer.popularity[items], 0)
    np.testing.assert_allclose(explanation.parts["popularity_bias"], expected, atol=1e-6)


@pytest.mark.parametrize("length", [1, 4, None])
def test_history_items_share_each_source_s_part_without_a_rest(scorer, one, items, length):
    """The mean over warm items is itself a sum over the history: each item loses its own part of it."""
    cells = one.history.indices[:length]
    query = (
        one
        if length is None
        else Query.of(_row(np.ones(len(cells)), cells, one), _row(1 + np.arange(len(cells)), cells, one))
    )
    explanation = explain(scorer, query, items)
    assert explanation.history.tolist() == sorted(cells.tolist())
    used = {name for name, part in explanation.sources.items() if part.any()}
    assert set(explanation.by_history) == used - {"popular", "demographic", "contextual"}
    assert len(explanation.by_history) >= (1 if length == 1 else 3)
    for name, shares in explanation.by_history.items():
        assert shares.shape == (len(items), len(cells))
        np.testing.assert_allclose(shares.sum(axis=1), explanation.sources[name], atol=1e-5, err_msg=name)
    assert not explanation.left_out


def _row(values, columns, like):
    cells = (np.asarray(values, np.float32), columns, [0, len(columns)])
    return sparse.csr_matrix(cells, shape=like.history.shape)


def test_a_share_is_what_an_item_adds_beyond_what_it_adds_to_an_average_one(blended, one, items):
    """w (B_hi - mean over warm items of B_hj) / σ, of EASE."""
    scorer = blended.with_blend(of_one_source("ease"))
    ease, explanation = scorer.sources["ease"], explain(scorer, one, items)
    rows = ease.weights[np.sort(one.history.indices)].astype(np.float64)
    deviation = scorer.mean_and_deviation(ease.score(one))[1].item()
    expected = (rows[:, items] - rows[:, scorer.warm].mean(axis=1, keepdims=True)).T / deviation
    np.testing.assert_allclose(explanation.by_history["ease"], expected, rtol=1e-4, atol=1e-6)


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
    for name in ("ials", "ease", "slit", "text_factors"):
        np.testing.assert_allclose(explanation.by_history[name][:, weightless], 0, atol=1e-6, err_msg=name)
        sums = explanation.by_history[name].sum(axis=1)
        np.testing.assert_allclose(sums, explanation.sources[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_without_a_history_it_is_popularity(scorer, tables):
    warm = np.flatnonzero(tables.warm)[:3]
    explanation = explain(scorer.with_boosts(Boosts()), nobody(scorer.n_items), warm)
    assert all((shares == 0).all() for name, shares in explanation.sources.items() if name != "popular")
    assert explanation.sources["popular"].any()
    np.testing.assert_allclose(explanation.other, 0, atol=1e-6)
    assert explanation.of_history.shape == (3, 0)
    assert explanation.history_share.tolist() == [0.0] * 3
    assert all(explanation.because_of(place).tolist() == [] for place in range(3))


class Opaque(FittedModel):
    """Scores of another model, of which nothing else is known."""

    def __init__(self, model):
        self.recipe, self.model = model.recipe, model

    @property
    def n_items(self):
        return self.model.n_items

    def _score(self, query):
        return self.model.score(query)

    def state(self):
        return self.model.state()


def test_a_source_that_is_no_sum_is_estimated_by_leaving_items_out(tables, one):
    """Outside the sum: w (z - z without the item), for every item of the history."""
    scorer = recipe(**{name: None for name in SOURCES if name not in ("text_knn", "popular")}).fit(tables.train_set)
    scorer = scorer.with_blend(of_one_source("text_knn").aligned(("text_knn", "popular")))
    scorer = replace(scorer, sources=scorer.sources | {"text_knn": Opaque(scorer.sources["text_knn"])})
    items = np.flatnonzero(tables.warm)[:3]
    explanation = explain(scorer, one, items)
    assert not explanation.by_history
    np.testing.assert_allclose(explanation.score, scorer.score(one)[0, items], rtol=1e-5)
    left_out = explanation.left_out["text_knn"]
    assert left_out.shape == (3, one.lengths[0])
    for place in (0, 2, one.lengths[0] - 1):
        fewer = one.history.copy()
        fewer[0, explanation.history[place]] = 0
        fewer.eliminate_zeros()
        expected = scorer.score(one)[0, items] - scorer.score(Query.of(fewer))[0, items]
        np.testing.assert_allclose(left_out[:, place], expected, atol=1e-5)


def parts_of(**sources):
    """One item's explanation with planted parts; two history items whose shares of the factors are 3 to 1."""
    other = {name: np.array([sources.pop(name)]) for name in ("cold_boost",) if name in sources}
    made = {name: np.array([value]) for name, value in sources.items()}
    shares = {"ials": np.array([[0.75, 0.25]]) * sources.get("ials", 0.0)}
    return Explanation(np.array([5]), made, other, np.array([1, 2]), shares, {}, np.zeros(9, np.float32))


@pytest.mark.parametrize(
    ("parts", "share", "named"),
    [
        ({"ials": 0.3, "popular": 0.7}, 0.3, [0]),
        ({"ials": 0.29, "popular": 0.71}, 0.29, []),
        ({"ials": 0.2, "ease": 0.2, "popular": 0.6}, 0.4, [0]),
        ({"ials": 0.5, "popular": 0.1, "cold_boost": 1.4}, 0.25, []),  # the boost carried it
        ({"ials": 0.6, "slit": -5.0, "popular": -0.1}, 1.0, [0]),
        ({"ials": -0.5, "popular": -0.1}, 0.0, []),
        ({"popular": 1.0}, 0.0, []),
    ],
)
def test_history_items_are_named_only_where_the_history_carries_the_score(parts, share, named):
    """The second item's share is a third of the first one's: less than half, so it is not named."""
    explanation = parts_of(**parts)
    assert explanation.history_share[0] == pytest.approx(share)
    assert explanation.because_of(0).tolist() == named


def test_leaving_the_named_item_out_costs_more_than_leaving_another_out(blended, queries):
    """In nine of ten places, of histories of five items and more; ties count for the other."""
    rng, held = np.random.default_rng(0), []
    for user in np.flatnonzero(queries.lengths >= 5)[:40]:
        one = queries.take(np.array([user]))
        scores = blended.score(one)[0]
        scores[one.history.indices] = -np.inf
        listed = np.argsort(-scores)[:10]
        explanation = explain(blended, one, listed)
        for place, item in enumerate(listed):
            named = explanation.because_of(place)[:1]
            if len(named):
                other = rng.choice(np.setdiff1d(np.arange(one.lengths[0]), named))
                lost = [blended.score(_lacking(one, explanation.history[row]))[0, item] for row in (named[0], other)]
                held.append(lost[0] < lost[1])
    assert len(held) > 200
    assert np.mean(held) >= 0.9


def _lacking(one, item):
    keep = one.history.indices != item
    return Query.of(
        _row(one.history.data[keep], one.history.indices[keep], one),
        _row(
            one.order.data[np.argsort(one.order.indices)][np.argsort(np.argsort(one.history.indices))][keep],
            one.history.indices[keep],
            one,
        ),
        user_index=one.user_index,
    )


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
