"""The hybrid scorer: arithmetic of the gate, its fitting on planted truth, the boosts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from tailor.config import parse
from tailor.data.interactions import keep_items
from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid import blend_fit as fusion
from tailor.hybrid.blend import SOURCES, BlendModel, BlendWeights, MetaFeatures, blend, only
from tailor.hybrid.blend_fit import BlendTrainingSet
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import (
    choose_fusion,
    choose_weights,
    fit_few_shot_weights,
    fit_gate,
    fit_shift,
    fit_weights,
    known_cells,
)
from tailor.hybrid.scorer import Hybrid, HybridEngineOptions, head
from tailor.hybrid.selection import fit_sources, ladder, select_baselines
from tailor.models.registry import BASELINES
from tailor.hybrid.config import Boosts, HybridOptions, BlendOptions
from tailor.models.ease import EASEConfig
from tailor.models.ials import IALSConfig
from tailor.models.slit import SLITConfig
from tailor.pipelines.feature_engineering.nodes import order_histories
from tests.conftest import by_source

OFF = Boosts()


def weights(*values):
    return np.array(values, np.float32)


def meta_features(lengths, n_items):
    return MetaFeatures(np.log1p(np.array(lengths, np.float32)), np.zeros(n_items, np.float32))


def test_mix_by_hand():
    rows = {"mf": [1.0, 2.0, 3.0], "ease": [10.0, 20.0, 30.0], "popular": [7.0, 8.0, 9.0]}
    z = [np.array([rows.get(name, [0.0] * 3)], np.float32) for name in SOURCES]
    warm, tail = np.array([True, True, False]), np.array([False, True, False])
    gate = BlendWeights(warm=BlendModel(by_source(mf=0.5, ease=0.5)), cold=by_source(mf=1), shift=0.25)
    assert blend(z, gate, OFF, warm, tail, meta_features([5], 3)).tolist() == [[5.5, 11.0, 3.25]]
    assert blend(z, gate, OFF, warm, tail, meta_features([0], 3)).tolist() == [
        [7.0, 8.0, 9.0]
    ]  # no history: popularity alone
    turned = Boosts(cold_boost=0.5, cold_boost_scale=3.0, tail_boost=0.25, tail_boost_scale=2.0)
    lifted = blend(z, gate, turned, warm, tail, meta_features([5], 3))
    assert lifted.tolist() == [[5.5, 11.0 + 0.25 * 2.0, 3.25 + 0.5 * 3.0]]


def test_short_histories_have_weights_of_their_own():
    values = {"mf": 1, "ease": 10, "text": 100, "popular": 1000}
    z = [np.full((4, 1), values.get(name, 5), np.float32) for name in SOURCES]
    gate = BlendWeights(newcomer=((1, by_source(popular=1)), (3, by_source(ease=0.5, text=0.5))))
    found = blend(z, gate, OFF, np.array([True]), np.array([False]), meta_features([1, 2, 3, 4], 1))
    assert found.ravel().tolist() == [1000.0, 55.0, 55.0, 1.0]


def test_users_without_history_have_weights_of_their_own():
    z = [np.full((2, 2), float(at), np.float32) for at in range(len(SOURCES))]
    warm, none = np.array([True, False]), np.zeros(2, dtype=bool)
    gate = BlendWeights(newcomer=((0, by_source(profile=0.75, popular=0.25)),), shift=0.5)
    found = blend(z, gate, OFF, warm, none, meta_features([0, 1], 2))
    own = 0.75 * SOURCES.index("profile") + 0.25 * SOURCES.index("popular")
    assert found.tolist() == [[own, own], [0.0, 0.5]]  # cold items too; else mf and the shift


def test_weights_follow_popularity_and_activity():
    z = [np.full((1, 2), {"mf": 1.0, "ease": 10.0}.get(name, 0.0), np.float32) for name in SOURCES]
    found = BlendModel(
        base=by_source(mf=1, ease=1),
        by_popularity=by_source(mf=2),
        by_activity=by_source(ease=3),
        bias=0.5,
        activity_centre=1.0,
        activity_scale=2.0,
    ).score(z, MetaFeatures(weights(5.0), weights(-1.0, 1.0)))
    x_u = (5 - 1) / 2
    assert found.tolist() == [[1 * (1 - 2) + 10 * (1 + 3 * x_u) - 0.5, 1 * (1 + 2) + 10 * (1 + 3 * x_u) + 0.5]]


def test_bilinear_and_deep_by_hand():
    z, rng = [np.zeros((2, 3), np.float32)] * len(SOURCES), np.random.default_rng(0)
    users, items = rng.normal(size=(2, 5)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    A, C = rng.normal(size=(5, 2)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    told = MetaFeatures(np.ones(2, np.float32), np.zeros(3, np.float32), users, items)
    bilinear = BlendModel(by_source(), user_map=A, item_map=C).score(z, told)
    np.testing.assert_allclose(bilinear, users @ (A @ C.T) @ items.T, rtol=1e-5)
    deep = BlendModel(by_source(), user_map=A, item_map=C, out=weights(2.0, -1.0)).score(z, told)
    hidden = 1 / (1 + np.exp(-((users @ A)[:, None] + (items @ C)[None])))
    np.testing.assert_allclose(deep, hidden @ weights(2.0, -1.0), rtol=1e-5)


def test_the_head_holds_its_share_and_ties_stay_together():
    assert head(np.array([50, 30, 10, 10, 0]), 0.8).tolist() == [True, True, False, False, False]
    assert head(np.array([50, 29, 10, 10, 1]), 0.8).tolist() == [True, True, True, True, False]
    assert not head(np.zeros(3, np.int64), 0.8).any()


@pytest.fixture(scope="module")
def holdout(tables):
    return Holdout.build(tables.matrices["train"], tables.matrices["validation"], tables.items, 0)


@pytest.fixture(scope="module")
def scorer(holdout, tables):
    options = HybridEngineOptions(
        ials=IALSConfig(factors=8, iterations=5, lambda_item_feature=1.0),
        ease=EASEConfig(regularization=20, text_pull=20),
    )
    return Hybrid(options).fit(holdout.train, holdout.warm, tables.features)


def test_the_holdout_hides_pseudo_cold_b(holdout, tables):
    b = (tables.items["pseudo_cold"] == "B").to_numpy()
    assert holdout.train[:, np.flatnonzero(b)].nnz == 0
    assert holdout.history[:, np.flatnonzero(b)].nnz == 0
    assert holdout.seen[:, np.flatnonzero(b)].nnz > 0
    assert not (holdout.warm & b).any()
    assert not holdout.candidates[(tables.items["bucket"] == "cold").to_numpy()].any()


def test_newcomers_are_in_no_fit_but_keep_their_history(holdout):
    n_known = int((np.diff(holdout.seen.indptr) > 0).sum())
    assert len(holdout.newcomers) == round(0.1 * n_known)
    assert holdout.train[holdout.newcomers].nnz == 0
    assert holdout.history[holdout.newcomers].nnz > 0
    others = np.setdiff1d(np.arange(holdout.train.shape[0]), holdout.newcomers)
    assert (holdout.train[others] != holdout.history[others]).nnz == 0


def test_newcomers_reveal_their_first_items_in_time(tables):
    """Places come from train and validation rows alone, in the order of the timestamps, and reach the gate's fit."""
    places = order_histories(tables.interactions, tables.users, tables.items)
    known = tables.matrices["train"] + tables.matrices["validation"]
    assert ((places > 0) != (known > 0)).nnz == 0
    user = tables.users["user_id"].iloc[int(np.diff(places.indptr).argmax())]
    rows = tables.interactions.query("user_id == @user and split in ['train', 'validation']")
    earliest = rows.loc[rows["timestamp"].idxmin(), "item_id"]
    row = places[[tables.users["user_id"].tolist().index(user)]]
    assert tables.items["item_id"].iloc[row.indices[row.data.argmin()]] == earliest
    built = Holdout.build(tables.matrices["train"], tables.matrices["validation"], tables.items, 0, places)
    assert (built.order != keep_items(places, built.warm)).nnz == 0
    without = Holdout.build(tables.matrices["train"], tables.matrices["validation"], tables.items, 0)
    assert ((without.order > 0) != (built.order > 0)).nnz == 0


