"""What validation makes of the sources: short histories, the shift of cold items, trade-off curves, boosts."""

from dataclasses import replace

import numpy as np
import pytest

from tailor import columns as c
from tailor.data.interactions import keep_items
from tailor.hybrid.blend import BlendModel, BlendWeights, blend
from tailor.hybrid.config import BlendOptions, Boosts
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import (
    best_cold_shift,
    boost_needed,
    cold_weights_of_warm,
    fit_blend,
    fit_weights,
    known_users,
    lists_by_domain,
    more_users,
    operating_point,
    reaching,
    rescaled,
    select_operating_point,
    with_reach,
)
from tailor.hybrid.sources import SOURCES
from tailor.topk import EXCLUDED, top_k
from tests.conftest import by_source
from tests.unit.hybrid.conftest import OFF, of_one_source, recipe

LINEAR = BlendOptions(models=["linear"], cold_shifts=[0.0], steps=4)
BOOSTS = ("cold_boost", "tail_boost", "popularity_debias")


@pytest.fixture(scope="module")
def weights(known, holdout):
    return fit_weights(known, holdout, LINEAR, 10, 0)[0]


class TestKnownUsers:
    def test_cells_bound_the_users_of_which_the_seed_draws_some(self, scorer, holdout):
        every = known_users(scorer, holdout, BlendOptions(), 0)
        n_items = int(holdout.candidates.sum())
        assert every.n_users == int((np.diff(holdout.validation.indptr) > 0).sum())
        some = known_users(scorer, holdout, BlendOptions(max_cells=7 * n_items + 1), 0)
        others = known_users(scorer, holdout, BlendOptions(max_cells=7 * n_items + 1), 1)
        assert some.n_users == others.n_users == 7
        assert (some.positives != others.positives).nnz
        assert known_users(scorer, holdout, BlendOptions(max_cells=1), 0).n_users == 1
        exact = BlendOptions(max_cells=every.n_users * n_items)
        assert known_users(scorer, holdout, exact, 0).n_users == every.n_users

    def test_vectors_are_gathered_only_for_members_that_read_them(self, scorer, holdout):
        few = {"max_cells": 5 * int(holdout.candidates.sum())}
        for models, read in ((["linear", "gated"], False), (["linear", "bilinear"], True), (["deep"], True)):
            meta = known_users(scorer, holdout, BlendOptions(models=models, **few), 0).meta
            assert (meta.users.size > 0) == (meta.items.size > 0) == read


class TestColdShift:
    def test_it_is_the_most_accurate_one(self, scorer, weights, known, holdout):
        # Fifty deviations would list nothing but cold items.
        options = BlendOptions(cold_shifts=[0.0, 50.0])
        assert best_cold_shift(scorer, weights, known, holdout, options, 10) == 0.0

    def test_of_equally_accurate_ones_it_is_the_largest(self, scorer, weights, known, holdout):
        # Far below the warm items nothing changes any more.
        options = BlendOptions(cold_shifts=[-900.0, -1000.0])
        assert best_cold_shift(scorer, weights, known, holdout, options, 10) == -900.0

    def test_it_is_measured_on_what_is_served(self, scorer, weights, known, holdout):
        shifts = [-1.0, -0.5, 0.0, 0.5, 1.0]
        users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
        items = np.flatnonzero(holdout.candidates)
        served = {
            shift: known.mean_ndcg(
                scorer.with_blend(weights.shifted(shift)).score(holdout.histories.take(users))[:, items], 10
            )
            for shift in shifts
        }
        chosen = best_cold_shift(scorer, weights, known, holdout, BlendOptions(cold_shifts=shifts), 10)
        assert len({round(value, 6) for value in served.values()}) > 1
        assert served[chosen] == pytest.approx(max(served.values()), abs=1e-6)

    def test_the_shift_that_the_weights_had_does_not_matter(self, scorer, weights, known, holdout):
        options = BlendOptions(cold_shifts=[-1.0, 0.0, 1.0])
        plain = best_cold_shift(scorer, weights, known, holdout, options, 10)
        assert best_cold_shift(scorer, weights.shifted(7.0), known, holdout, options, 10) == plain

    def test_users_without_history_are_not_shifted(self, scorer, weights, known, holdout):
        """Their lists come from weights of their own: were they shifted, they would decide."""
        activity = known.meta.activity.copy()
        activity[:] = 0.0
        nobody = replace(known, meta=replace(known.meta, activity=activity))
        options = BlendOptions(cold_shifts=[0.0, 50.0])
        assert best_cold_shift(scorer, weights, nobody, holdout, options, 10) == 50.0


