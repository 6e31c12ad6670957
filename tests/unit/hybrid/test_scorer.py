"""The fitted hybrid: standardised sources, one tail, the population score, items that come and change."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor import columns as c
from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid.blend import BlendModel
from tailor.hybrid.click import ClickHead
from tailor.hybrid.config import BlendOptions, Boosts
from tailor.hybrid.operating_point import fit_weights, known_users
from tailor.hybrid.scorer import scorer_of
from tailor.hybrid.sources import SOURCES
from tailor.models.base import AcceptsNewItems, BlendsSources, Boostable, ComparesItems, PartialFit, Query, ReadsTexts
from tests.conftest import by_source
from tests.unit.hybrid.conftest import BLEND, nobody, of_one_source, recipe


def wider(query, n_items):
    """The same histories over a larger catalogue."""

    def widened(matrix):
        if matrix is None:
            return None
        return sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=(len(query), n_items))

    return Query.of(widened(query.history), widened(query.order))


@pytest.fixture(scope="module")
def some(holdout):
    """Validation users with a history."""
    users = np.flatnonzero(holdout.histories.lengths > 0)[:20]
    return holdout.histories.take(users)


class TestScores:
    def test_sources_are_standardised_over_warm_items(self, scorer, some):
        for name, z in zip(SOURCES, scorer.standardised(some), strict=True):
            if name in ("contextual", "demographic", "user_text"):  # nothing is known of users and moments
                assert not z.any()
                continue
            np.testing.assert_allclose(z[:, scorer.warm].mean(axis=1), 0, atol=1e-4)
            np.testing.assert_allclose(z[:, scorer.warm].std(axis=1), 1, rtol=1e-3)

    def test_cold_items_move_no_unit(self, scorer):
        scores = np.zeros((1, scorer.n_items), np.float32)
        scores[:, scorer.warm] = np.resize([1.0, 3.0], scorer.warm.sum())
        scores[:, ~scorer.warm] = 1000.0
        mean, deviation = scorer.mean_and_deviation(scores)
        warm = scores[:, scorer.warm]
        assert mean.item() == pytest.approx(warm.mean())
        assert deviation.item() == pytest.approx(warm.std())

    def test_a_source_that_says_the_same_of_all_divides_by_1(self, scorer):
        assert scorer.mean_and_deviation(np.full((2, scorer.n_items), 5.0, np.float32))[1].tolist() == [[1.0], [1.0]]

    def test_users_without_history_get_the_popular_items(self, scorer, holdout):
        counts = np.asarray(holdout.interactions.sum(axis=0)).ravel()
        assert scorer.score(nobody(scorer.n_items))[0].argmax() == counts.argmax()

    def test_one_by_one_is_the_same_as_together(self, blended, queries):
        whole = blended.score(queries.take(np.arange(9)))
        alone = np.vstack([blended.score(queries.take(np.array([user]))) for user in range(9)])
        np.testing.assert_allclose(alone, whole, rtol=1e-4, atol=1e-5)

    def test_another_order_of_the_sources_changes_no_score(self, blended, queries, tables):
        names = list(SOURCES)[::-1]
        reverse = recipe().config.model_copy(update={"sources": {n: blended.recipe.config.sources[n] for n in names}})
        again = type(blended.recipe)(reverse, 0, BLEND).fit(tables.train_set)
        assert again.source_names == tuple(names)
        part = queries.take(np.arange(30))
        np.testing.assert_allclose(again.score(part), blended.score(part), rtol=1e-4, atol=1e-5)

    def test_rows_that_must_not_count_change_nothing(self, scorer, holdout, tables):
        """Pseudo-cold B and the rows of few-shot users are in no fit."""
        train = tables.matrices["train"].tolil()
        b = np.flatnonzero((tables.items[c.PSEUDO_COLD] == "B").to_numpy())
        known = np.flatnonzero(holdout.histories.lengths > 0)
        train[np.ix_(known[:40], b)] = 1.0
        warm = np.flatnonzero(holdout.warm)
        train[holdout.few_shot_users[0], warm] = 1.0
        again = type(holdout).build(
            sparse.csr_matrix(train),
            tables.matrices["validation"],
            tables.items,
            0,
            order=None,
            reveal_order=tables.reveal_order,
        )
        assert again.few_shot_users.tolist() == holdout.few_shot_users.tolist()
        order = holdout.train_set(tables.features).order
        refitted = recipe(blend=BLEND).fit(replace(again.train_set(tables.features), order=order))
        part = holdout.histories.take(np.setdiff1d(known[:60], holdout.few_shot_users))
        np.testing.assert_array_equal(refitted.score(part), scorer.with_blend(BLEND).score(part))


class TestOneTail:
    def test_what_the_boost_lifts_is_what_the_metric_counts(self, scorer, holdout, tables, some):
        """One mask, from the item table's bucket: in the train set, in the scorer, and in what is measured."""
        bucket = ((tables.items[c.BUCKET] == c.TAIL) & (tables.items[c.PSEUDO_COLD] != "B")).to_numpy()
        assert 0 < bucket.sum() < holdout.warm.sum()
        np.testing.assert_array_equal(holdout.tail, bucket)
        np.testing.assert_array_equal(holdout.train_set(tables.features).tail, bucket)
        np.testing.assert_array_equal(scorer.tail, bucket)
        lifted = scorer.with_boosts(Boosts(tail_boost=0.5)).score(some) - scorer.score(some)
        np.testing.assert_array_equal((lifted != 0).all(axis=0), bucket)
        np.testing.assert_allclose(lifted[:, bucket], 0.5 * Boosts().tail_boost_scale, rtol=1e-4)

    def test_it_is_the_tail_that_is_measured(self, scorer, holdout):
        """A model that puts the tail first has its tail figure, one that puts it last has none."""
        up = holdout.measure(scorer.with_boosts(Boosts(tail_boost=1.0, tail_boost_scale=1000.0)), 10)
        plain = holdout.measure(scorer, 10)
        assert up[c.TAIL] > plain[c.TAIL]
        assert up[c.COLD] == plain[c.COLD]

    def test_the_cold_boost_lifts_items_without_interactions_alone(self, scorer, some):
        lifted = scorer.with_boosts(Boosts(cold_boost=1.0)).score(some) - scorer.score(some)
        assert (lifted[:, scorer.warm] == 0).all()
        np.testing.assert_allclose(lifted[:, ~scorer.warm], Boosts().cold_boost_scale, rtol=1e-4)

    def test_boosts_at_0_are_bit_for_bit_the_accuracy_ranking(self, scorer, some):
        wide = scorer.with_boosts(Boosts(tail_boost_scale=3.0, cold_boost_scale=3.0))
        assert wide.score(some).tobytes() == scorer.score(some).tobytes()

    def test_a_request_moves_the_boosts_that_it_names(self, blended):
        moved = blended.with_boosts(Boosts(cold_boost=0.2, cold_boost_scale=2.0)).boosted({"tail_boost": 0.5})
        assert moved.boosts == Boosts(cold_boost=0.2, cold_boost_scale=2.0, tail_boost=0.5)
        with pytest.raises(ConfigurationError, match=r"'boosts\.tail_weight' is called 'boosts.tail_boost' now"):
            blended.boosted({"tail_weight": 0.5})
        with pytest.raises(ConfigurationError, match=r"'boosts\.tail_boost' = 1\.5: Input should be less"):
            blended.boosted({"tail_boost": 1.5})


