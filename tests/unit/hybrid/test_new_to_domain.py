"""Lists of a domain for people who are known from other domains alone."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor.hybrid.blend import BlendModel, BlendWeights, MetaFeatures, blend, one_hot, weighted_sum
from tailor.hybrid.config import BlendOptions, Boosts
from tailor.hybrid.domains import new_to_domains, query_of_domain
from tailor.hybrid.few_shot import few_shot_fits, fit_nonnegative
from tailor.hybrid.new_to_domain import fit_new_to_domain, lists_new_to_domain
from tailor.hybrid.sources import SOURCES
from tests.unit.hybrid.conftest import planted_training_set

NAMES = ("ease", "popular")
#: Items 0 and 1 are books, item 2 is a game, item 3 is of no domain.
DOMAINS = np.array([0, 0, 1, -1])
Z = [np.array([[1.0, 2, 3, 4]] * 4, np.float32), np.array([[4.0, 3, 2, 1]] * 4, np.float32)]
#: A reader; a player; one who has an item of no domain; nobody.
HISTORIES = sparse.csr_matrix(np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], np.float32))


def blended(new_to_domain, by_domain=None):
    weights = BlendWeights(NAMES, BlendModel(np.array([1, 0], np.float32)), (), np.array([1, 0], np.float32))
    weights = replace(weights, new_to_domain=np.array(new_to_domain, np.float32))
    if by_domain is not None:
        weights = replace(weights, by_domain=np.array(by_domain, np.float32))
    lengths = np.log1p(np.diff(HISTORIES.indptr)).astype(np.float32)
    meta = MetaFeatures(lengths, np.zeros(4, np.float32), new_to=new_to_domains(HISTORIES, DOMAINS))
    every = np.ones(4, bool)
    return blend(Z, BlendWeights.from_state(weights.state()), Boosts(), every, ~every, meta, domains=DOMAINS).tolist()


def test_who_has_nothing_of_a_domain_is_new_to_it():
    assert new_to_domains(HISTORIES, DOMAINS).tolist() == [[False, True], [True, False], [True, True], [True, True]]


def test_items_of_a_domain_that_is_new_to_somebody_have_weights_of_their_own():
    reader, player, other, nobody = blended([0.0, 10.0])
    assert reader == [1, 2, 20, 4]  # the game by popularity, times ten
    assert player == [40, 30, 3, 4]
    assert other == [40, 30, 20, 4]
    assert nobody == [4, 3, 2, 1]  # who is new everywhere: popularity as it is


def test_they_stand_before_weights_by_domain():
    assert blended([0.0, 10.0], [[2, 0], [3, 0]])[0] == [2, 4, 20, 4]


def test_without_such_weights_nothing_changes():
    assert blended([])[:3] == [[1, 2, 3, 4]] * 3


def test_weights_keep_their_source_where_sources_are_ordered_otherwise():
    weights = BlendWeights(NAMES, BlendModel(np.ones(2, np.float32)), (), np.ones(2, np.float32))
    weights = replace(weights, new_to_domain=np.array([0.25, 0.75], np.float32))
    assert weights.aligned(("popular", "slit", "ease")).new_to_domain.tolist() == [0.75, 0, 0.25]


SOURCE_NAMES = tuple(SOURCES)
NOBODY = one_hot("popular", SOURCE_NAMES)


def lists_that_want(name, n_users=400):
    return planted_training_set(lambda z, _: 3 * z[SOURCE_NAMES.index(name)], n_users)


def test_signal_that_was_planted_is_found(caplog):
    with caplog.at_level(logging.INFO):
        weights = fit_new_to_domain(lists_that_want("ease"), NOBODY, BlendOptions(), 20, 0)
    assert SOURCE_NAMES[int(weights.argmax())] == "ease"
    assert weights.max() > 0.8
    assert "on 400 lists" in caplog.text


def test_a_source_that_is_silent_on_these_lists_has_no_weight():
    """It may say much of the other domain: a weight of nothing would make boosts loom large beside the others."""
    lists = lists_that_want("ease")
    silent, other = SOURCE_NAMES.index("slit"), np.zeros(lists.candidate_mask.shape[1], bool)
    other[:20] = True
    lists.z[silent][:, ~other] = 0
    wanted = sparse.csr_matrix(lists.positives.multiply(~other), dtype=np.float32)
    lists = replace(lists, candidate_mask=lists.candidate_mask & ~other, positives=wanted)
    assert lists.uninformative() == ("slit",)
    weights = fit_new_to_domain(lists, NOBODY, BlendOptions(), 20, 0)
    assert (weights[silent], SOURCE_NAMES[int(weights.argmax())]) == (0, "ease")


def test_they_climb_what_lists_have_from_where_the_loss_is_least():
    """Half of the people want the top of a source, nearly half its bottom: the loss gives it a small weight."""
    rng, n = np.random.default_rng(0), 1000
    lists = planted_training_set(lambda z, _: z[0], n)
    wanted = np.where(rng.random(n) < 0.55, lists.z[0].argmax(axis=1), lists.z[0].argmin(axis=1))
    lists.z[1][np.arange(n), wanted] += 1.0
    positives = sparse.csr_matrix((np.ones(n, np.float32), (np.arange(n), wanted)), shape=lists.candidate_mask.shape)
    lists = replace(lists, positives=positives)
    weights = fit_new_to_domain(lists, NOBODY, BlendOptions(), 10, 0)
    ours, of_loss = (
        lists.mean_ndcg(weighted_sum(list(lists.z), each), 10) for each in (weights, fit_nonnegative(lists, 1e-4))
    )
    assert ours > of_loss + 0.05
    assert weights.min() >= 0


def test_without_signal_they_are_those_of_who_is_new_everywhere():
    assert fit_new_to_domain(lists_that_want("popular"), NOBODY, BlendOptions(), 20, 0) is NOBODY


def test_a_few_lists_choose_nothing(caplog):
    with caplog.at_level(logging.INFO):
        for few in (lists_that_want("ease", 39), None):
            assert fit_new_to_domain(few, NOBODY, BlendOptions(), 20, 0) is NOBODY
    assert "as who is new everywhere; 39 lists" in caplog.text


@pytest.fixture
def of_two_domains(scorer, holdout):
    """Every second item is of the other domain."""
    domains = np.arange(scorer.n_items) % 2
    return replace(scorer, domains=domains), replace(holdout, domains=domains)


def test_rows_there_are_hidden_and_wanted(of_two_domains):
    scorer, holdout = of_two_domains
    options = BlendOptions(few_shot_users=1)
    lists = lists_new_to_domain(few_shot_fits(scorer, holdout, options, 0), options, 0)
    items = np.flatnonzero(holdout.candidates & ~holdout.cold)
    rows = (holdout.reveal_order[holdout.few_shot_users] > 0).toarray()
    expected = []
    for domain in (0, 1):
        wanted = rows[:, items] & (items % 2 == domain)
        elsewhere = rows[:, np.arange(rows.shape[1]) % 2 != domain].sum(axis=1)
        both = wanted.any(axis=1) & (elsewhere > 0)
        expected += list(zip(elsewhere[both], wanted[both].sum(axis=1), strict=True))
    found = list(zip(lists.meta.lengths, np.diff(lists.positives.indptr), strict=True))
    assert [tuple(map(int, pair)) for pair in found] == [tuple(map(int, pair)) for pair in expected]
    assert set(lists.positives.data) == {1.0}
    half = len(lists.meta.new_to) // 2
    assert lists.meta.new_to[:half].tolist() == [[True, False]] * half
    # A list holds items of the domain that is new, and no item of the history.
    of_item = items % 2
    for mask, new_to in zip(lists.candidate_mask, lists.meta.new_to, strict=True):
        assert set(of_item[mask]) == {int(np.flatnonzero(new_to)[0])}


def test_one_catalogue_has_no_such_lists(scorer, holdout):
    fits = few_shot_fits(scorer, holdout, BlendOptions(few_shot_users=1), 0)
    assert lists_new_to_domain(fits, BlendOptions(), 0) is None


def test_scores_and_explanations_have_these_weights(of_two_domains):
    scorer, holdout = of_two_domains
    own = np.linspace(1, 2, len(scorer.sources)).astype(np.float32)
    scorer = scorer.with_blend(replace(scorer.blend, new_to_domain=own))
    even = np.arange(scorer.n_items) % 2 == 0
    query = query_of_domain(holdout.histories.take(np.flatnonzero(np.diff(holdout.histories.history.indptr))[:5]), even)
    query = query.take(np.flatnonzero(query.lengths > 0))
    scores, z = scorer.scored(query)
    np.testing.assert_allclose(scores[:, ~even], np.tensordot(own, np.stack(z), 1)[:, ~even], rtol=1e-5, atol=1e-5)
    ials = z[scorer.source_names.index("ials")]
    warm = even & scorer.warm
    np.testing.assert_allclose(scores[:, warm], ials[:, warm], rtol=1e-5, atol=1e-5)
    items = np.tile(np.array([np.flatnonzero(warm)[0], np.flatnonzero(~even & scorer.warm)[0]]), (len(query), 1))
    weights = scorer.source_weights(query, items)
    np.testing.assert_array_equal(weights[:, 1], np.tile(own, (len(query), 1)))
    np.testing.assert_array_equal(weights[:, 0], np.tile(scorer.blend.warm.base, (len(query), 1)))
