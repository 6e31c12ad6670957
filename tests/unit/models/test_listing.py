"""Top-k lists of fitted models, block by block."""

import numpy as np
import pytest
from scipy import sparse

from tailor.models.listing import recommend
from tailor.models.popular import Popular
from tailor.topk import top_k
from tests.recipes import make


@pytest.fixture(scope="module")
def query(tables):
    return tables.train_set.queries()


def test_lists_leave_out_what_was_seen_and_hold_candidates_only(tables, query):
    train, rng = tables.matrices["train"], np.random.default_rng(0)
    sets = {"warm": tables.warm, "few": rng.random(len(tables.warm)) < 0.05}
    lists = recommend(make("ease").fit(tables.train_set), query, train, sets, 10, np.arange(len(tables.warm)))
    for name, mask in sets.items():
        items, scores = lists[name]
        assert items.shape == scores.shape == (len(query), min(10, mask.sum()))
        for row, values, user in zip(items, scores, range(len(query)), strict=True):
            listed = row[row >= 0]
            assert mask[listed].all()
            assert not set(listed) & set(train[[user]].indices)
            assert len(set(listed)) == len(listed)
            assert (np.diff(values[: len(listed)]) <= 0).all()
            assert np.isneginf(values[len(listed) :]).all()


def test_equal_sets_are_listed_once(tables, query, monkeypatch):
    calls = []
    monkeypatch.setattr("tailor.models.listing.top_k", lambda *a: calls.append(1) or top_k(*a))
    sets = {"warm": tables.warm, "mixed": tables.warm.copy(), "all": np.ones_like(tables.warm)}
    lists = recommend(Popular().fit(tables.train_set), query, query.history, sets, 10, np.arange(len(tables.warm)))
    assert len(calls) == 2
    assert list(lists) == ["warm", "mixed", "all"]
    np.testing.assert_array_equal(lists["warm"][0], lists["mixed"][0])


def test_blocks_do_not_matter(tables, query):
    model, n = make("ease").fit(tables.train_set), len(tables.warm)
    one, many = (
        recommend(model, query, query.history, {"warm": tables.warm}, 10, np.arange(n), block_users)["warm"]
        for block_users in (1000, 7)
    )
    np.testing.assert_array_equal(one[0], many[0])
    np.testing.assert_allclose(one[1], many[1], rtol=1e-5)


def test_of_two_equal_scores_the_lower_tie_rank_comes_first(tables, query):
    n = len(tables.warm)
    rank = np.random.default_rng(0).permutation(n)
    nothing = sparse.csr_matrix(query.history.shape, dtype=np.float32)
    items = recommend(make("constant").fit(tables.train_set), query, nothing, {"all": tables.warm}, 5, rank)["all"][0]
    expected = np.flatnonzero(tables.warm)[np.argsort(rank[tables.warm])[:5]]
    assert (items == expected).all()


def test_where_nothing_is_left_places_stay_empty(tables, query):
    everything = sparse.csr_matrix(np.ones((2, len(tables.warm)), np.float32))
    model = Popular().fit(tables.train_set)
    items, _ = recommend(
        model, query.take(slice(0, 2)), everything, {"warm": tables.warm}, 3, np.arange(len(tables.warm))
    )["warm"]
    assert (items == -1).all()
