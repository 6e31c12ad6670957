"""What items without interactions take from those with similar texts: closed forms, limits, the hybrid's use of it."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from tailor.hybrid.blend import SOURCES
from tailor.hybrid.cold_items import TextKernel
from tailor.hybrid.scorer import Hybrid
from tailor.models.ease import EASE
from tailor.models.ials import IALS
from tailor.models.slit import Sequence
from tailor.models.ease import EASEConfig
from tailor.models.ials import IALSConfig
from tailor.hybrid.config import ColdItemOptions
from tailor.models.slit import SLITConfig
from tests.unit.test_cf import FAST, GATE


def unit_rows(n, m=6, seed=0):
    E = np.random.default_rng(seed).normal(size=(n, m))
    return (E / np.linalg.norm(E, axis=1, keepdims=True)).astype(np.float32)


def kernel_of(a, b, width):
    return np.exp(-width * ((a[:, None] - b[None]) ** 2).sum(axis=2)) + 1


def test_shares_are_the_ridge_solution():
    E, o = unit_rows(12), ColdItemOptions(width=0.7, ridge=0.2)
    kernel = TextKernel(o, E, np.arange(9))
    y = np.random.default_rng(1).normal(size=(9, 3))
    K = kernel_of(E[:9], E[:9], 0.7) + 0.2 * np.eye(9)
    expected = kernel_of(E[9:], E[:9], 0.7) @ np.linalg.solve(K, y)
    np.testing.assert_allclose(kernel.predict(E[9:], y), expected, rtol=1e-4, atol=1e-4)


def test_blocks_are_the_whole(monkeypatch):
    E, y = unit_rows(30), np.random.default_rng(1).normal(size=(20, 2))
    kernel = TextKernel(ColdItemOptions(), E, np.arange(20))
    whole = kernel.predict(E[20:], y)
    monkeypatch.setattr("tailor.hybrid.cold_items._CELLS", 3 * 20)
    np.testing.assert_allclose(kernel.predict(E[20:], y), whole, atol=1e-5)


def test_left_out_is_a_fit_without_the_item():
    E, y, o = unit_rows(10), np.random.default_rng(1).normal(size=(10, 2)), ColdItemOptions(width=0.7, ridge=0.2)
    found = TextKernel(o, E, np.arange(10)).left_out(y)
    for j in range(10):
        others = np.delete(np.arange(10), j)
        K = kernel_of(E[others], E[others], 0.7) + 0.2 * np.eye(9)
        expected = kernel_of(E[[j]], E[others], 0.7) @ np.linalg.solve(K, y[others])
        np.testing.assert_allclose(found[j], expected[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_limits(seed):
    """Without a ridge a twin of a known item is that item; under a huge one nothing is left."""
    E = unit_rows(8, seed=seed)
    y = np.random.default_rng(seed).normal(size=(8, 2))
    close = TextKernel(ColdItemOptions(width=4.0, ridge=1e-4), E, np.arange(8)).predict(E[[2]], y)
    np.testing.assert_allclose(close[0], y[2], atol=5e-3)
    assert np.abs(TextKernel(ColdItemOptions(ridge=1e9), E, np.arange(8)).predict(E[[2]], y)).max() < 1e-6


def test_of_too_many_items_the_best_known_speak():
    kernel = TextKernel.on(ColdItemOptions(max_items=2), unit_rows(5), np.array([3, 0, 9, 4, 0]))
    assert kernel.landmarks.tolist() == [2, 3]


def test_a_shorter_embedding_lacks_its_last_dimensions():
    E = unit_rows(8)
    kernel, y = TextKernel(ColdItemOptions(), E, np.arange(7)), np.ones((7, 1))
    wide = E[[7]].copy()
    wide[:, 4:] = 0
    np.testing.assert_array_equal(kernel.predict(E[[7], :4], y), kernel.predict(wide, y))


def test_nothing_is_known():
    kernel = TextKernel.on(ColdItemOptions(), unit_rows(4), np.zeros(4, np.int64))
    assert kernel.predict(unit_rows(2), np.zeros((0, 3))).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    "engine",
    [
        IALS(IALSConfig(factors=8, iterations=5)),
        EASE(EASEConfig(regularization=20.0, text_pull=5.0)),
        Sequence(SLITConfig(regularization=20.0)),
    ],
    ids=["ials", "ease", "sequence"],
)
def test_a_cold_item_scores_as_the_mixture_of_the_known_ones(engine, tables):
    """For histories of known items: scoring is linear in an item's factors and in its column of weights."""
    train, cold = tables.matrices["train"], np.flatnonzero(~tables.warm)
    fitted = engine.fit(train, tables.warm, tables.features)
    counts = np.bincount(train.indices, minlength=train.shape[1])
    kernel = TextKernel.on(ColdItemOptions(), tables.features, counts)
    before = fitted.score(train[:20])
    after = fitted.impute_cold_items(cold, tables.features[cold], kernel).score(train[:20])
    expected = kernel.predict(tables.features[cold], before[:, kernel.landmarks].T).T
    np.testing.assert_allclose(after[:, cold], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(after[:, tables.warm], before[:, tables.warm])


@pytest.fixture(scope="module")
def hybrid(tables):
    return Hybrid(FAST["hybrid"], 0, GATE).fit(tables.matrices["train"], tables.warm, tables.features)


def test_an_item_that_joins_is_what_a_cold_item_of_the_fit_is(hybrid, tables):
    """In every source, whether items join one by one or together."""
    cold = np.flatnonzero(~tables.warm)[:2]
    grown = hybrid.with_new_items(tables.features[cold[:1]]).with_new_items(tables.features[cold[1:]])
    history = tables.matrices["train"][:9]
    wide = sparse.csr_matrix((history.data, history.indices, history.indptr), shape=(9, grown.n_items))
    for name, theirs, ours in zip(SOURCES, hybrid.standardised(history), grown.standardised(wide), strict=True):
        np.testing.assert_allclose(ours[:, :-2], theirs, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(ours[:, -2:], theirs[:, cold], atol=1e-3, err_msg=name)


def test_text_factors_leave_each_item_out(hybrid, tables):
    """Whatever is known of an item, its text factors are those that the others predict for its text."""
    kernel, V = hybrid.kernel, hybrid.sources["mf"].item_factors
    at = int(kernel.landmarks[5])
    others = kernel.landmarks[kernel.landmarks != at]
    alone = TextKernel(kernel.options, kernel.features, others)
    found = alone.predict(tables.features[[at]], V[others])[0]
    np.testing.assert_allclose(hybrid.text_factors[at], found, rtol=1e-2, atol=1e-4)
    cold = ~tables.warm
    np.testing.assert_allclose(hybrid.text_factors[cold], V[cold], rtol=1e-4, atol=1e-6)


def test_a_wider_ridge_smooths_more():
    E = unit_rows(20)
    y = np.random.default_rng(0).normal(size=(20, 1))
    norms = [
        float(np.abs(TextKernel(ColdItemOptions(ridge=r), E, np.arange(20)).predict(E, y)).sum())
        for r in (0.1, 1.0, 10.0)
    ]
    assert all(a > b for a, b in pairwise(norms))