class TestMoreUsers:
    def test_a_sample_that_is_enough_needs_none(self, scorer, holdout, known):
        assert more_users(scorer, holdout, known, 10**9) is None

    def test_where_cells_bound_the_users_the_weights_climb_on_more(self, scorer, holdout, monkeypatch):
        few = known_users(scorer, holdout, BlendOptions(max_cells=20 * int(holdout.candidates.sum())), 0)
        monkeypatch.setattr("tailor.hybrid.operating_point._USERS_AT_A_TIME", 30)
        more = more_users(scorer, holdout, few, 10**9)
        every = known_users(scorer, holdout, BlendOptions(), 0).columns(~holdout.cold[holdout.candidates])
        assert few.n_users == 20
        assert more.n_users == every.n_users
        scores = [part.measure(part.z[0], 10) for part in (more, every)]
        np.testing.assert_allclose(*scores, atol=1e-6)
        alone, helped = (fit_weights(few, holdout, LINEAR, 10, 0, also)[0] for also in (None, scorer))
        of_all = {
            name: every.mean_ndcg(weights.warm.score(list(every.z), every.meta), 10)
            for name, weights in (("alone", alone), ("helped", helped))
        }
        assert of_all["helped"] > of_all["alone"]
        np.testing.assert_array_equal(helped.cold, alone.cold)

    def test_of_two_domains_a_user_has_a_list_of_each(self, scorer, holdout):
        domains = np.arange(scorer.n_items) % 2
        of_two, warm = replace(scorer, domains=domains), holdout.candidates & ~holdout.cold
        few = known_users(of_two, holdout, BlendOptions(max_cells=20 * int(holdout.candidates.sum())), 0)
        wanted = [
            (np.diff(keep_items(holdout.validation, warm & (domains == domain)).indptr) > 0).sum() for domain in (0, 1)
        ]
        more = more_users(of_two, holdout, few, 10**9)
        assert more.n_users == sum(wanted)
        assert [part.n_users for part in lists_by_domain(of_two, holdout, few, 10**9)] == wanted
        every = known_users(of_two, holdout, BlendOptions(), 0).columns(warm[holdout.candidates])
        scores = [np.sort(part.measure(part.z[0], 10)) for part in (more, every)]
        np.testing.assert_allclose(*scores, atol=1e-6)


