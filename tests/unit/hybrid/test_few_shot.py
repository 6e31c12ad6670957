"""Weights of short histories: who they are fitted on, what they follow, and where they end."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor.data.reveal import REVEALS
from tailor.hybrid import few_shot
from tailor.hybrid.blend import BlendModel, MetaFeatures
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.few_shot import (
    LIFTS,
    Copies,
    SmoothWeights,
    choose_lift,
    crossovers,
    few_shot_copies,
    few_shot_fits,
    few_shot_folds,
    fit_few_shot_weights,
    fit_nonnegative,
    fit_smooth,
)
from tailor.hybrid.sources import SOURCES
from tailor.hybrid.training_set import BlendTrainingSet
from tests.conftest import by_source
from tests.unit.hybrid.conftest import BLEND, of_one_source, planted_training_set

NAMES = tuple(SOURCES)
POPULAR = NAMES.index("popular")


def copies_of(scorer, holdout, options):
    return few_shot_copies(few_shot_fits(scorer, holdout, options, 0), options, 0)


def planted(n, seed=0, n_users=1200, how="first", **weights):
    """Copies of users with n items who want what ``weights`` say."""
    data = planted_training_set(
        lambda z, _: 3 * sum(weight * z[NAMES.index(name)] for name, weight in weights.items()), n_users, seed=seed
    )
    activity = np.full(n_users, np.log1p(n), np.float32)
    return Copies(how, n, replace(data, meta=MetaFeatures(activity, data.meta.popularity)))


class TestWhoPlays:
    def test_more_users_are_left_out_of_one_fit_each(self, holdout):
        size = len(holdout.few_shot_users)
        folds = few_shot_folds(holdout, 3 * size, 0)
        assert [len(users) for users in folds] == [size] * 3
        assert folds[0] is holdout.few_shot_users
        assert len(np.unique(np.concatenate(folds))) == 3 * size
        assert len(few_shot_folds(holdout, 1, 0)) == 1
        n_known = int((np.diff(holdout.histories.history.indptr) > 0).sum())
        assert len(few_shot_folds(holdout, 10**9, 0)) == min(10, n_known // size)

    def test_their_rows_are_in_no_fit(self, holdout, tables):
        users = few_shot_folds(holdout, 2 * len(holdout.few_shot_users), 0)[1]
        other = holdout.with_few_shot_users(users)
        assert other.interactions[users].nnz == 0
        assert other.interactions[holdout.few_shot_users].nnz > 0
        assert other.train_set(tables.features).interactions.nnz == other.interactions.nnz

    def test_every_way_and_length_is_tried(self, scorer, holdout):
        copies = copies_of(scorer, holdout, BlendOptions(few_shot_lengths=[2, 0], few_shot_users=1))
        assert {(part.how, part.n) for part in copies} == {
            *((how, 2) for how in REVEALS), ("first", 0), ("latest", 0),
        }  # fmt: skip
        for part in copies:
            assert part.data.meta.lengths.tolist() == [part.n] * part.data.n_users
            assert part.data.z.shape[2] == (holdout.candidates & ~holdout.cold).sum()
            assert part.data.candidate_mask[part.data.positives.nonzero()].all()

    def test_without_order_items_are_drawn(self, scorer, holdout):
        unordered = replace(holdout, histories=replace(holdout.histories, order=None))
        copies = copies_of(scorer, unordered, BlendOptions(few_shot_lengths=[0, 1], few_shot_users=1))
        assert [(part.how, part.n) for part in copies] == [("random", 0), ("random", 1)]

    def test_cells_bound_the_copies(self, scorer, holdout):
        n_items = int(holdout.candidates.sum())
        options = BlendOptions(few_shot_lengths=[1], few_shot_users=1, max_cells=3 * 5 * n_items)
        assert [part.data.n_users for part in copies_of(scorer, holdout, options)] == [5] * 3

    def test_who_has_nothing_left_teaches_nothing(self, scorer, holdout):
        assert copies_of(scorer, holdout, BlendOptions(few_shot_lengths=[1000], few_shot_users=1)) == []


class TestSmoothWeights:
    def test_they_follow_the_length(self):
        few, many = planted(1, n_users=2400, popular=1.0), planted(20, seed=1, n_users=2400, popular=0.2, ease=0.8)
        smooth = fit_smooth([few, many], 1e-4)
        shares = np.array([smooth.of_length(n)[POPULAR] for n in range(1, 21)])
        assert (np.diff(shares) < 0).all()
        assert shares[0] > 0.85
        ease = smooth.of_length(20)[NAMES.index("ease")]
        assert shares[-1] / (shares[-1] + ease) == pytest.approx(0.2, abs=0.03)
        assert shares[-1] + ease > 0.9
        assert smooth.of_length(1000).tolist() == smooth.of_length(20).tolist()
        for n in (1, 7, 20):
            assert smooth.of_length(n).sum() == pytest.approx(1)
            assert (smooth.of_length(n) >= 0).all()

    def test_of_users_without_history_no_source_counts_that_reads_one(self):
        smooth = fit_smooth([planted(1, popular=1.0, ease=1.0)], 1e-4)
        used = {name for name, weight in zip(NAMES, smooth.of_length(0), strict=True) if weight}
        assert used == {"popular", "demographic", "contextual", "user_text"}

    def test_excluded_sources_have_none(self):
        smooth = fit_smooth([planted(3, ials=1.0, ease=1.0)], 1e-4, ("ials",))
        assert smooth.of_length(3)[NAMES.index("ials")] == 0
        assert fit_smooth([planted(3, ials=1.0)], 1e-4, NAMES) is None
        assert fit_smooth([], 1e-4) is None


class TestLift:
    def smooth(self, **weights):
        theta = np.zeros((len(NAMES), 3), np.float32)
        theta[:, 0] = np.log(np.expm1(np.maximum(by_source(**weights), 1e-6)))
        return SmoothWeights(theta, (by_source(**weights) > 0).astype(np.float32), np.ones(len(NAMES), bool), 20)

    def test_nothing_is_lifted_where_lists_are_good_enough(self):
        smooth = self.smooth(popular=0.5, ease=0.5)
        chosen = choose_lift(smooth, [planted(3, popular=0.5, ease=0.5)], 0.01, 10)
        assert chosen.factors.tolist() == smooth.factors.tolist()

    def test_popularity_is_lifted_until_the_first_items_lose_little(self):
        """After the first items popularity is all there is; after others the ease source is worth as much."""
        copies = [planted(3, popular=1.0), planted(3, seed=1, how="random", popular=1.0, ease=0.4)]
        lifted = choose_lift(self.smooth(popular=0.5, ease=0.5), copies, 0.05, 10)
        assert lifted.factors[POPULAR] in LIFTS[1:]
        of_first = copies[0].data.mean_ndcg(np.tensordot(lifted.of_length(3), copies[0].data.z, 1), 10)
        alone = copies[0].data.mean_ndcg(copies[0].data.z[POPULAR], 10)
        assert of_first >= 0.95 * alone

    def test_popularity_alone_stays_where_nothing_else_will_do(self):
        chosen = choose_lift(self.smooth(popular=0.01, ease=0.99), [planted(3, popular=1.0)], 0.0, 10)
        assert chosen.of_length(3)[POPULAR] == pytest.approx(1)

    def test_without_popularity_there_is_nothing_to_lift(self):
        smooth = self.smooth(ease=1.0)
        assert choose_lift(smooth, [planted(3, ease=1.0)], 0.01, 10) is smooth


class TestEntries:
    def test_neighbouring_lengths_have_neighbouring_weights(self, scorer, holdout, known):
        copies = copies_of(scorer, holdout, BlendOptions(few_shot_users=1))
        of_warm = known.columns(~holdout.cold[holdout.candidates])
        fitted = fit_few_shot_weights(copies, of_one_source("ials"), of_warm, BlendOptions(), 10)
        assert [longest for longest, _ in fitted.few_shot] == list(range(len(fitted.few_shot)))
        weights = np.array([entry for _, entry in fitted.few_shot])
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        assert np.abs(np.diff(weights[1:], axis=0)).sum(axis=1).max() < 0.35
        shares = np.array(fitted.warm_shares)
        assert shares[0] == 0
        assert (np.diff(shares) >= 0).all()
        assert shares[-1] < 1

    def test_other_weights_stay(self, scorer, holdout, known):
        options = BlendOptions(few_shot_lengths=[1], few_shot_users=1)
        copies = copies_of(scorer, holdout, options)
        fitted = fit_few_shot_weights(copies, BLEND, known.columns(~holdout.cold[holdout.candidates]), options, 10)
        assert replace(fitted, few_shot=BLEND.few_shot, warm_shares=()) == BLEND
        assert fit_few_shot_weights([], BLEND, known, options, 10) is BLEND

    def test_long_histories_keep_their_accuracy(self, monkeypatch):
        """The longest crossover costs users with 12 items a lot, for their model is another one."""
        copies = [planted(3, popular=1.0)]
        known = planted(12, seed=2, ease=1.0).data
        weights = replace(of_one_source("ease"), warm=BlendModel(by_source(ease=1)))
        fitted = fit_few_shot_weights(copies, weights, known, BlendOptions(), 10)
        assert len(fitted.few_shot) == 10
        monkeypatch.setattr(few_shot, "_MOST_LOST", 1.0)
        assert len(fit_few_shot_weights(copies, weights, known, BlendOptions(), 10).few_shot) > 10

    def test_where_people_have_few_items_their_model_is_the_one_of_all(self):
        """Users with two items are known, and want something else than the few copies do."""
        copies = [planted(n, n_users=50, popular=1.0) for n in (1, 2, 5)]
        known = planted(2, seed=2, ease=1.0).data
        weights = replace(of_one_source("ease"), warm=BlendModel(by_source(ease=1)))
        fitted = fit_few_shot_weights(copies, weights, known, BlendOptions(max_few_shot_loss=0.99), 10)
        assert [longest for longest, _ in fitted.few_shot] == [0]

    def test_where_people_have_many_items_those_who_are_new_keep_their_weights(self, monkeypatch):
        """Some people with two items want what long histories do; half of all have sixty, and the new ones may too."""
        copies = [planted(n, popular=1.0) for n in (1, 3, 5)]
        few, many = planted(2, seed=2, n_users=40, ease=1.0).data, planted(60, seed=3, n_users=60, ease=1.0).data
        weights = replace(of_one_source("ease"), warm=BlendModel(by_source(ease=1)))
        known = BlendTrainingSet.join([few, many])
        fitted = fit_few_shot_weights(copies, weights, known, BlendOptions(max_few_shot_loss=0.99), 10)
        assert len(fitted.few_shot) >= 10
        assert fitted.warm_shares[:4] == (0, 0, 0, 0)
        monkeypatch.setattr(few_shot, "_FEW", 60)
        early = fit_few_shot_weights(copies, weights, known, BlendOptions(max_few_shot_loss=0.99), 10)
        assert len(early.few_shot) == 1

    @pytest.mark.parametrize(
        ("lengths", "first"), [([4, 10, 900], (0, 1)), ([4, 11, 900], (3, 10)), ([10, 12], (3, 10)), ([], (3, 10))]
    )
    def test_the_score_may_go_over_at_the_first_item_where_half_of_the_people_have_ten_at_most(self, lengths, first):
        assert crossovers(np.array(lengths, np.int64))[0] == first

    def test_the_first_items_lose_little_to_popularity_where_the_score_goes_over(self, monkeypatch):
        """The histories that people have bar no crossover: the first items do, which want what is popular."""
        copies = [
            *(planted(n, popular=1.0) for n in (1, 2, 5)),
            *(planted(n, seed=3, how=how, ease=1.0) for n in (1, 2, 5) for how in ("random", "latest") * 4),
        ]
        monkeypatch.setattr(few_shot, "_FEW", 60)
        known = planted(60, seed=2, ease=1.0).data
        weights = replace(of_one_source("ease"), warm=BlendModel(by_source(ease=1)))
        safe = fit_few_shot_weights(copies, weights, known, BlendOptions(max_few_shot_loss=0.01), 10)
        free = fit_few_shot_weights(copies, weights, known, BlendOptions(max_few_shot_loss=0.99), 10)
        assert len(free.few_shot) == 1
        assert len(safe.few_shot) > 5


class TestNonnegative:
    def test_planted_weights_come_back(self):
        weights = fit_nonnegative(planted(3, n_users=4000, ials=0.6, slit=0.4).data, 0.0)
        np.testing.assert_allclose(weights, by_source(ials=0.6, slit=0.4), atol=0.03)

    def test_a_harmful_source_has_none(self):
        weights = fit_nonnegative(planted(3, n_users=4000, ials=1.0, ease=-0.5).data, 0.0)
        assert weights[NAMES.index("ease")] < 0.02

    def test_without_users_weights_are_equal(self):
        nobody = planted(3, n_users=10, ials=1.0).data
        nobody = replace(nobody, positives=sparse.csr_matrix(nobody.positives.shape, dtype=np.float32))
        np.testing.assert_allclose(fit_nonnegative(nobody, 0.0), 1 / len(NAMES))
        assert fit_nonnegative(nobody, 0.0, NAMES).tolist() == [0.0] * len(NAMES)


def test_the_last_bits_of_scores_move_no_weight():
    """Another order of sums is noise of this size: a choice that it tips over would not be stable."""
    whole = planted(3, popular=0.6, ials=0.3, slit=0.1)
    noise = 1 + 1e-6 * np.random.default_rng(0).normal(size=whole.data.z.shape).astype(np.float32)
    noisy = replace(whole, data=replace(whole.data, z=whole.data.z * noise))
    np.testing.assert_allclose(fit_nonnegative(noisy.data, 1e-4), fit_nonnegative(whole.data, 1e-4), atol=2e-3)
    before, after = (fit_smooth([part], 1e-4) for part in (whole, noisy))
    np.testing.assert_allclose(after.of_length(3), before.of_length(3), atol=2e-3)
