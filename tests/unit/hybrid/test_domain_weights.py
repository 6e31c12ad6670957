"""Weights of each domain between those of all lists and those of its own, by what its lists say."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.hybrid.blend import BlendModel, BlendWeights, MetaFeatures, blend
from tailor.hybrid.config import BlendOptions, Boosts
from tailor.hybrid.domain_weights import choose_shares, fit_domain_weights
from tailor.hybrid.explain import explain
from tests.unit.hybrid.conftest import BLEND, planted_training_set, recipe

OPTIONS, K, N_ITEMS = BlendOptions(), 5, 60
DOMAINS = np.arange(N_ITEMS) // (N_ITEMS // 2)


def lists_of(first, second, n_users=600, seed=0):
    """People of domain 0 take what source ``first`` says, people of domain 1 what ``second`` does."""

    def rule(z, meta):
        in_second = np.arange(n_users) % 2 == 1
        scores = np.where(in_second[:, None], 6 * z[second], 6 * z[first])
        return np.where(in_second[:, None] == (DOMAINS == 1), scores, -1e9)

    data = planted_training_set(rule, n_users, N_ITEMS, seed)
    mask = (np.arange(n_users) % 2 == 1)[:, None] == (DOMAINS == 1)
    return replace(data, candidate_mask=mask)


def by_domain(data):
    return [data.columns(domain == DOMAINS) for domain in (0, 1)]


def shared_of(data, *sources):
    base = np.zeros(len(data.sources), np.float32)
    base[list(sources)] = 1 / len(sources)
    return BlendModel(base)


def test_domains_that_differ_get_weights_that_differ():
    data = lists_of(0, 1)
    shared = shared_of(data, 0, 1)
    weights = fit_domain_weights(by_domain(data), shared, OPTIONS, K, 0)
    assert weights.shape == (2, len(data.sources))
    assert weights[0, 0] > weights[0, 1] + 0.3
    assert weights[1, 1] > weights[1, 0] + 0.3
    np.testing.assert_allclose(np.abs(weights).sum(axis=1), 1, rtol=1e-5)
    fresh = lists_of(0, 1, seed=7)
    for domain in (0, 1):
        part = fresh.columns(domain == DOMAINS)
        before, after = (
            part.mean_ndcg(BlendModel(w).score(list(part.z), part.meta), K) for w in (shared.base, weights[domain])
        )
        assert after > before + 0.02


def test_what_all_lists_say_already_stays_or_costs_nothing():
    """A mean of two fits may be the better one, so shares above 0 are no fault; far ones, or worse lists, are."""
    shares, change, fresh = [], [], by_domain(lists_of(0, 0, seed=9))[0]
    for seed in range(5):
        lists = by_domain(lists_of(0, 0, seed=seed))
        shares += choose_shares(lists, OPTIONS, K, seed)
        shared = shared_of(fresh, 0)
        weights = fit_domain_weights(lists, shared, OPTIONS, K, seed)
        if weights.size:
            ours, theirs = (
                fresh.mean_ndcg(BlendModel(w).score(list(fresh.z), fresh.meta), K) for w in (weights[0], shared.base)
            )
            change.append(ours - theirs)
    assert np.mean(shares) < 0.3
    assert min(change, default=0.0) > -0.01


def test_a_few_lists_of_one_domain_do_not_move_it():
    data = lists_of(0, 1)
    many, few = by_domain(data)
    shares = choose_shares([many, few.take(np.arange(39))], OPTIONS, K, 0)
    assert shares[0] > 0
    assert shares[1] == 0


@pytest.mark.parametrize(
    ("options", "n_users", "shared"),
    [
        (OPTIONS.model_copy(update={"domain_shares": [0.0]}), 600, None),
        (OPTIONS, 60, None),
        (OPTIONS, 600, "gated"),
    ],
    ids=["no share to try", "few lists", "weights that move with popularity"],
)
def test_weights_are_shared(options, n_users, shared):
    data = lists_of(0, 1, n_users)
    model = shared_of(data, 0, 1)
    if shared == "gated":
        model = replace(model, by_popularity=model.base)
    assert fit_domain_weights(by_domain(data), model, options, K, 0).size == 0


def test_items_of_a_domain_are_scored_by_its_weights():
    z = [np.array([[1.0, 2, 3, 4]], np.float32), np.array([[10.0, 20, 30, 40]], np.float32)]
    rows = np.array([[1, 0], [0, 1]], np.float32)
    weights = BlendWeights(("a", "b"), BlendModel(np.array([0.5, 0.5], np.float32)), (), rows[0], by_domain=rows)
    warm, meta = np.ones(4, bool), MetaFeatures(np.ones(1, np.float32), np.zeros(4, np.float32))
    domains = np.array([0, 1, 0, -1])
    scores = blend(z, weights, Boosts(), warm, ~warm, meta, domains=domains)
    np.testing.assert_allclose(scores, [[1, 20, 3, 0.5 * 4 + 0.5 * 40]])


def test_weights_by_domain_are_saved_aligned_and_explained(tables):
    domains = np.arange(len(tables.items)) // (len(tables.items) // 2)
    rows = np.stack([BLEND.warm.base, np.roll(BLEND.warm.base, 1)])
    weights = replace(BLEND, by_domain=rows)
    names = weights.sources[::-1]
    turned = weights.aligned(names)
    np.testing.assert_array_equal(turned.by_domain, rows[:, ::-1])
    scorer = recipe(blend=weights).fit(tables.train_set.with_domains(domains))
    loaded = scorer.recipe.load(scorer.state())
    np.testing.assert_array_equal(loaded.blend.by_domain, rows)
    query = tables.train_set.queries().take(np.array([int(np.argmax(tables.train_set.queries().lengths))]))
    items = np.r_[np.flatnonzero(scorer.warm)[::11], np.flatnonzero(~scorer.warm)[::5]]
    explanation = explain(scorer, query, items)
    np.testing.assert_allclose(explanation.score, scorer.score(query)[0, items], rtol=1e-4, atol=1e-5)
    shared = scorer.with_blend(BLEND).score(query)[0, items]
    assert not np.allclose(explanation.score, shared)
