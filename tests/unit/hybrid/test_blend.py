"""The arithmetic of the blend: weights by item, user and length of history; boosts; how weights are saved."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.errors import ConfigurationError
from tailor.hybrid.blend import BlendModel, BlendWeights, MetaFeatures, apply_boosts, blend, one_hot, weighted_sum
from tailor.hybrid.config import Boosts
from tailor.hybrid.sources import SOURCES
from tests.conftest import by_source
from tests.unit.hybrid.conftest import BLEND, OFF, meta_features, of_one_source

WARM, TAIL = np.array([True, True, False]), np.array([False, True, False])


def weights(*values):
    return np.array(values, np.float32)


def by_hand(**rows):
    """Standardised scores of one user for three items by source, 0 for the others."""
    return [np.array([rows.get(name, [0.0] * 3)], np.float32) for name in SOURCES]


HAND = by_hand(ials=[1.0, 2.0, 3.0], ease=[10.0, 20.0, 30.0], popular=[7.0, 8.0, 9.0])
HAND_BLEND = of_one_source("ials", warm=BlendModel(by_source(ials=0.5, ease=0.5)), cold_shift=0.25)


def test_warm_and_cold_items_have_weights_of_their_own():
    scores = blend(HAND, HAND_BLEND, OFF, WARM, TAIL, meta_features([5], 3))
    assert scores.tolist() == [[0.5 * 1 + 0.5 * 10, 0.5 * 2 + 0.5 * 20, 3 + 0.25]]


def test_without_a_history_popularity_alone_counts():
    assert blend(HAND, HAND_BLEND, OFF, WARM, TAIL, meta_features([0], 3)).tolist() == [[7.0, 8.0, 9.0]]


def test_boosts_lift_cold_and_tail_items():
    boosts = Boosts(cold_boost=0.5, cold_boost_scale=3.0, tail_boost=0.25, tail_boost_scale=2.0)
    lifted = blend(HAND, HAND_BLEND, boosts, WARM, TAIL, meta_features([5], 3))
    assert lifted.tolist() == [[5.5, 11.0 + 0.25 * 2.0, 3.25 + 0.5 * 3.0]]


def test_boosts_at_0_touch_nothing_bit_for_bit():
    scores = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    wide = Boosts(cold_boost_scale=3.0, tail_boost_scale=5.0)
    same = apply_boosts(scores.copy(), wide, WARM, TAIL, weights(1.0, 2.0, 3.0), np.array([True, False, True, True]))
    assert same.tobytes() == scores.tobytes()


def test_a_blend_leaves_the_scores_of_the_sources_alone():
    z = [scores.copy() for scores in HAND]
    boosts = Boosts(cold_boost=1.0, tail_boost=1.0, popularity_debias=0.5)
    for lengths in ([5], [0]):
        blend(z, of_one_source("ials"), boosts, WARM, TAIL, meta_features(lengths, 3), weights(1.0, 2.0, 3.0))
    np.testing.assert_array_equal(np.stack(z), np.stack(HAND))


def test_short_histories_have_weights_of_their_own():
    values = {"ials": 1, "ease": 10, "text_knn": 100, "popular": 1000}
    z = [np.full((5, 1), values.get(name, 5), np.float32) for name in SOURCES]
    short = of_one_source("ials", few_shot=((1, by_source(popular=1)), (3, by_source(ease=0.5, text_knn=0.5))))
    scores = blend(z, short, OFF, np.array([True]), np.array([False]), meta_features([4, 1, 2, 3, 1], 1))
    assert scores.ravel().tolist() == [1.0, 1000.0, 55.0, 55.0, 1000.0]


def test_each_length_of_history_meets_the_first_bound_that_it_does_not_exceed():
    short = of_one_source("ials", few_shot=((0, by_source()), (3, by_source()), (10, by_source())))
    rows = [chosen.tolist() for _, chosen in short.by_history(np.array([11, 0, 1, 3, 4, 10]))]
    assert rows == [[1], [2, 3], [4, 5], [0]]


def test_scores_go_over_to_the_model_for_long_histories():
    z = [np.full((3, 1), {"ials": 1, "ease": 10}.get(name, 0), np.float32) for name in SOURCES]
    few_shot = ((1, by_source(ease=1)), (4, by_source(ease=1)))
    mixed = of_one_source("ials", few_shot=few_shot, warm_shares=(0.0, 0.25))
    scores = blend(z, mixed, OFF, np.array([True]), np.array([False]), meta_features([1, 3, 9], 1))
    np.testing.assert_allclose(scores.ravel(), [10.0, 0.75 * 10 + 0.25 * 1, 1.0])
    again = BlendWeights.from_state(mixed.state())
    assert again.warm_shares == (0.0, 0.25)


def test_users_without_history_have_weights_of_their_own():
    z = [np.full((2, 2), float(place), np.float32) for place in range(len(SOURCES))]
    warm, none = np.array([True, False]), np.zeros(2, dtype=bool)
    of_none = ((0, by_source(demographic=0.75, popular=0.25)),)
    scores = blend(
        z, of_one_source("ials", few_shot=of_none, cold_shift=0.5), OFF, warm, none, meta_features([0, 1], 2)
    )
    names = list(SOURCES)
    expected = 0.75 * names.index("demographic") + 0.25 * names.index("popular")
    assert scores.tolist() == [[expected, expected], [0.0, 0.5]]  # cold items too; else ials and the shift


def test_weights_for_one_item_are_not_those_for_no_history():
    short = of_one_source("ials", few_shot=((1, by_source(ease=1)),))
    assert short.without_history.tolist() == one_hot("popular", tuple(SOURCES)).tolist()
    none = of_one_source("ials", few_shot=((0, by_source(slit=1)), (1, by_source(ease=1))))
    assert none.without_history.tolist() == by_source(slit=1).tolist()


def test_weights_follow_popularity_and_activity():
    z = [np.full((1, 2), {"ials": 1.0, "ease": 10.0}.get(name, 0.0), np.float32) for name in SOURCES]
    model = BlendModel(
        base=by_source(ials=1, ease=1),
        by_popularity=by_source(ials=2),
        by_activity=by_source(ease=3),
        bias=0.5,
        activity_centre=1.0,
        activity_scale=2.0,
    )
    x_u = (5 - 1) / 2
    scores = model.score(z, MetaFeatures(weights(5.0), weights(-1.0, 1.0)))
    assert scores.tolist() == [[1 * (1 - 2) + 10 * (1 + 3 * x_u) - 0.5, 1 * (1 + 2) + 10 * (1 + 3 * x_u) + 0.5]]


def test_bilinear_and_deep_by_hand():
    z, rng = [np.zeros((2, 3), np.float32)] * len(SOURCES), np.random.default_rng(0)
    users, items = rng.normal(size=(2, 5)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    A, C = rng.normal(size=(5, 2)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    meta = MetaFeatures(np.ones(2, np.float32), np.zeros(3, np.float32), users, items)
    bilinear = BlendModel(by_source(), user_map=A, item_map=C).score(z, meta)
    np.testing.assert_allclose(bilinear, users @ (A @ C.T) @ items.T, rtol=1e-5)
    deep = BlendModel(by_source(), user_map=A, item_map=C, out=weights(2.0, -1.0)).score(z, meta)
    hidden = 1 / (1 + np.exp(-((users @ A)[:, None] + (items @ C)[None])))
    np.testing.assert_allclose(deep, hidden @ weights(2.0, -1.0), rtol=1e-5)


def test_lengths_of_histories_come_back_from_their_logarithm():
    lengths = np.r_[np.arange(2000), 5_000, 20_000, 99_999]
    assert MetaFeatures(np.log1p(lengths).astype(np.float32), weights()).lengths.tolist() == lengths.tolist()


def test_the_population_score_is_taken_off_by_hand():
    z = [np.repeat(scores, 2, axis=0) for scores in HAND]
    model = of_one_source("ials", cold=by_source(ials=2), cold_shift=0.25)
    common, none = weights(4.0, 0.0, 8.0), np.zeros(3, dtype=bool)
    meta = meta_features([3, 0], 3)
    scores = blend(z, model, Boosts(popularity_debias=0.5), WARM, none, meta, common)
    # Users without history keep the popular items.
    assert scores.tolist() == [[1.0 - 0.5 * 4.0, 2.0, 2 * 3.0 + 0.25 - 0.5 * 8.0], [7.0, 8.0, 9.0]]
    with pytest.raises(ValueError, match="popularity_debias is set, but the population score is not known"):
        blend(z, model, Boosts(popularity_debias=0.5), WARM, none, meta)


def test_a_history_of_one_item_is_a_history():
    common = weights(1.0, 2.0, 3.0)
    scores = blend(HAND, HAND_BLEND, Boosts(popularity_debias=1.0), WARM, TAIL, meta_features([1], 3), common)
    assert scores.tolist() == [[5.5 - 1.0, 11.0 - 2.0, 3.25 - 3.0]]


@pytest.mark.parametrize("slope", ["by_popularity", "by_activity"])
def test_a_source_with_a_slope_alone_counts(slope):
    model = BlendModel(by_source(), **{slope: by_source(ease=2)})
    scores = model.score(HAND, MetaFeatures(weights(0.5), weights(0.5, 0.5, 0.5)))
    assert scores.tolist() == [[10.0, 20.0, 30.0]]


def test_a_weighted_sum_skips_sources_without_weight():
    broken = np.full((1, 2), np.nan, np.float32)
    assert weighted_sum([np.ones((1, 2), np.float32), broken], [2.0, 0.0]).tolist() == [[2.0, 2.0]]
    poisoned = [broken if name == "slit" else scores[:, :2] for name, scores in zip(SOURCES, HAND, strict=True)]
    scores = blend(poisoned, HAND_BLEND, OFF, WARM[:2], TAIL[:2], meta_features([5], 2))
    assert scores.tolist() == [[5.5, 11.0]]


class TestSavedByName:
    def test_every_weight_stands_under_its_source(self):
        state = BLEND.state()
        assert state["base/ease"] == np.float32(0.25)
        assert state["by_popularity/ials"] == np.float32(0.1)
        assert state["by_activity/ease"] == np.float32(0.1)
        assert state["cold/text_factors"] == np.float32(0.2)
        assert state["few_shot/text_knn"].tolist() == [0.5]
        assert state["few_shot_lengths"].tolist() == [1]

    def test_what_is_saved_comes_back(self):
        vectors = replace(BLEND.warm, user_map=np.ones((2, 3), np.float32), out=weights(1.0, 2.0, 3.0))
        weighty = replace(BLEND, warm=replace(vectors, activity_centre=1.5, activity_scale=0.5))
        again = BlendWeights.from_state(weighty.state())
        assert again.sources == BLEND.sources
        assert again.warm.base.shape == again.cold.shape == (len(SOURCES),)
        assert (again.cold_shift, again.warm.bias) == (BLEND.cold_shift, BLEND.warm.bias)
        assert (again.warm.activity_centre, again.warm.activity_scale) == (1.5, 0.5)
        for name in ("base", "by_popularity", "by_activity", "user_map", "item_map", "out"):
            np.testing.assert_array_equal(getattr(again.warm, name), getattr(weighty.warm, name))
        np.testing.assert_array_equal(again.cold, BLEND.cold)
        assert [length for length, _ in again.few_shot] == [1]
        np.testing.assert_array_equal(again.few_shot[0][1], BLEND.few_shot[0][1])

    def test_numbers_may_be_arrays_of_one(self):
        """So files hold them."""
        again = BlendWeights.from_state({name: np.ascontiguousarray(value) for name, value in BLEND.state().items()})
        np.testing.assert_array_equal(again.warm.base, BLEND.warm.base)
        np.testing.assert_array_equal(again.cold, BLEND.cold)
        assert again.cold_shift == BLEND.cold_shift

    def test_several_few_shot_weights_are_not_transposed(self):
        two = replace(BLEND, few_shot=((1, by_source(ease=1)), (5, by_source(popular=1))))
        again = BlendWeights.from_state(two.state())
        assert [(n, w.tolist()) for n, w in again.few_shot] == [(n, w.tolist()) for n, w in two.few_shot]

    def test_weights_without_few_shot_ones_come_back(self):
        assert BlendWeights.from_state(replace(BLEND, few_shot=()).state()).few_shot == ()

    @pytest.mark.parametrize("seed", range(3))
    def test_another_order_of_the_sources_changes_no_score(self, seed):
        rng, names = np.random.default_rng(seed), list(SOURCES)
        order = rng.permutation(len(names))
        z = rng.normal(size=(len(names), 5, 3)).astype(np.float32)
        meta = meta_features([0, 1, 2, 9, 30], 3)
        permuted = BlendWeights.from_state(BLEND.state()).aligned([names[place] for place in order])
        assert permuted.sources == tuple(names[place] for place in order)
        expected = blend(list(z), BLEND, OFF, WARM, TAIL, meta)
        np.testing.assert_allclose(blend(list(z[order]), permuted, OFF, WARM, TAIL, meta), expected, rtol=1e-5)

    def test_a_source_that_was_not_saved_weighs_0(self):
        saved = BlendWeights.of_one("ease", ("ials", "ease"))
        wider = saved.aligned(("popular", "ease", "slit", "ials"))
        assert wider.warm.base.tolist() == wider.cold.tolist() == [0, 1, 0, 0]
        assert wider.warm.by_popularity.tolist() == wider.warm.by_activity.tolist() == [0, 0, 0, 0]

    def test_a_source_that_nothing_weighs_may_be_missing(self):
        saved = BlendWeights.of_one("ease", ("ials", "ease", "slit"))
        assert saved.aligned(("ease",)).warm.base.tolist() == [1]

    @pytest.mark.parametrize(
        "part",
        [
            {"warm": BlendModel(by_source(slit=0.5))},
            {"warm": BlendModel(by_source(), by_popularity=by_source(slit=0.5))},
            {"warm": BlendModel(by_source(), by_activity=by_source(slit=0.5))},
            {"cold": by_source(slit=-0.5)},
            {"few_shot": ((3, by_source(slit=0.5)),)},
        ],
        ids=["base", "by_popularity", "by_activity", "cold", "few_shot"],
    )
    def test_a_weight_of_an_unknown_source_is_refused(self, part):
        others = tuple(name for name in SOURCES if name != "slit")
        with pytest.raises(
            ConfigurationError, match=r"weighs sources that this model does not have: slit\. It has: ials"
        ):
            of_one_source("ials", **part).aligned(others)
