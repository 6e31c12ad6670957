"""Fitting the blend on planted truth: weights, slopes, interactions, and the ascent on NDCG."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from tailor.hybrid import blend_fit
from tailor.hybrid.blend import BlendModel, one_hot
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.sources import SOURCES
from tests.conftest import by_source
from tests.unit.hybrid.conftest import planted_training_set

NAMES = tuple(SOURCES)


def mean_ndcg(data, model, k=10):
    return data.mean_ndcg(model.score(list(data.z), data.meta), k)


def test_softmax_finds_the_planted_weights():
    data = planted_training_set(lambda z, _: 1.2 * z[0] + 0.6 * z[1] - 0.6 * z[-1])
    fitted = blend_fit.fit(data, "linear", BlendOptions(l2=0.0), 0)
    np.testing.assert_allclose(fitted.base, by_source(ials=0.5, text_factors=0.25, popular=-0.25), atol=0.05)


def test_the_loss_by_hand():
    """-1/U sum_u 1/|P_u| sum_(i in P_u) log softmax_j s(u, j)[i], over candidates alone, plus l2 times the squares."""
    data = planted_training_set(lambda z, _: z[0], n_users=2, n_items=4)
    positives = sparse.csr_matrix(np.array([[1, 0, 1, 0], [0, 0, 0, 1]], np.float32))
    mask = np.array([[True] * 4, [False, True, True, True]])
    data = replace(data, positives=positives, candidate_mask=mask)
    active = np.ones(len(NAMES), bool)
    model, loss = blend_fit._Trainable("linear", data, active, 1, 0), blend_fit.ListwiseLoss(data, 0.5, active)
    scores = np.where(mask, data.z.mean(axis=0), -np.inf)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = -((log_p[0, 0] + log_p[0, 2]) / 2 + log_p[1, 3]) / 2
    assert loss(model, slice(0, 2)).item() == pytest.approx(expected, rel=1e-5)
    assert loss.penalty(model).item() == pytest.approx(0.5 * len(NAMES) * (1 / len(NAMES)) ** 2)
    assert loss.backward(model).item() == pytest.approx(expected + 0.5 / len(NAMES), rel=1e-5)


def test_gated_weights_find_planted_slopes():
    def rule(z, meta):
        return (1 + 0.8 * meta.popularity) * z[0] + (1 - 0.8 * meta.popularity) * z[1] + 0.5 * meta.popularity

    fitted = blend_fit.fit(planted_training_set(rule), "gated", BlendOptions(l2=0.0), 0)
    np.testing.assert_allclose(fitted.by_popularity[:2] / fitted.base[:2], [0.8, -0.8], atol=0.15)
    assert fitted.bias / fitted.base[0] == pytest.approx(0.5, abs=0.15)


def test_gated_weights_follow_activity():
    data = planted_training_set(lambda z, meta: (2 + meta.activity[:, None]) * z[0] + 2 * z[1])
    fitted = blend_fit.fit(data, "gated", BlendOptions(l2=0.0), 0)
    # A slope of 1 per unit of activity is one of ``scale`` per standardised unit.
    slope = fitted.by_activity[:2] / fitted.base[1] * 2 / fitted.activity_scale
    np.testing.assert_allclose(slope, [1, 0], atol=0.2)


@pytest.mark.parametrize("kind", ["bilinear", "deep"])
def test_members_that_read_vectors_find_what_no_source_knows(kind):
    data = planted_training_set(lambda z, meta: z[0] + 2.0 * meta.users @ meta.items.T)
    options = BlendOptions(rank=8, epochs=60, l2=1e-5)
    plain, rich = (blend_fit.fit(data, member, options, 0) for member in ("linear", kind))
    assert mean_ndcg(data, rich) > 1.5 * mean_ndcg(data, plain)


@pytest.mark.parametrize("kind", ["linear", "gated", "bilinear", "deep"])
def test_what_is_trained_is_what_is_served(kind, known):
    """The torch model and its numpy export score alike, up to the unit that the export divides by."""
    model = blend_fit._Trainable(kind, known, np.ones(len(SOURCES), bool), 3, 0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
        expected = model(torch.from_numpy(known.z), slice(0, known.n_users)).numpy()
        unit = float(model.base.abs().sum())
    served = model.export().score(list(known.z), known.meta) * unit
    np.testing.assert_allclose(served, expected, rtol=1e-3, atol=1e-3)


def test_an_excluded_source_has_no_weight(known):
    assert blend_fit.fit(known, "linear", BlendOptions(), 0, excluded=("popular",), ascend_to=10).base[-1] == 0


def test_a_source_that_tells_no_items_apart_has_no_weight(known):
    fitted = blend_fit.fit(known, "linear", BlendOptions(), 0, ascend_to=10)
    assert fitted.base[[NAMES.index(name) for name in known.uninformative()]].tolist() == [0, 0, 0]


def test_without_positives_all_active_sources_weigh_alike(known):
    nothing = replace(known, positives=sparse.csr_matrix(known.positives.shape, dtype=np.float32))
    even = [(name not in known.uninformative()) / 11 for name in SOURCES]
    assert blend_fit.fit(nothing, "linear", BlendOptions(), 0, ascend_to=10).base.tolist() == pytest.approx(even)


@pytest.fixture(scope="module")
def two_camps():
    """Half of the users want the top of source 0, nearly half its bottom: the loss must give it a small weight."""
    rng, n = np.random.default_rng(0), 3000
    data = planted_training_set(lambda z, _: z[0])
    wanted = np.where(rng.random(n) < 0.55, data.z[0].argmax(axis=1), data.z[0].argmin(axis=1))
    data.z[1][np.arange(n), wanted] += 1.0
    positives = sparse.csr_matrix((np.ones(n, np.float32), (np.arange(n), wanted)), shape=data.candidate_mask.shape)
    return replace(data, positives=positives)


def test_the_ascent_ends_no_lower_than_the_loss_and_every_source_alone(two_camps):
    start = blend_fit.fit(two_camps, "linear", BlendOptions(), 0, excluded=("popular",))
    free = np.array([name != "popular" for name in SOURCES])
    fitted, again = (blend_fit.coordinate_ascent(two_camps, start, 10, free) for _ in range(2))
    alone = [mean_ndcg(two_camps, BlendModel(one_hot(name, NAMES))) for name in NAMES[:-1]]
    best = mean_ndcg(two_camps, fitted)
    assert best > max(mean_ndcg(two_camps, start) + 0.02, *(value - 2e-3 for value in alone))
    assert fitted.base[-1] == 0
    assert np.abs(fitted.base).sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(fitted.base, again.base)


@pytest.mark.parametrize("seed", range(3))
def test_no_step_of_the_ascent_loses(seed):
    """Whatever it starts from, every step that is taken raises what was measured, and what is kept is what is so."""
    data = planted_training_set(lambda z, _: z[0] + 0.5 * z[2], n_users=300, seed=seed)
    start = np.random.default_rng(seed).normal(size=len(SOURCES)).astype(np.float32)
    climber = blend_fit._Climber.start(data, 10, start)
    values = [climber.best]
    for size in (0.4, 0.2, 0.1):
        climber.try_all(list(range(len(SOURCES))), size)
        values.append(climber.best)
        assert climber.best == pytest.approx(mean_ndcg(data, BlendModel(climber.base)), abs=1e-4)
    assert values == sorted(values)
    assert values[-1] > values[0]


def test_no_weight_climbs_below_what_it_may():
    data = planted_training_set(lambda z, _: z[0] - z[1], n_users=300)
    start, every = BlendModel(np.full(len(SOURCES), 1 / len(SOURCES), np.float32)), np.ones(len(SOURCES), bool)
    free, bounded = (blend_fit.coordinate_ascent(data, start, 10, every, least).base for least in (-np.inf, 0.0))
    assert free[1] < -0.2
    assert bounded.min() >= 0
    assert mean_ndcg(data, BlendModel(bounded)) > mean_ndcg(data, start)


@pytest.mark.parametrize("seed", range(3))
def test_the_ascent_ends_where_no_step_of_a_source_helps(seed, monkeypatch):
    """Given passes enough, weights are a local maximum: neither 0.05 more nor less of any source ranks better."""
    monkeypatch.setattr(blend_fit, "_PASSES", 50)
    data = planted_training_set(lambda z, _: z[0] + 0.5 * z[2], n_users=300, seed=seed)
    start = BlendModel(np.random.default_rng(seed).normal(size=len(SOURCES)).astype(np.float32))
    ended = blend_fit.coordinate_ascent(data, start, 10, np.ones(len(SOURCES), dtype=bool))
    best = mean_ndcg(data, ended)
    assert best > mean_ndcg(data, start)
    assert np.abs(ended.base).sum() == pytest.approx(1)
    for source in range(len(SOURCES)):
        for step in (0.05, -0.05):
            base = ended.base.copy()
            base[source] += step
            assert mean_ndcg(data, BlendModel(base)) <= best + 1e-4


def test_positives_that_are_no_candidates_are_passed_over(known):
    pooled = known.pooled(np.arange(known.n_users), [0, 1], 5)
    assert pooled.positives.nnz > pooled.positives.multiply(pooled.candidate_mask).count_nonzero() > 0
    listed = sparse.csr_matrix(pooled.positives.multiply(pooled.candidate_mask))
    listed.eliminate_zeros()
    active, equal = np.ones(len(SOURCES), bool), torch.full((len(SOURCES),), 1 / len(SOURCES))

    def loss(data):
        return float(
            blend_fit.ListwiseLoss(data, 0.0, active)(
                lambda z, _: (equal @ z.flatten(1)).view(z.shape[1:]), slice(0, data.n_users)
            )
        )

    assert loss(pooled) == pytest.approx(loss(replace(pooled, positives=listed)))
    assert 0 < loss(pooled) < 10
