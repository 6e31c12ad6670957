"""The operating point of each domain: where its own lists speak against that of all, and nowhere else."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tailor.hybrid.blend import apply_boosts, blend, lift_of
from tailor.hybrid.boost_curves import Curve, boost_curves
from tailor.hybrid.config import BlendOptions, Boosts, DomainBoosts
from tailor.hybrid.domain_boosts import LEAST_LISTS, fit_domain_boosts, nearest_setting
from tailor.hybrid.explain import explain
from tailor.hybrid.operating_point import operating_point, reaching
from tests.unit.hybrid.conftest import BLEND, meta_features, of_one_source, planted_training_set, recipe

K, N_ITEMS, N_USERS = 10, 60, 800
DOMAINS = np.arange(N_ITEMS) // (N_ITEMS // 2)
TAIL = np.arange(N_ITEMS) % (N_ITEMS // 2) >= N_ITEMS // 4
OPTIONS = BlendOptions(steps=10)
SETTINGS = [0.0, 0.25, 0.5, 0.75, 1.0]
POINT = Boosts(
    tail_boost=0.5,
    tail_boost_scale=2.0,
    by_domain=[DomainBoosts(cold_boost=0.5, tail_boost=0.25), DomainBoosts(tail_boost=1.0)],
)


def planted(taste, n_users=N_USERS, seed=0):
    """Lists of two domains; in domain d people take what the first source says, and ``taste[d]`` more of the tail."""
    in_second = np.arange(n_users) % 2 == 1
    mask = in_second[:, None] == (DOMAINS == 1)

    def rule(z, _):
        drawn = 3 * z[0] + np.where(in_second[:, None], taste[1], taste[0]) * TAIL
        return np.where(mask, drawn, -1e9)

    data = planted_training_set(rule, n_users, N_ITEMS, seed)
    return replace(data, candidate_mask=mask, meta=meta_features([5] * n_users, N_ITEMS))


def curves_of(data):
    """The curves of a scorer whose weights are the first source's alone."""
    first = data.sources[0]
    scorer = SimpleNamespace(
        blend=of_one_source(first), boosts=Boosts(), warm=np.ones(N_ITEMS, bool), tail=TAIL, domains=DOMAINS,
        population_score=np.zeros(N_ITEMS, np.float32),
    )  # fmt: skip
    nothing = np.zeros(N_ITEMS, bool)
    holdout = SimpleNamespace(cold=nothing, candidates=~nothing, has_cold_items=False)
    return boost_curves(scorer, data, holdout, OPTIONS.steps, K)


def chosen(curves, options=OPTIONS):
    shared = operating_point([row for curve in curves for row in curve.rows()], options, Boosts())
    return shared, fit_domain_boosts(curves, shared, options)


def test_where_people_love_the_tail_it_is_lifted_and_elsewhere_it_is_not():
    curves = curves_of(planted((3.0, -3.0)))
    shared, (lovers, others) = chosen(curves)
    assert lovers.tail_boost >= 0.8
    assert others.tail_boost <= 0.1
    assert shared.tail_boost < lovers.tail_boost
    fresh = {curve.boost: curve for curve in curves_of(planted((3.0, -3.0), seed=7))}["tail_boost"]
    for domain, point in enumerate((lovers, others)):
        means = dict(zip(fresh.settings, fresh.of_domain(domain).mean(axis=1), strict=True))
        assert means[point.tail_boost] >= 0.98 * means[0.0]
    means = dict(zip(fresh.settings, fresh.of_domain(0).mean(axis=1), strict=True))
    assert means[lovers.tail_boost] > 1.02 * means[shared.tail_boost]


def test_domains_of_one_taste_stand_at_one_point():
    shared, points = chosen(curves_of(planted((1.0, 1.0))))
    assert shared.tail_boost > 0
    assert points == []


def test_a_domain_of_few_lists_stands_at_the_shared_point():
    """Of domain 1 there is one list less than it takes, and all of them lose everything."""
    lists = np.r_[np.zeros(200, np.int64), np.ones(LEAST_LISTS - 1, np.int64)]
    lost = np.outer(SETTINGS, lists)
    curve = Curve("tail_boost", SETTINGS, 1 - lost, SETTINGS, lists)
    shared = Boosts(tail_boost=0.25)
    points = fit_domain_boosts([curve], shared, OPTIONS)
    assert [point.tail_boost for point in points] == [1.0, 0.25]
    one_more = Curve("tail_boost", SETTINGS, np.c_[1 - lost, 1 - np.array(SETTINGS)], SETTINGS, np.r_[lists, 1])
    assert [point.tail_boost for point in fit_domain_boosts([one_more], shared, OPTIONS)] == [1.0, 0.0]


def test_the_switch_leaves_one_point_for_all():
    off = OPTIONS.model_copy(update={"boosts_by_domain": False})
    curves = curves_of(planted((3.0, -3.0)))
    assert chosen(curves)[1] and chosen(curves, off)[1] == []


def test_one_domain_has_one_point():
    (curve, *_) = curves_of(planted((3.0, -3.0)))
    assert fit_domain_boosts([replace(curve, domains=None)], Boosts(), OPTIONS) == []


@pytest.mark.parametrize(
    ("noise", "shared", "expected"),
    [
        (0.0, 1.0, 0.5),  # 0.75 loses .02 of 1, more than .01: the largest accepted one
        (0.0, 0.0, 0.5),
        (0.0, 0.5, 0.5),
        (0.2, 0.75, 0.75),  # .02 ± .2/√100 is not surely more than .01
        (0.2, 1.0, 0.75),  # .5 ± .02 surely is
        (0.2, 0.0, 0.0),  # nothing is surely accepted but 0
    ],
)
def test_it_is_the_setting_nearest_to_the_shared_one_that_lists_do_not_speak_against(noise, shared, expected):
    loss = np.array([0.0, 0.005, 0.005, 0.02, 0.5])
    signs = np.tile([1.0, -1.0], 50)
    accuracy = 1 - loss[:, None] + np.outer(loss > 0, noise * signs)
    assert nearest_setting(SETTINGS, accuracy, shared, 0.01) == expected


