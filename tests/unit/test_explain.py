"""Explanations add up to what they explain."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor.hybrid.explain import explain
from tailor.hybrid.scorer import Hybrid
from tailor.hybrid.config import Boosts
from tests.unit.test_cf import FAST, GATE


@pytest.fixture(scope="module", params=["linear", "gated", "boosts up"])
def scorer(request, tables):
    gate = replace(GATE, warm=replace(GATE.warm, bias=0.0)) if request.param == "gated" else GATE
    up = Boosts(tail_boost=0.5, cold_boost=0.5, popularity_debias=0.25)
    boosts = up if request.param == "boosts up" else Boosts()
    fitted = Hybrid(FAST["hybrid"], 0, gate).fit(tables.matrices["train"], tables.warm, tables.features)
    return fitted.with_boosts(boosts)


def test_shares_add_up_to_the_score(scorer, tables):
    train = tables.matrices["train"]
    user = int(np.argmax(np.diff(train.indptr)))
    items = np.r_[np.flatnonzero(tables.warm)[:6], np.flatnonzero(~tables.warm)[:4]]
    found = explain(scorer, train[[user]], items)
    np.testing.assert_allclose(found.score, scorer.score(train[[user]])[0, items], rtol=1e-5)
    mf = scorer.sources["mf"]
    np.testing.assert_allclose(found.by_history.sum(axis=1), mf.score(train[[user]])[0, items], rtol=1e-4, atol=1e-6)
    assert found.history.tolist() == sorted(train[[user]].indices.tolist())


def test_what_no_source_says_is_named(scorer, tables):
    """Cold items: the shift, and the boost's share; tail items: their boost; both: less of what everybody gets."""
    train = tables.matrices["train"]
    user = int(np.argmax(np.diff(train.indptr)))
    cold, boosts = np.flatnonzero(~tables.warm)[:4], scorer.options.boosts
    found = explain(scorer, train[[user]], cold)
    taken = boosts.popularity_debias * scorer.population_score()
    expected = GATE.shift + boosts.cold_boost * boosts.cold_boost_scale - taken[cold]
    np.testing.assert_allclose(found.other, expected, rtol=1e-4)
    tail = np.flatnonzero(scorer.tail)[:4]
    extra = explain(scorer, train[[user]], tail).other - scorer.gate.warm.bias * scorer.popularity[tail]
    np.testing.assert_allclose(extra, boosts.tail_boost * boosts.tail_boost_scale - taken[tail], atol=1e-4)


def test_a_stranger_is_told_that_it_is_popularity(scorer, tables):
    nobody = sparse.csr_matrix((1, len(tables.warm)), dtype=np.float32)
    found = explain(scorer.with_boosts(Boosts()), nobody, np.flatnonzero(tables.warm)[:3])
    assert (found.sources[:, :-1] == 0).all()
    np.testing.assert_allclose(found.other, 0, atol=1e-6)
    assert found.by_history.shape == (3, 0)