def predicted_means(scorer, features):
    """Σ a_j z_j + (1 - Σ a_j) z_0: means of mixtures of raw scores, that of a score of 0 beside."""
    of_zero = np.ones(len(scorer.imputer.landmarks))
    shares = np.vstack([part for _, part in scorer.imputer.blocks(features)])
    mixed = scorer.mean_scores[:, scorer.imputer.landmarks] @ shares.T
    return mixed + scorer.mean_zeros[:, None] * (1 - shares @ of_zero)


class TestPopulationScore:
    FIXED = of_one_source(
        "ials",
        warm=BlendModel(by_source(ials=0.3, ease=0.5, popular=0.2)),
        cold=by_source(ials=0.7, text_knn=0.3),
        cold_shift=-0.5,
    )

    def test_it_is_the_mean_of_what_users_get(self, scorer, holdout):
        """Exactly so for weights that depend on nothing, over all users with a history, where these are few."""
        users = np.flatnonzero(np.diff(holdout.interactions.indptr) > 0)
        assert len(users) <= 512
        fixed, query = scorer.with_blend(self.FIXED), holdout.histories.take(users)
        warm, expected = scorer.warm, fixed.score(query).mean(axis=0)
        np.testing.assert_allclose(fixed.population_score[warm], expected[warm], atol=2e-5)
        np.testing.assert_allclose(fixed.population_score[~warm], expected[~warm], atol=0.05)
        personal = fixed.with_boosts(Boosts(popularity_debias=1.0)).score(query)
        np.testing.assert_allclose(personal.mean(axis=0)[warm], 0, atol=5e-5)

    def test_users_without_history_keep_theirs(self, scorer):
        fixed, query = scorer.with_blend(self.FIXED), nobody(scorer.n_items)
        debiased = fixed.with_boosts(Boosts(popularity_debias=1.0))
        np.testing.assert_array_equal(debiased.score(query), fixed.score(query))

    def test_it_stands_at_boosts_of_0_and_follows_the_blend(self, scorer):
        fixed = scorer.with_blend(self.FIXED)
        boosted = fixed.with_boosts(Boosts(cold_boost=1.0, tail_boost=1.0, popularity_debias=0.5))
        np.testing.assert_array_equal(boosted.population_score, fixed.population_score)
        other = boosted.with_blend(of_one_source("popular"))
        assert not np.allclose(other.population_score, fixed.population_score)

    def test_it_is_of_the_mean_activity(self, scorer):
        """A slope on activity counts as much as it does for the user of mean activity."""
        slope = of_one_source("ials", warm=BlendModel(by_source(ials=1), by_activity=by_source(ease=1)))
        z = dict(zip(SOURCES, scorer.mean_scores, strict=True))
        expected = z["ials"] + scorer.mean_activity * z["ease"]
        warm = scorer.warm
        np.testing.assert_allclose(
            scorer.with_blend(slope).population_score[warm], expected[warm], rtol=1e-4, atol=1e-5
        )

    def test_it_is_of_the_mean_activity_where_vectors_are_read_too(self, scorer):
        """Maps of zeros add nothing: the score is that without them."""
        warm = BlendModel(by_source(ials=1), by_activity=by_source(ease=1))
        meta = scorer.meta_features(nobody(scorer.n_items), vectors=True)
        maps = {"user_map": np.zeros((meta.users.shape[1], 2)), "item_map": np.zeros((meta.items.shape[1], 2))}
        reading = of_one_source("ials", warm=replace(warm, **{k: v.astype(np.float32) for k, v in maps.items()}))
        assert reading.warm.reads_vectors
        plain = scorer.with_blend(of_one_source("ials", warm=warm)).population_score
        np.testing.assert_allclose(scorer.with_blend(reading).population_score, plain, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("kind", ["gated", "bilinear", "deep"])
    def test_every_member_of_the_family_has_one(self, kind, scorer, holdout):
        options = BlendOptions(models=[kind], epochs=2)
        weights, _ = fit_weights(known_users(scorer, holdout, options, 0), holdout, options, 10, 0)
        score = scorer.with_blend(weights).population_score
        assert score.shape == (scorer.n_items,)
        assert np.isfinite(score).all()
        assert score.std() > 0


class TestNewItems:
    def test_scores_of_other_items_stay(self, blended, tables, queries):
        before = blended.score(queries.take(np.arange(9)))
        grown = blended.with_new_items(tables.features[:3])
        after = grown.score(wider(queries.take(np.arange(9)), grown.n_items))
        np.testing.assert_allclose(after[:, :-3], before, rtol=1e-4, atol=1e-5)

    def test_their_popularity_is_that_of_an_item_that_nobody_has_taken(self, blended, tables):
        """A blend of popularity alone tells a wrong one apart."""
        cold = np.flatnonzero(~tables.warm)
        assert blended.popularity_of_none == pytest.approx(blended.popularity[cold[0]], rel=1e-6)
        grown = blended.with_new_items(tables.features[cold[:1]])
        assert grown.popularity[-1] == pytest.approx(blended.popularity[cold[0]], rel=1e-6)
        assert (grown.popularity[:-1] == blended.popularity).all()
        assert blended.popularity_of_none < blended.popularity[tables.warm].min()
        assert not grown.warm[-1]
        assert not grown.tail[-1]

    def test_their_chance_of_a_click_is_that_of_a_cold_item(self, blended, tables, queries):
        """The click head reads popularity and whether an item is cold: a wrong popularity shows."""
        clicking = blended.with_click(ClickHead(np.array([-2.0, 1.0, 0.0, 0.1, 0.5, -0.5])))
        cold = np.flatnonzero(~tables.warm)[:2]
        grown = clicking.with_new_items(tables.features[cold])
        part = queries.take(np.arange(5))
        there = clicking.click_probability(part)[:, cold]
        np.testing.assert_allclose(grown.click_probability(wider(part, grown.n_items))[:, -2:], there, rtol=1e-2)

    def test_an_item_that_joins_is_what_a_cold_item_of_the_fit_is(self, blended, tables, queries):
        """In every source, whether items join one by one or together."""
        cold = np.flatnonzero(~tables.warm)[:2]
        grown = blended.with_new_items(tables.features[cold[:1]]).with_new_items(tables.features[cold[1:]])
        part = queries.take(np.arange(9))
        wide = wider(part, grown.n_items)
        for name, before, after in zip(SOURCES, blended.standardised(part), grown.standardised(wide), strict=True):
            np.testing.assert_allclose(after[:, :-2], before, atol=1e-5, err_msg=name)
            np.testing.assert_allclose(after[:, -2:], before[:, cold], atol=1e-3, err_msg=name)

    @pytest.mark.parametrize("name", SOURCES)
    def test_without_the_population_too(self, name, blended, tables, queries):
        """What is subtracted for popularity is the same for an item that joins and one of the fit with its text."""
        cold, part = np.flatnonzero(~tables.warm)[:2], queries.take(np.arange(9))
        debiased = blended.with_blend(of_one_source(name)).with_boosts(Boosts(popularity_debias=1.0))
        grown = debiased.with_new_items(tables.features[cold])
        np.testing.assert_allclose(
            grown.score(wider(part, grown.n_items))[:, -2:], debiased.score(part)[:, cold], atol=1e-3
        )

    def test_the_population_knows_them_by_their_texts(self, scorer, tables):
        warm = np.flatnonzero(scorer.warm)[:3]
        scorer.population_score  # noqa: B018  (what is cached must not be carried over)
        grown = scorer.with_new_items(tables.features[warm])
        assert grown.population_score.shape == (scorer.n_items + 3,)
        assert grown.mean_scores.shape == (len(SOURCES), scorer.n_items + 3)
        np.testing.assert_array_equal(grown.mean_scores[:, : scorer.n_items], scorer.mean_scores)
        there, cold = predicted_means(scorer, tables.features[warm]), np.flatnonzero(~scorer.warm)[0]
        for name, means, predicted in zip(SOURCES, grown.mean_scores, there, strict=True):
            untouched = np.full(3, means[cold])
            expected = predicted if SOURCES[name].text_dependent else untouched
            np.testing.assert_allclose(means[scorer.n_items :], expected, rtol=1e-5, atol=1e-6, err_msg=name)

    def test_the_scorer_that_they_join_is_not_changed(self, blended, tables, queries):
        part = queries.take(np.arange(5))
        before, state = blended.score(part).copy(), {k: v.copy() for k, v in blended.state().items()}
        blended.with_new_items(tables.features[:2])
        cold = np.flatnonzero(~tables.warm)[:2]
        blended.with_item_texts(np.r_[cold, np.flatnonzero(tables.warm)[:2]], tables.features[:4])
        np.testing.assert_array_equal(blended.score(part), before)
        for name, value in blended.state().items():
            np.testing.assert_array_equal(value, state[name], err_msg=name)


class TestOtherTexts:
    def test_a_cold_item_becomes_what_its_new_text_says(self, blended, tables, queries):
        cold = np.flatnonzero(~tables.warm)[:2]
        swapped = blended.with_item_texts(cold, tables.features[cold[::-1]])
        part = queries.take(np.arange(9))
        np.testing.assert_allclose(
            swapped.score(part)[:, cold], blended.score(part)[:, cold[::-1]], rtol=1e-3, atol=1e-3
        )
        np.testing.assert_array_equal(swapped.item_features[cold], tables.features[cold[::-1]])
        there = predicted_means(blended, tables.features[cold[::-1]])
        for name, swapped_means, before, predicted in zip(
            SOURCES, swapped.mean_scores, blended.mean_scores, there, strict=True
        ):
            expected = predicted if SOURCES[name].text_dependent else before[cold]
            np.testing.assert_allclose(swapped_means[cold], expected, rtol=1e-5, atol=1e-6, err_msg=name)

    def test_a_known_item_keeps_its_place_in_behaviour(self, blended, tables, queries):
        warm = np.flatnonzero(tables.warm)[:1]
        far = -tables.features[warm]
        changed, part = blended.with_item_texts(warm, far), queries.take(np.arange(9))
        for name in SOURCES:
            before, after = blended.sources[name].score(part)[:, warm], changed.sources[name].score(part)[:, warm]
            assert (before == after).all() == (name not in ("text_knn", "recent_text")), name

    def test_a_known_item_beside_a_cold_one_keeps_its_place(self, blended, tables, queries):
        rows = np.r_[np.flatnonzero(tables.warm)[:1], np.flatnonzero(~tables.warm)[:1]]
        changed, part = blended.with_item_texts(rows, -tables.features[rows]), queries.take(np.arange(9))
        before, after = (model.sources["ials"].score(part)[:, rows] for model in (blended, changed))
        np.testing.assert_array_equal(after[:, 0], before[:, 0])
        assert (after[:, 1] != before[:, 1]).any()
        assert (changed.mean_scores[:, rows[0]] == blended.mean_scores[:, rows[0]]).all()


class TestWeightsOfSources:
    def test_they_rebuild_the_scores(self, blended, queries):
        part = Query.of(sparse.vstack([queries.history[:6], nobody(blended.n_items).history]))
        items = np.tile(np.arange(blended.n_items), (len(part), 1))
        scores, z = blended.scored(part)
        weighted = (blended.source_weights(part, items) * np.stack(z, axis=-1)).sum(axis=-1)
        has_history = part.lengths > 0
        rest = scores - weighted
        cold = ~blended.warm
        np.testing.assert_allclose(rest[has_history][:, cold], BLEND.cold_shift, atol=1e-4)
        np.testing.assert_allclose(rest[~has_history], 0, atol=1e-4)
        bias = BLEND.warm.bias * blended.popularity[blended.warm]
        np.testing.assert_allclose(rest[has_history][:, blended.warm], np.tile(bias, (has_history.sum(), 1)), atol=1e-4)

    def test_short_histories_have_theirs(self, blended):
        one = nobody(blended.n_items).history.tolil()
        one[0, 0] = 1.0
        items = np.flatnonzero(blended.warm)[None, :2]
        weights = blended.source_weights(Query.of(sparse.csr_matrix(one)), items)
        np.testing.assert_allclose(weights[0], [by_source(text_knn=0.5, popular=0.5)] * 2)


def test_it_has_the_capabilities_that_serving_asks_for(blended):
    for capability in (AcceptsNewItems, BlendsSources, Boostable, ComparesItems, PartialFit, ReadsTexts):
        assert isinstance(blended, capability)


def test_an_item_is_nearest_to_itself(blended, tables):
    near = blended.similarities(3)
    assert near.argmax() == 3
    assert near[3] == pytest.approx(1.0, rel=1e-4)


def test_a_query_over_another_catalogue_is_refused(blended):
    with pytest.raises(BadInputError, match="The query has 3 items"):
        blended.score(nobody(3))


def test_the_hybrid_is_found_among_models(blended):
    assert scorer_of({"popular": blended.sources["popular"], "hybrid": blended}) is blended
    with pytest.raises(BadInputError, match="There is no hybrid among the models: popular"):
        scorer_of({"popular": blended.sources["popular"]})


def test_vectors_have_length_1_in_each_space(blended, queries):
    part = queries.take(np.flatnonzero(queries.lengths > 0)[:4])
    meta = blended.meta_features(part, vectors=True)
    n_spaces = 2  # factors and texts
    np.testing.assert_allclose((meta.users**2).sum(axis=1), n_spaces, rtol=1e-4)
    np.testing.assert_allclose((meta.items**2).sum(axis=1), n_spaces, rtol=1e-4)
    assert not blended.meta_features(part).users.size


class TestMeanScoresOfNewItems:
    """What the average user gets from sources that read histories and no texts, of an item that nobody has taken."""

    def test_it_is_that_of_the_cold_items_of_the_fit(self, blended, tables):
        grown, place = blended.with_new_items(tables.features[:2]), list(SOURCES).index("transition_knn")
        cold = np.flatnonzero(~tables.warm)
        np.testing.assert_allclose(grown.mean_scores[place, -2:], blended.mean_scores[place, cold].mean(), rtol=1e-5)
        np.testing.assert_array_equal(grown.mean_scores[place, cold], blended.mean_scores[place, cold])
        assert grown.mean_scores[place, -1] < np.median(blended.mean_scores[place, tables.warm])