class TestReach:
    LIFTED = np.array([False, False, False, True, True, True])
    SCORES = np.array([[3.0, 2.0, 1.0, 0.5, 0.25, 0.0], [4.0, 3.5, 3.0, 5.0, 4.5, 0.0]])

    @pytest.mark.parametrize(
        ("n", "k", "expected"),
        [
            (1, 2, max(2.0 - 0.5, 3.5 - 5.0)),  # a list of 2 has room for one other: the second has to be passed
            (2, 2, max(3.0 - 0.25, 4.0 - 4.5)),
            (1, 3, max(1.0 - 0.5, 3.0 - 5.0)),
            (1, 4, 0.0),  # room for all others
            (4, 5, 0.0),  # there are three
            (3, 2, 0.0),  # a list of two holds no three
            (0, 2, 0.0),
        ],
    )
    def test_the_nth_lifted_item_passes_the_first_other_without_room(self, n, k, expected):
        assert boost_needed(self.SCORES, self.LIFTED, n, k) == expected

    def test_lists_that_cannot_hold_them_are_passed_over(self):
        scores = self.SCORES.copy()
        scores[0, 3:5] = EXCLUDED
        assert boost_needed(scores, self.LIFTED, 2, 2) == max(4.0 - 4.5, 0.0)
        assert boost_needed(scores, self.LIFTED, 1, 2) == 2.0 - 0.0

    def test_at_1_every_list_holds_them(self, scorer, weights, known, holdout):
        blended, k = scorer.with_blend(weights).with_boosts(Boosts(tail_boost=0.5, cold_boost_scale=0.1)), 20
        far = with_reach(blended, known, holdout)
        assert far.boosts == far.boosts.off()
        items, cold = np.flatnonzero(holdout.candidates), holdout.cold[holdout.candidates]
        for boost, lifted, candidates in (
            ("cold_boost", ~scorer.warm[items], np.ones(len(items), bool)),
            ("tail_boost", scorer.tail[items], ~cold),
        ):
            scores = blend(list(known.z), weights, Boosts(), scorer.warm[items], scorer.tail[items], known.meta)
            scores[:, lifted] += getattr(far.boosts, f"{boost}_scale")
            allowed = known.candidate_mask & candidates
            top = top_k(np.where(allowed, scores, EXCLUDED), k, known.tie_rank)[0]
            held, possible = lifted[top].sum(axis=1), (allowed & lifted).sum(axis=1)
            assert held.min() >= min(4, possible.min())
            assert held[possible >= 4].min() >= 4
        assert (2 * far.boosts.cold_boost_scale) % 1 == 0 == (2 * far.boosts.tail_boost_scale) % 1

    def test_the_model_that_is_handed_over_reaches_its_own_users(self, scorer, weights, queries):
        before = Boosts(cold_boost=0.5, tail_boost=0.2, cold_boost_scale=0.1, tail_boost_scale=0.1)
        handed_over = scorer.with_blend(weights).with_boosts(before)
        boosts = reaching(handed_over, queries)
        assert boosts.cold_boost_scale > 0.1 < boosts.tail_boost_scale
        for boost, lifted in (("cold_boost", ~scorer.warm), ("tail_boost", scorer.tail)):
            scale = f"{boost}_scale"
            added = getattr(before, boost) * getattr(before, scale)
            assert getattr(boosts, boost) * getattr(boosts, scale) == pytest.approx(added, rel=1e-4)
            part = queries.take(np.flatnonzero(queries.lengths > 0))
            scores = handed_over.with_boosts(boosts.model_copy(update={boost: 1.0})).score(part).copy()
            scores[part.history.nonzero()] = EXCLUDED
            top = top_k(scores, 20, np.arange(scores.shape[1]))[0]
            assert lifted[top].sum(axis=1).min() >= 4

    def test_a_boost_that_reaches_stays_as_it_is(self, scorer, weights, queries):
        wide = Boosts(cold_boost=0.25, tail_boost=0.5, cold_boost_scale=50.0, tail_boost_scale=60.0)
        blended = scorer.with_blend(weights)
        assert reaching(blended.with_boosts(wide), queries) == wide
        small = Boosts(cold_boost=0.25, cold_boost_scale=0.1, tail_boost_scale=0.1, reach=0)
        assert reaching(blended.with_boosts(small), queries) == small

    def test_curves_are_stated_in_other_scales(self):
        rows = [{"boost": boost, "value": 0.5, "accuracy": 0.3} for boost in BOOSTS]
        before, after = Boosts(cold_boost_scale=2.0), Boosts(cold_boost_scale=2.5, tail_boost_scale=4.0)
        values = {row["boost"]: row["value"] for row in rescaled(rows, before, after)}
        assert values == {"cold_boost": 0.4, "tail_boost": 0.125, "popularity_debias": 0.5}

    def test_scales_never_shrink_and_0_leaves_them(self, scorer, weights, known, holdout):
        wide = Boosts(cold_boost_scale=50.0, tail_boost_scale=60.0)
        blended = scorer.with_blend(weights)
        assert with_reach(blended.with_boosts(wide), known, holdout).boosts == wide
        small = Boosts(cold_boost_scale=0.1, tail_boost_scale=0.1, reach=0)
        assert with_reach(blended.with_boosts(small), known, holdout).boosts == small


class TestOperatingPoint:
    CURVE = [{"value": v, "accuracy": a} for v, a in ((0.0, 0.5), (0.25, 0.51), (0.5, 0.49), (0.75, 0.495), (1.0, 0.4))]

    @pytest.mark.parametrize(
        ("max_loss", "expected"), [(0.0, 0.25), (0.01, 0.75), (0.02, 0.75), (0.2, 1.0), (0.19, 0.75)]
    )
    def test_it_is_the_largest_setting_within_the_accepted_loss(self, max_loss, expected):
        assert select_operating_point(self.CURVE, max_loss) == expected

    def test_each_boost_has_a_loss_of_its_own(self):
        curve = [{"value": v, "accuracy": 1 - v / 10} for v in (0.0, 0.25, 0.5, 0.75, 1.0)]
        rows = [row | {"boost": boost} for boost in BOOSTS for row in curve]
        options = BlendOptions(max_cold_boost_loss=0.06, max_tail_boost_loss=0.03)
        scales = Boosts(cold_boost=1.0, popularity_debias=0.9, cold_boost_scale=2.0, tail_boost_scale=3.0)
        assert operating_point(rows, options, scales) == Boosts(
            cold_boost=0.5, tail_boost=0.25, popularity_debias=0.0, cold_boost_scale=2.0, tail_boost_scale=3.0
        )