def test_what_a_boost_adds_is_that_of_the_item_s_domain():
    domains = np.array([0, 1, 0, -1])
    assert lift_of(POINT, "tail_boost", 4, domains).tolist() == [0.5, 2.0, 0.5, 1.0]
    assert lift_of(POINT, "cold_boost", 4, domains).tolist() == [0.5, 0.0, 0.5, 0.0]
    assert lift_of(POINT, "tail_boost", 2).tolist() == [1.0, 1.0]
    warm, tail = np.array([True, True, False, True]), np.array([True, True, False, True])
    scores = apply_boosts(np.zeros((2, 4), np.float32), POINT, warm, tail, domains=domains)
    assert scores.tolist() == 2 * [[0.5, 2.0, 0.5, 1.0]]


def test_boosts_by_domain_join_weights_by_domain():
    z = [np.array([[1.0, 2, 3, 4]], np.float32), np.array([[10.0, 20, 30, 40]], np.float32)]
    rows = np.array([[1, 0], [0, 1]], np.float32)
    weights = replace(of_one_source("ials"), sources=("a", "b"), cold=rows[0], by_domain=rows)
    weights = replace(
        weights, warm=replace(weights.warm, base=rows[0], by_popularity=0 * rows[0], by_activity=0 * rows[0])
    )
    every = np.ones(4, bool)
    scores = blend(z, weights, POINT, every, every, meta_features([3], 4), domains=np.array([0, 1, 0, -1]))
    assert scores.tolist() == [[1 + 0.5, 20 + 2.0, 3 + 0.5, 4 + 1.0]]


class TestBoosts:
    def test_off_is_off_in_every_domain(self):
        assert POINT.off() == Boosts(tail_boost_scale=2.0)

    def test_what_is_set_holds_in_every_domain(self):
        changed = POINT.everywhere(tail_boost=0.125)
        assert [point.tail_boost for point in changed.by_domain] == [0.125, 0.125]
        assert [point.cold_boost for point in changed.by_domain] == [0.5, 0.0]
        assert changed.tail_boost == 0.125
        assert POINT.everywhere(popularity_debias=0.5) == POINT.model_copy(update={"popularity_debias": 0.5})

    def test_a_step_goes_from_where_the_domain_stands(self):
        moved = POINT.moved({"tail_boost": 0.5})
        assert (moved.tail_boost, [point.tail_boost for point in moved.by_domain]) == (0.75, [0.625, 1.0])

    def test_another_scale_adds_the_same(self):
        scaled = POINT.rescaled("tail_boost", 4.0)
        assert scaled.tail_boost_scale == 4.0
        domains = np.array([0, 1, -1])
        np.testing.assert_array_equal(
            lift_of(scaled, "tail_boost", 3, domains), lift_of(POINT, "tail_boost", 3, domains)
        )


@pytest.fixture(scope="module")
def joint(tables):
    domains = np.arange(len(tables.items)) // (len(tables.items) // 2)
    return recipe(POINT, BLEND).fit(tables.train_set.with_domains(domains))


@pytest.fixture(scope="module")
def one(queries):
    return queries.take(np.array([int(np.argmax(queries.lengths))]))


def test_a_scorer_serves_saves_and_explains_the_points_of_its_domains(joint, one):
    plain = joint.with_boosts(joint.boosts.off()).score(one)[0]
    added = joint.score(one)[0] - plain
    for domain, point in enumerate(POINT.by_domain):
        own = joint.domains == domain
        np.testing.assert_allclose(added[own & joint.tail], 2.0 * point.tail_boost, atol=1e-5)
        np.testing.assert_allclose(added[own & ~joint.warm], point.cold_boost, atol=1e-5)
        np.testing.assert_allclose(added[own & joint.warm & ~joint.tail], 0.0, atol=1e-5)
    assert joint.recipe.load(joint.state()).boosts == POINT
    np.testing.assert_allclose(joint.boosted({"tail_boost": 0.0, "cold_boost": 0.0}).score(one)[0], plain, atol=1e-5)
    items = np.r_[np.flatnonzero(joint.tail)[::5], np.flatnonzero(~joint.warm)[::3]]
    assert set(joint.domains[items]) == {0, 1}
    np.testing.assert_allclose(explain(joint, one, items).score, joint.score(one)[0, items], rtol=1e-4, atol=1e-5)


def test_reach_is_measured_with_the_boosts_of_domains_at_0(joint, queries):
    scales = []
    for value in (0.0, 1.0):
        point = DomainBoosts(tail_boost=value)
        boosts = Boosts(tail_boost=value, tail_boost_scale=0.5, by_domain=[point, point])
        scales.append(reaching(joint.with_boosts(boosts), queries).tail_boost_scale)
    assert scales[0] == scales[1] > 0.5


def test_reach_is_stated_for_all_domains(joint, queries):
    small = POINT.model_copy(update={"tail_boost_scale": 0.1, "cold_boost_scale": 0.1})
    boosts = reaching(joint.with_boosts(small), queries)
    assert boosts.tail_boost_scale > 0.1 < boosts.cold_boost_scale
    for name in ("cold_boost", "tail_boost"):
        before, after = (lift_of(point, name, len(joint.domains), joint.domains) for point in (small, boosts))
        np.testing.assert_allclose(before, after, atol=1e-5)