def test_newcomers_weights_come_from_their_own_lists(scorer, holdout):
    """Where text and behaviour share clusters, one item says more about a newcomer than popularity does."""
    options = BlendOptions(few_shot_lengths=[1, 5])
    gate = fit_few_shot_weights(scorer, BlendWeights(), holdout, options, 10, 0)
    assert [longest for longest, _ in gate.newcomer] == [1, 5]
    for _, found in gate.newcomer:
        assert np.abs(found).sum() == pytest.approx(1)
        assert found[-1] < found[:-1].max()


@pytest.mark.parametrize(
    ("planted", "speak"),
    [({"popular": 2.0}, {"popular"}), ({"popular": 1.5, "profile": 1.0}, {"popular", "profile"}), ({"mf": 2.0}, None)],
)
def test_few_users_weights_are_the_simplest_that_explain_them(planted, speak):
    cells = planted_cells(lambda z, told: sum(w * z[SOURCES.index(name)] for name, w in planted.items()), n_users=800)
    found = choose_weights(cells, BlendOptions(), 10, 0)
    assert np.abs(found).sum() == pytest.approx(1)
    assert SOURCES[int(np.abs(found).argmax())] == max(planted, key=planted.get)
    if speak:
        assert {name for name, weight in zip(SOURCES, found, strict=True) if abs(weight) > 0.1} == speak