def test_everything_is_fitted_at_once(scorer, holdout):
    options = BlendOptions(
        few_shot_lengths=[1], cold_shifts=[0.0, 0.5], max_cold_boost_loss=0.05, max_tail_boost_loss=0.02, steps=4
    )
    fitted = fit_blend(scorer, holdout, options, 10, 0)
    rows = {boost: [row for row in fitted.curves if row["boost"] == boost] for boost in BOOSTS}
    assert fitted.boosts.cold_boost == select_operating_point(rows["cold_boost"], 0.05)
    assert fitted.boosts.tail_boost == select_operating_point(rows["tail_boost"], 0.02)
    assert fitted.boosts.popularity_debias == 0
    assert isinstance(fitted.weights, BlendWeights)
    assert fitted.weights.cold_shift in options.cold_shifts
    assert [row["model"] for row in fitted.models] == ["linear", "gated"]
    assert fitted.click.theta.shape == (6,)
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)[:50]
    served = scorer.with_blend(fitted.weights).with_click(fitted.click)
    chances = served.click_probability(holdout.histories.take(users))[:, holdout.candidates]
    unseen = holdout.seen[users][:, np.flatnonzero(holdout.candidates)].toarray() == 0
    wanted = holdout.validation[users][:, np.flatnonzero(holdout.candidates)].toarray() > 0
    assert chances[wanted].mean() > 1.5 * chances[unseen].mean()


@pytest.fixture(scope="module")
def without_cold(tables):
    """The validation side of a split with pseudo_cold: 0, and sources that were fitted on it."""
    items = tables.items.assign(**{c.PSEUDO_COLD: "none"})
    order = {"order": tables.order, "reveal_order": tables.reveal_order}
    holdout = Holdout.build(tables.matrices["train"], tables.matrices["validation"], items, 0, **order)
    return holdout, recipe(blend=of_one_source("ials")).fit(holdout.train_set(tables.features))


def test_without_pseudo_cold_items_cold_items_take_the_warm_weights(without_cold):
    holdout, scorer = without_cold
    options = BlendOptions(models=["linear"], few_shot_lengths=[1], cold_shifts=[0.5, 1.0], steps=4)
    fitted = fit_blend(scorer, holdout, options, 10, 0)
    of_cold = np.array([max(weight, 0) * SOURCES[name].text_dependent for name, weight in by_name(fitted.weights)])
    np.testing.assert_array_equal(fitted.weights.cold, of_cold.astype(np.float32))
    assert fitted.weights.cold.sum() > 0
    assert fitted.weights.cold_shift == 0
    assert {row["boost"] for row in fitted.curves} == {"tail_boost", "popularity_debias"}
    assert fitted.boosts.cold_boost == 0
    assert fitted.click.theta.shape == (6,)


def by_name(weights):
    return zip(weights.sources, weights.warm.base, strict=True)


@pytest.mark.parametrize(
    ("base", "excluded", "expected"),
    [
        ({"ials": 0.5, "ease": -0.2, "popular": 0.3}, (), {"ials": 0.5}),
        ({"ials": 0.5, "text_knn": 0.25}, ("ials",), {"text_knn": 0.25}),
        ({"popular": 1.0}, (), dict.fromkeys((name for name in SOURCES if SOURCES[name].text_dependent), 1 / 9)),
    ],
)
def test_of_the_warm_weights_cold_items_take_those_of_sources_that_read_texts(base, excluded, expected):
    weights = cold_weights_of_warm(BlendModel(by_source(**base)), tuple(SOURCES), excluded)
    np.testing.assert_allclose(weights, by_source(**expected))


def test_without_few_shot_users_short_histories_take_the_warm_weights(scorer, holdout):
    options = BlendOptions(models=["linear"], steps=4)
    fitted = fit_blend(scorer, holdout.with_few_shot_share(0.0, 0), options, 10, 0)
    assert fitted.weights.few_shot == ()
    assert fitted.weights.without_history.tolist() == by_source(popular=1.0).tolist()
    (models, _), *others = fitted.weights.by_history(np.array([1, 30]))
    assert not others
    assert models == [(1.0, fitted.weights.warm)]


def test_off_is_off():
    scales = Boosts(cold_boost=0.1, tail_boost=0.2, popularity_debias=0.3, cold_boost_scale=4.0)
    assert scales.off() == Boosts(cold_boost_scale=4.0)
    assert Boosts() == OFF


def test_a_member_that_reads_vectors_is_tried_on_short_histories_too(scorer, holdout):
    """Above the crossover users of copies are scored by it."""
    options = BlendOptions(models=["bilinear"], few_shot_lengths=[1, 5], few_shot_users=1, epochs=1, rank=2)
    fitted = fit_blend(scorer, holdout, options, 10, 0)
    assert fitted.weights.warm.reads_vectors
    assert fitted.weights.few_shot
