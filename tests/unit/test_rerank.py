"""Re-ranking: identity at strength 0, greedy choices against brute force, arithmetic by hand."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from tailor.errors import BadInputError
from tailor.evaluation.trade_off import Pool, balance, trace
from tailor.metrics import diversity
from tailor.metrics.accuracy import hits, ndcg
from tailor.options import FrontierOptions, RerankOptions
from tailor.rerank import base as module
from tailor.rerank.base import ItemFacts, relevance, rerank

METHODS = ["mmr", "dpp", "calibrated", "tail", "caps"]


def world(seed=0, n_users=6, n_items=30, size=12):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_items, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    categories = sparse.csr_matrix(np.eye(4, dtype=np.float32)[rng.integers(0, 4, n_items)])
    facts = ItemFacts(vectors, categories, rng.random(n_items) < 0.4)
    pool = np.stack([rng.permutation(n_items)[:size] for _ in range(n_users)])
    scores = -np.sort(-rng.normal(size=pool.shape).astype(np.float32), axis=1)
    history = sparse.csr_matrix((rng.random((n_users, n_items)) < 0.3).astype(np.float32))
    return pool, scores, history, facts


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_strength_zero_is_the_identity(self, method):
        pool, scores, history, facts = world()
        items, values = rerank(pool, scores, history, facts, RerankOptions(method=method, strength=0.0), 5)
        assert items.tobytes() == pool[:, :5].tobytes()
        assert values.tobytes() == scores[:, :5].tobytes()

    def test_lists_hold_the_pools_items_once_with_their_scores(self, method):
        pool, scores, history, facts = world()
        items, values = rerank(pool, scores, history, facts, RerankOptions(method=method, strength=0.6), 8)
        for user in range(len(pool)):
            assert len(set(items[user])) == 8
            place = [list(pool[user]).index(i) for i in items[user]]
            assert values[user].tolist() == scores[user, place].tolist()

    def test_a_tiny_strength_changes_next_to_nothing(self, method):
        pool, scores, history, facts = world()
        items, _ = rerank(pool, scores, history, facts, RerankOptions(method=method, strength=1e-9), 5)
        assert items.tolist() == pool[:, :5].tolist()

    def test_empty_places_stay_empty(self, method):
        pool, scores, history, facts = world()
        pool[0, 3:], scores[0, 3:] = -1, -np.inf
        items, values = rerank(pool, scores, history, facts, RerankOptions(method=method, strength=0.5), 5)
        assert sorted(items[0, :3]) == sorted(pool[0, :3])
        assert items[0, 3:].tolist() == [-1, -1]
        assert np.isneginf(values[0, 3:]).all()

    def test_neither_blocks_nor_the_order_of_users_matter(self, method, monkeypatch):
        pool, scores, history, facts = world(n_users=9)
        options, order = RerankOptions(method=method, strength=0.4), np.random.default_rng(1).permutation(9)
        whole = rerank(pool, scores, history, facts, options, 6)[0]
        monkeypatch.setattr(module, "_BLOCK", 2)
        assert rerank(pool, scores, history, facts, options, 6)[0].tolist() == whole.tolist()
        shuffled = rerank(pool[order], scores[order], sparse.csr_matrix(history[order]), facts, options, 6)[0]
        assert shuffled.tolist() == whole[order].tolist()

    def test_a_pool_must_be_as_long_as_the_list(self, method):
        pool, scores, history, facts = world()
        with pytest.raises(BadInputError, match="k = 13 of a pool of 12; make the pool larger"):
            rerank(pool, scores, history, facts, RerankOptions(method=method, strength=0.5), 13)


def test_mmr_by_the_definition():
    pool, scores, history, facts = world()
    items, _ = rerank(pool, scores, history, facts, RerankOptions(method="mmr", strength=0.7), 4)
    r, cosine = relevance(scores), facts.vectors @ facts.vectors.T
    for user in range(len(pool)):
        chosen: list[int] = []
        while len(chosen) < 4:
            left = [p for p in range(12) if pool[user, p] not in chosen]
            gain = [0.3 * r[user, p] - 0.7 * max((cosine[pool[user, p], j] for j in chosen), default=0.0) for p in left]
            chosen.append(pool[user, left[int(np.argmax(gain))]])
        assert items[user].tolist() == chosen


def test_dpp_is_the_greedy_maximum_of_the_determinant():
    pool, scores, history, facts = world()
    s = 0.8
    items, _ = rerank(pool, scores, history, facts, RerankOptions(method="dpp", strength=s), 4)
    r = relevance(scores)
    for user in range(len(pool)):
        at = {int(i): p for p, i in enumerate(pool[user])}
        chosen: list[int] = []
        for _ in range(4):

            def value(candidate, taken=tuple(chosen), user=user, at=at):
                subset = [*taken, candidate]
                similar = facts.vectors[subset] @ facts.vectors[subset].T
                return (1 - s) * sum(r[user, at[i]] for i in subset) + s * np.linalg.slogdet(similar)[1]

            chosen.append(max((int(i) for i in pool[user] if i not in chosen), key=value))
        assert items[user].tolist() == chosen


def test_calibrated_lists_follow_the_history():
    pool, scores, history, facts = world(n_users=20)
    before = diversity.category_calibration(pool[:, :6], history, facts.categories)
    items, _ = rerank(pool, scores, history, facts, RerankOptions(method="calibrated", strength=1.0), 6)
    after = diversity.category_calibration(items, history, facts.categories)
    assert after.mean() < 0.5 * before.mean()
    # With one category per item the greedy list is the best of all, for a short list.
    items, _ = rerank(pool, scores, history, facts, RerankOptions(method="calibrated", strength=1.0), 2)
    found = diversity.category_calibration(items, history, facts.categories)
    for user in range(3):
        best = min(
            diversity.category_calibration(np.array([pair]), sparse.csr_matrix(history[user]), facts.categories)[0]
            for pair in itertools.combinations(pool[user], 2)
        )
        assert found[user] <= best + 0.25


def test_tail_strength_one_lists_the_tail_first():
    pool, scores, history, facts = world()
    items, _ = rerank(pool, scores, history, facts, RerankOptions(method="tail", strength=1.0), 12)
    lifted = facts.tail[items]
    assert (np.diff(lifted.astype(int), axis=1) <= 0).all()


def test_caps_hold_as_long_as_the_pool_allows():
    pool, scores, history, facts = world()
    items, _ = rerank(pool, scores, history, facts, RerankOptions(method="caps", strength=0.75), 4)
    for user in range(len(pool)):
        available = len(set(facts.categories[pool[user]].indices))
        counts = np.bincount(facts.categories[items[user]].indices)
        assert (counts > 0).sum() == min(4, available)  # ceil(4 · 0.25) = one per category


def test_threshold_mode_lists_what_is_good_enough():
    pool, scores, history, facts = world()
    limit = float(np.median(scores))
    items, values = rerank(pool, scores, history, facts, RerankOptions(min_score=limit), 12)
    assert ((items >= 0) == (scores >= limit)).all()
    assert (values[items >= 0] >= limit).all()


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_more_strength_means_more_diversity_and_less_relevance(method):
    """MMR gains distances, a DPP the volume that a list spans. Both are greedy: it holds of many users, not of each."""
    pool, scores, history, facts = world(0, n_users=2000, size=20)
    varied, total = [], []
    for strength in (0.0, 0.5, 1.0):
        items, values = rerank(pool, scores, history, facts, RerankOptions(method=method, strength=strength), 4)
        listed = facts.vectors[items]
        volume = np.linalg.slogdet(listed @ listed.transpose(0, 2, 1))[1]
        distance = diversity.intra_list_diversity(items, facts.vectors)
        varied.append((distance if method == "mmr" else volume).mean())
        total.append(values.sum())
    assert varied[0] < varied[1] < varied[2]
    assert total[0] > total[1] > total[2]


def test_relevance_is_scaled_per_user():
    found = relevance(np.array([[3.0, 2.0, -np.inf], [1.0, 1.0, 1.0]], np.float32))
    assert found.tolist() == [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


def test_the_frontier_starts_at_the_list_as_it_is_and_balance_keeps_its_price():
    pool, scores, history, facts = world(n_users=60, size=20)
    rng = np.random.default_rng(0)
    # What is wanted is likelier the better its place.
    wanted = rng.random(pool.shape) < np.linspace(0.5, 0.1, 20)
    rows = np.repeat(np.arange(60), wanted.sum(axis=1))
    positives = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, pool[wanted])), shape=history.shape)
    options = FrontierOptions(strengths=[0.2, 0.6], pool=20, max_price=0.1)
    table = trace(Pool(pool, scores, history, positives, 30), facts, options, 5)
    assert len(table) == 1 + 5 * 2
    plain = table.iloc[0]
    hit = hits(pool[:, :5], positives)
    assert plain["ndcg"] == pytest.approx(np.nanmean(ndcg(hit, np.diff(positives.indptr), 5)))
    assert plain["aplt"] == pytest.approx(facts.tail[pool[:, :5]].mean())
    assert plain["catalog_coverage"] == len(np.unique(pool[:, :5])) / 30
    preset = balance(table, 0.1, 20)
    chosen = table[(table["method"] == preset.method) & (table["strength"] == preset.strength)].iloc[0]
    assert chosen["ndcg"] >= 0.9 * plain["ndcg"]
    assert preset.method != "none"
    assert balance(table[table["method"].isin(["none", "mmr"])].assign(ndcg=[1, 0.5, 0.4]), 0.1, 20).method == "none"
