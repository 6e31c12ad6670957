"""What the blend is fitted on: the scores that are served, in blocks, for a sample of users."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor.hybrid.blend import BlendModel, blend
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.operating_point import known_users
from tailor.hybrid.training_set import BlendTrainingSet
from tailor.topk import EXCLUDED
from tests.conftest import by_source
from tests.unit.hybrid.conftest import OFF, of_one_source, planted_training_set


def test_its_scores_are_those_that_are_served(scorer, holdout, known):
    """Collected in blocks and blended: the same as scoring the histories."""
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    base = BlendModel(by_source(ials=0.5, ease=0.2, text_knn=0.2, popular=0.1))
    weights = of_one_source("ials", warm=base, cold=by_source(ials=0.5, ease=0.5), cold_shift=0.3)
    items = np.flatnonzero(holdout.candidates)
    ours = blend(list(known.z), weights, OFF, scorer.warm[items], scorer.tail[items], known.meta)
    served = scorer.with_blend(weights).score(holdout.histories.take(users))[:, items]
    np.testing.assert_allclose(ours, served, rtol=1e-4, atol=1e-5)


def test_lists_hold_nothing_that_a_user_has_taken(holdout, known):
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    seen = holdout.seen[users][:, np.flatnonzero(holdout.candidates)].toarray() > 0
    np.testing.assert_array_equal(known.candidate_mask, ~seen)
    wanted = holdout.validation[users][:, np.flatnonzero(holdout.candidates)]
    assert (known.positives != wanted).nnz == 0


def test_fewer_cells_are_fewer_users_and_the_same_ones(scorer, holdout):
    options = BlendOptions(max_cells=20 * int(holdout.candidates.sum()))
    small, again = (known_users(scorer, holdout, options, 0) for _ in range(2))
    assert small.n_users == 20
    np.testing.assert_array_equal(small.z, again.z)


def test_some_items_leave_the_users_who_want_one_of_them(holdout, known):
    cold = holdout.cold[holdout.candidates]
    part = known.columns(cold)
    wanting = np.flatnonzero(np.diff(sparse.csr_matrix(known.positives[:, np.flatnonzero(cold)]).indptr) > 0)
    assert 0 < len(wanting) < known.n_users
    np.testing.assert_array_equal(part.z, known.z[:, wanting][:, :, cold])
    np.testing.assert_array_equal(part.candidate_mask, known.candidate_mask[wanting][:, cold])
    np.testing.assert_array_equal(part.meta.activity, known.meta.activity[wanting])
    np.testing.assert_array_equal(part.meta.popularity, known.meta.popularity[cold])
    np.testing.assert_array_equal(part.meta.items, known.meta.items[cold])
    np.testing.assert_array_equal(part.tie_rank, known.tie_rank[cold])


def test_all_items_are_not_copied(known):
    wanting = known.take(np.flatnonzero(np.diff(known.positives.indptr) > 0))
    assert wanting.columns(np.ones(len(wanting.tie_rank), bool)) is wanting


class TestPooled:
    WEIGHTS = by_source(ials=0.4, ease=0.3, text_knn=0.4, popular=-0.1)

    def test_lists_are_those_over_all_items(self, known):
        users, sources = np.arange(1, known.n_users, 2), np.flatnonzero(self.WEIGHTS).tolist()
        pooled = known.pooled(users, sources, 25)
        assert 25 < pooled.z.shape[2] < 0.7 * len(known.tie_rank)
        all_items = known.take(users)
        for factor in (0.8, 1.0, 1.2):  # steps of an ascent
            model = BlendModel(self.WEIGHTS * by_source(ials=factor, ease=1.0, text_knn=1.0, popular=1.0))
            over_all = all_items.measure(model.score(list(all_items.z), all_items.meta), 10)
            over_pool = pooled.measure(model.score(list(pooled.z), pooled.meta), 10)
            np.testing.assert_allclose(over_pool, over_all, atol=1e-6)
        assert np.nanmean(over_all) > 0

    def test_what_a_user_wants_beyond_is_not_listed_but_counts(self, known):
        pooled = known.pooled(np.arange(known.n_users), [0], 1)
        np.testing.assert_array_equal(np.diff(pooled.positives.indptr), np.diff(known.positives.indptr))
        np.testing.assert_array_equal(pooled.candidate_mask.sum(axis=1), 1)
        best = np.where(known.candidate_mask, known.z[0], EXCLUDED).max(axis=1)
        np.testing.assert_array_equal(np.where(pooled.candidate_mask, pooled.z[0], EXCLUDED).max(axis=1), best)
        np.testing.assert_allclose(pooled.measure(pooled.z[0], 1), known.measure(known.z[0], 1))

    def test_ties_are_broken_as_over_all_items(self):
        data = planted_training_set(lambda z, _: z[0], n_users=50)
        items = np.arange(len(data.tie_rank))
        levels = np.broadcast_to((items % 7 == 0).astype(np.float32), data.z.shape)  # nine equal ones are the best
        tied = replace(data, z=levels.copy(), tie_rank=items[::-1].copy())
        pooled = tied.pooled(np.arange(tied.n_users), [0], 5)
        assert pooled.z.shape[2] <= 6
        for k in (1, 3, 5):
            np.testing.assert_array_equal(pooled.measure(pooled.z[0], k), tied.measure(tied.z[0], k))

    def test_padding_adds_no_candidates(self, known):
        pooled = known.pooled(np.arange(20), [0, 1], 5)
        padded = pooled.padded(pooled.z.shape[2] + 7)
        assert not padded.candidate_mask[:, -7:].any()
        scores, base = pooled.z[0], padded.z[0]
        np.testing.assert_array_equal(padded.measure(base, 10), pooled.measure(scores, 10))
        joined = BlendTrainingSet.join([padded, known.pooled(np.arange(20, 40), [0, 1], 5).padded(base.shape[1])])
        both = known.pooled(np.arange(40), [0, 1], 5)
        np.testing.assert_array_equal(joined.measure(joined.z[1], 10), both.measure(both.z[1], 10))

    def test_pools_as_large_as_the_catalogue_are_the_catalogue(self, known):
        every = np.arange(known.n_users)
        assert known.pooled(every, [0, 1], len(known.tie_rank)) is known


def test_sources_that_tell_no_items_apart_are_named(known):
    assert known.uninformative() == ("contextual", "demographic", "user_text")
    active = dict(zip(known.sources, known.active_mask(excluded=("popular",)), strict=True))
    assert [name for name, is_active in active.items() if not is_active] == [
        "contextual",
        "demographic",
        "user_text",
        "popular",
    ]


def test_constant_scores_tell_nothing_whatever_they_are(known):
    z = known.z.copy()
    z[0] = np.arange(known.n_users)[:, None]  # of each user another constant
    assert replace(known, z=z).uninformative() == ("ials", "contextual", "demographic", "user_text")


def test_ndcg_by_hand():
    data = planted_training_set(lambda z, _: z[0], n_users=2, n_items=4)
    positives = sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], np.float32))
    data = replace(data, positives=positives, candidate_mask=np.array([[True] * 4, [True, True, False, True]]))
    scores = np.array([[3.0, 4.0, 1.0, 2.0], [2.0, 1.0, 9.0, 0.0]], np.float32)
    first = (1 / np.log2(3)) / (1 + 1 / np.log2(3))  # its second place holds the first of two positives
    np.testing.assert_allclose(data.measure(scores, 2), [first, 1 / np.log2(3)])
    assert data.mean_ndcg(scores, 2) == pytest.approx((first + 1 / np.log2(3)) / 2)
    only_last = data.measure(scores, 4, np.array([False, False, False, True]))
    np.testing.assert_allclose(only_last, [1 / np.log2(4), np.nan])
    assert data.mean_ndcg(scores, 4, np.zeros(4, dtype=bool)) == 0.0


def test_coverage_is_the_share_of_items_on_any_list(known):
    scores = np.zeros(known.candidate_mask.shape, np.float32)
    scores[:, 3], scores[0, 5] = 2.0, 3.0
    everything = replace(known, candidate_mask=np.ones_like(known.candidate_mask))
    assert everything.coverage(scores, 1) == 2 / scores.shape[1]
    assert everything.coverage(scores, scores.shape[1]) == 1.0
    nothing = replace(known, candidate_mask=np.zeros_like(known.candidate_mask))
    assert nothing.coverage(scores, 5) == 0.0