def test_sources_are_standardised_over_warm_items(scorer, holdout):
    known = np.flatnonzero(np.diff(holdout.train.indptr) > 0)[:20]
    for name, z in zip(SOURCES, scorer.standardised(holdout.train[known]), strict=True):
        if name in ("context", "profile"):  # nobody tells any
            assert not z.any()
            continue
        np.testing.assert_allclose(z[:, scorer.warm].mean(axis=1), 0, atol=1e-4)
        np.testing.assert_allclose(z[:, scorer.warm].std(axis=1), 1, rtol=1e-3)


@pytest.fixture(scope="module")
def cells(scorer, holdout):
    return known_cells(scorer, holdout, BlendOptions(fusions=["deep"]), 0)


def planted_cells(rule, n_users=3000, n_items=60, seed=0):
    """Cells whose positives are drawn by a softmax over ``rule(z, x_i, x_u)``."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(len(SOURCES), n_users, n_items)).astype(np.float32)
    popularity = np.linspace(-1.5, 1.5, n_items).astype(np.float32)
    activity = rng.normal(size=n_users).astype(np.float32)
    users, items = rng.normal(size=(n_users, 3)), rng.normal(size=(n_items, 3))
    told = MetaFeatures(activity, popularity, users.astype(np.float32), items.astype(np.float32))
    scores = rule(z, told)
    gumbel = -np.log(-np.log(rng.random((n_users, n_items))))
    wanted = (np.arange(n_users), (scores + gumbel).argmax(axis=1))
    positives = sparse.csr_matrix((np.ones(n_users, np.float32), wanted), shape=scores.shape)
    return BlendTrainingSet(z, np.ones(scores.shape, bool), positives, told, np.arange(n_items))


def test_softmax_finds_the_planted_weights():
    cells = planted_cells(lambda z, told: 1.2 * z[0] + 0.6 * z[1] - 0.6 * z[-1])
    found = fusion.fit(cells, "linear", BlendOptions(l2=0.0), 0)
    np.testing.assert_allclose(found.base, by_source(mf=0.5, text_mf=0.25, popular=-0.25), atol=0.05)


def test_a_gate_finds_planted_slopes_and_is_taken_where_they_are():
    def rule(z, told):
        return (1 + 0.8 * told.popularity) * z[0] + (1 - 0.8 * told.popularity) * z[1] + 0.5 * told.popularity

    options = BlendOptions(l2=0.0)
    found = fusion.fit(planted_cells(rule), "gated", options, 0)
    np.testing.assert_allclose(found.by_popularity[:2] / found.base[:2], [0.8, -0.8], atol=0.15)
    assert found.bias / found.base[0] == pytest.approx(0.5, abs=0.15)
    kept, rows = choose_fusion(planted_cells(rule), options, 10, 0)
    assert kept.by_popularity.any()
    assert [row["kept"] for row in rows] == [False, True]
    assert rows[1]["low"] > 0


def test_the_simplest_member_stays_where_nothing_more_is_to_be_found():
    """The rule is a 95 % interval: of five catalogues without slopes, one may look as if it had some."""
    stayed = 0
    for seed in range(5):
        cells = planted_cells(lambda z, told: z[0] + z[1], n_users=1000, seed=seed)
        kept, rows = choose_fusion(cells, BlendOptions(), 10, 0)
        assert [row["kept"] for row in rows] == [not kept.by_popularity.any(), bool(kept.by_popularity.any())]
        stayed += not kept.by_popularity.any()
    assert stayed >= 4


@pytest.mark.parametrize("kind", ["bilinear", "deep"])
def test_members_that_read_sides_find_what_no_source_says(kind):
    cells = planted_cells(lambda z, told: z[0] + 2.0 * told.users @ told.items.T)
    options = BlendOptions(rank=8, epochs=60, l2=1e-5)
    plain, found = (fusion.fit(cells, k, options, 0) for k in ("linear", kind))
    before, after = (np.nanmean(cells.measure(f.score(list(cells.z), cells.meta_features), 10)) for f in (plain, found))
    assert after > 1.5 * before


@pytest.mark.parametrize("kind", ["linear", "gated", "bilinear", "deep"])
def test_what_is_learnt_is_what_is_served(kind, cells):
    """The torch model and its numpy export score alike, up to the unit that the export divides by."""
    model = fusion._Model(kind, cells, np.ones(len(SOURCES), bool), 3, 0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
        expected = model(torch.from_numpy(cells.z), slice(0, cells.z.shape[1])).numpy()
        unit = float(model.base.abs().sum())
    np.testing.assert_allclose(
        model.export().score(list(cells.z), cells.meta_features) * unit, expected, rtol=1e-3, atol=1e-3
    )


def test_a_source_that_must_not_speak_stays_silent(cells):
    assert fusion.fit(cells, "linear", BlendOptions(), 0, without=("popular",)).base[-1] == 0


def test_a_source_that_tells_no_items_apart_has_no_weight(cells):
    assert cells.silent() == ("context", "profile")
    found = fusion.fit(cells, "linear", BlendOptions(), 0, climb_to=10).base
    assert found[[SOURCES.index(name) for name in cells.silent()]].tolist() == [0, 0]


def test_the_climb_ends_no_lower_than_the_loss_and_every_source_alone():
    """Half of the users want the top of source 0, nearly half its bottom: the loss must give it a small weight."""
    rng, n = np.random.default_rng(0), 3000
    cells = planted_cells(lambda z, told: z[0])
    wanted = np.where(rng.random(n) < 0.55, cells.z[0].argmax(axis=1), cells.z[0].argmin(axis=1))
    cells.z[1][np.arange(n), wanted] += 1.0
    positives = sparse.csr_matrix((np.ones(n, np.float32), (np.arange(n), wanted)), shape=cells.shown.shape)
    cells = replace(cells, positives=positives)

    def measured(base):
        return float(np.nanmean(cells.measure(BlendModel(base).score(list(cells.z), cells.meta_features), 10)))

    start = fusion.fit(cells, "linear", BlendOptions(), 0, without=("popular",))
    free = np.array([name != "popular" for name in SOURCES])
    found, again = (fusion.coordinate_ascent(cells, start, 10, free) for _ in range(2))
    alone = [measured(only(name)) for name in SOURCES[:-1]]
    assert measured(found.base) > max(measured(start.base) + 0.02, *(value - 2e-3 for value in alone))
    assert found.base[-1] == 0
    assert np.abs(found.base).sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(found.base, again.base)


def test_without_positives_all_that_speak_weigh_alike(cells):
    nothing = replace(cells, positives=sparse.csr_matrix(cells.positives.shape, dtype=np.float32))
    even = [(name not in cells.silent()) / 6 for name in SOURCES]
    assert fusion.fit(nothing, "linear", BlendOptions(), 0, climb_to=10).base.tolist() == pytest.approx(even)


def test_cells_are_the_scores_that_the_engine_gives(scorer, holdout, cells):
    """Collected in blocks, mixed by the gate: the same as scoring the histories."""
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    gate = BlendWeights(
        warm=BlendModel(by_source(mf=0.5, ease=0.2, text=0.2, popular=0.1)), cold=by_source(mf=0.5, ease=0.5), shift=0.3
    )
    columns = np.flatnonzero(holdout.candidates)
    ours = blend(list(cells.z), gate, OFF, scorer.warm[columns], scorer.tail[columns], cells.meta_features)
    theirs = scorer.with_gate(gate).score(holdout.history[users])[:, columns]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_fewer_cells_are_fewer_users_and_the_same_ones(scorer, holdout):
    options = BlendOptions(max_cells=20 * int(holdout.candidates.sum()))
    small, again = (known_cells(scorer, holdout, options, 0) for _ in range(2))
    assert small.z.shape[1] == 20
    np.testing.assert_array_equal(small.z, again.z)


def test_the_price_lists_start_at_the_accuracy_ranking(scorer, holdout):
    options = BlendOptions(shifts=[0.0, 0.5], max_price=0.05, max_tail_price=0.02, steps=4)
    fitted = fit_gate(scorer, holdout, options, 10, 0)
    prices = {boost: [r for r in fitted.prices if r["boost"] == boost] for boost in ("cold_boost", "tail_boost")}
    assert [row["value"] for row in prices["cold_boost"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    select_operating_point = {
        boost: max(row["value"] for row in rows if row["accuracy"] >= (1 - share) * rows[0]["accuracy"])
        for (boost, rows), share in zip(prices.items(), (0.05, 0.02), strict=True)
    }
    assert fitted.boosts == Boosts(**select_operating_point)
    for rows in prices.values():
        assert rows[-1]["exposed"] >= rows[0]["exposed"]
        assert rows[-1]["accuracy"] <= rows[0]["accuracy"]
    at_zero = scorer.with_gate(fitted.gate)
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    measured = at_zero.with_boosts(OFF).score(holdout.history[users])
    np.testing.assert_array_equal(at_zero.score(holdout.history[users]), measured)


def test_dials_lift_their_items_and_no_others(scorer, holdout):
    history = holdout.history[np.flatnonzero(np.diff(holdout.history.indptr) > 0)[:5]]
    base = scorer.score(history)
    lifted = scorer.with_boosts(Boosts(tail_boost=0.5)).score(history) - base
    assert (lifted[:, ~scorer.tail] == 0).all()
    np.testing.assert_allclose(lifted[:, scorer.tail], 0.5 * Boosts().tail_boost_scale, rtol=1e-4)
    lifted = scorer.with_boosts(Boosts(cold_boost=1.0)).score(history) - base
    assert (lifted[:, scorer.warm] == 0).all()
    np.testing.assert_allclose(lifted[:, ~scorer.warm], Boosts().cold_boost_scale, rtol=1e-4)


def test_what_everybody_gets_by_hand():
    rows = {"mf": [1.0, 2.0, 3.0], "popular": [7.0, 8.0, 9.0]}
    z = [np.array([rows.get(name, [0.0] * 3)] * 2, np.float32) for name in SOURCES]
    gate = BlendWeights(warm=BlendModel(by_source(mf=1)), cold=by_source(mf=2), shift=0.25)
    warm, none, common = np.array([True, True, False]), np.zeros(3, bool), np.array([4.0, 0.0, 8.0], np.float32)
    found = blend(z, gate, Boosts(popularity_debias=0.5), warm, none, meta_features([3, 0], 3), common)
    # Who has no history keeps the list of everybody: popularity alone.
    assert found.tolist() == [[1.0 - 0.5 * 4.0, 2.0, 2 * 3.0 + 0.25 - 0.5 * 8.0], [7.0, 8.0, 9.0]]
    with pytest.raises(ValueError, match="popularity_debias is set, but not what everybody gets"):
        blend(z, gate, Boosts(popularity_debias=0.5), warm, none, meta_features([3, 0], 3))


def test_everybody_gets_the_mean_of_what_users_get(scorer, holdout):
    """Exactly so for weights that depend on nothing, over all users with a history, where these are few."""
    train = holdout.train
    users = np.flatnonzero(np.diff(train.indptr) > 0)
    assert len(users) <= 512
    gate = BlendWeights(
        warm=BlendModel(by_source(mf=0.3, ease=0.5, popular=0.2)), cold=by_source(mf=0.7, text=0.3), shift=-0.5
    )
    fixed = scorer.with_gate(gate)
    scores = fixed.with_boosts(OFF).score(train[users], users)
    np.testing.assert_allclose(fixed.population_score(), scores.mean(axis=0), atol=2e-5)
    personal = fixed.with_boosts(Boosts(popularity_debias=1.0)).score(train[users], users)
    np.testing.assert_allclose(personal.mean(axis=0), np.zeros(train.shape[1]), atol=5e-5)
    nobody = sparse.csr_matrix(np.zeros((1, train.shape[1]), np.float32))
    expected = fixed.with_boosts(OFF).score(nobody)
    np.testing.assert_array_equal(fixed.with_boosts(Boosts(popularity_debias=1.0)).score(nobody), expected)


@pytest.mark.parametrize("kind", ["gated", "bilinear", "deep"])
def test_everybody_gets_something_by_every_member_of_the_family(kind, scorer, holdout):
    options = BlendOptions(fusions=[kind], epochs=2)
    gate, _ = fit_weights(known_cells(scorer, holdout, options, 0), holdout, options, 10, 0)
    found = scorer.with_gate(gate).population_score()
    assert found.shape == (holdout.train.shape[1],)
    assert np.isfinite(found).all()
    assert found.std() > 0


def test_less_of_what_everybody_gets_covers_more(scorer, holdout):
    options = BlendOptions(shifts=[0.0], steps=4)
    cells = known_cells(scorer, holdout, options, 0)
    gate, _ = fit_weights(cells, holdout, options, 10, 0)
    _, boosts, prices = fit_shift(scorer, gate, cells, holdout, options, 3)
    covered = [row["exposed"] for row in prices if row["boost"] == "popularity_debias"]
    assert covered == sorted(covered)
    assert covered[-1] > 1.2 * covered[0]
    assert boosts.popularity_debias == 0


def test_coverage_is_the_share_of_items_on_any_list(cells):
    scores = np.zeros(cells.shown.shape, np.float32)
    scores[:, 3], scores[0, 5] = 2.0, 3.0
    shown = replace(cells, shown=np.ones_like(cells.shown))
    assert shown.coverage(scores, 1) == 2 / scores.shape[1]
    assert shown.coverage(scores, scores.shape[1]) == 1.0
    assert replace(cells, shown=np.zeros_like(cells.shown)).coverage(scores, 5) == 0.0


def test_new_items_get_of_everybody_what_those_with_similar_texts_get(scorer, tables):
    warm = np.flatnonzero(scorer.warm)[:3]
    scorer.population_score()
    grown = scorer.with_new_items(tables.features[warm])
    assert grown.population_score().shape == (scorer.n_items + 3,)
    assert grown.common.shape == (len(SOURCES), scorer.n_items + 3)
    np.testing.assert_array_equal(grown.common[:, : scorer.n_items], scorer.common)
    there = scorer.kernel.predict(tables.features[warm], scorer.common[:, scorer.kernel.landmarks].T.copy())
    np.testing.assert_allclose(grown.common[:, scorer.n_items :], there.T, rtol=1e-6)


def test_a_dial_that_reaches_twice_as_far_has_its_price_at_half_the_setting(scorer, holdout):
    options = BlendOptions(shifts=[0.0], steps=4)
    cells = known_cells(scorer, holdout, options, 0)
    gate, _ = fit_weights(cells, holdout, options, 10, 0)
    wide = scorer.with_boosts(Boosts(tail_boost_scale=2.0, cold_boost_scale=2.0))
    found = {}
    for name, at in (("wide", wide), ("plain", scorer)):
        _, boosts, prices = fit_shift(at, gate, cells, holdout, options, 10)
        assert (boosts.tail_boost_scale, boosts.cold_boost_scale) == ((2.0, 2.0) if name == "wide" else (1.0, 1.0))
        found[name] = {(row["boost"], row["value"]): (row["accuracy"], row["exposed"]) for row in prices}
    for boost in ("cold_boost", "tail_boost"):
        assert found["wide"][boost, 0.5] == found["plain"][boost, 1.0] != found["plain"][boost, 0.0]


def test_how_far_dials_reach_is_configured(tables, holdout):
    options = HybridOptions(boosts={"tail_boost_scale": 2.0, "head_share": 0.5})
    found = fit_sources(holdout, tables.features, {"ials": {"factors": 8}}, options, 0)
    assert found.options.boosts == Boosts(tail_boost_scale=2.0, head_share=0.5)
    with pytest.raises(ConfigurationError, match=r"hybrid_cf\.boosts\.tail_boost"):
        parse(HybridOptions, {"boosts": {"tail_boost": 0.5}}, "hybrid_cf")


def test_the_shift_is_the_most_accurate_one(scorer, holdout):
    options = BlendOptions(shifts=[0.0, 50.0], steps=1)
    cells = known_cells(scorer, holdout, options, 0)
    gate, _ = fit_weights(cells, holdout, options, 10, 0)
    # Fifty deviations would list nothing but cold items.
    assert fit_shift(scorer, gate, cells, holdout, options, 10)[0].shift == 0.0
    # Far below the warm items nothing changes any more: of equally accurate shifts the largest is taken.
    options = BlendOptions(shifts=[-1000.0, -900.0], steps=1)
    assert fit_shift(scorer, gate, cells, holdout, options, 10)[0].shift == -900.0


def test_unequal_budgets_are_refused():
    with pytest.raises(ValueError, match="same number of trials"):
        HybridOptions(trials={"ease": [{}, {}], "irspack": [{}]})


def test_misspelt_model_in_trials(holdout, tables):
    with pytest.raises(ConfigurationError, match=r"hybrid_cf.trials names \['eese'\]"):
        select_baselines(holdout, tables.features, HybridOptions(trials={"eese": [{}]}), 0)


def test_strangers_get_the_popular_items(scorer, holdout):
    nobody = sparse.csr_matrix((1, holdout.train.shape[1]), dtype=np.float32)
    counts = np.asarray(holdout.train.sum(axis=0)).ravel()
    assert scorer.score(nobody)[0].argmax() == counts.argmax()


def test_a_large_catalogue_does_without_quadratic_arms(tables, holdout):
    ials = IALSConfig(factors=8, iterations=5, lambda_item_feature=1.0)
    small = {"ease": EASEConfig(max_items=10), "sequence": SLITConfig(max_items=10)}
    with pytest.raises(BadInputError, match=r"set hybrid_cf.without: \[ease\]"):
        Hybrid(HybridEngineOptions(ials=ials, **small)).fit(holdout.train, holdout.warm, tables.features)
    with pytest.raises(BadInputError, match=r"set hybrid_cf.without: \[sequence\]"):
        Hybrid(HybridEngineOptions(ials=ials, without=("ease",), **small)).fit(
            holdout.train, holdout.warm, tables.features
        )
    options = HybridEngineOptions(ials=ials, without=("ease", "sequence"), **small)
    gate = BlendWeights(warm=BlendModel(by_source(mf=0.5, ease=0.2, sequence=0.1, text=0.1, popular=0.1)))
    found = Hybrid(options, 0, gate).fit(holdout.train, holdout.warm, tables.features)
    z = dict(zip(SOURCES, found.standardised(holdout.history[:5]), strict=True))
    assert not z["ease"].any()
    assert not z["sequence"].any()
    again = Hybrid.from_state(found.state(), options)
    np.testing.assert_allclose(again.score(holdout.history[:5]), found.score(holdout.history[:5]), rtol=1e-4, atol=1e-5)
    assert found.with_new_items(tables.features[:2]).n_items == found.n_items + 2
    plain = HybridOptions(without=["ease"])
    assert set(BASELINES) - set(ladder(plain)) == {"ease", "text_ease"}
