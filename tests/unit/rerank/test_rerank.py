"""Re-ranking: identity at strength 0, greedy choices against brute force, arithmetic by hand."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from tailor.config import parse
from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation.trade_off import CandidatePool, FrontierOptions, select_balance, trace
from tailor.metrics import Lists, diversity
from tailor.metrics.accuracy import hits, ndcg
from tailor.rerank import Reranker, RerankOptions, registered_rerankers, rerank, reranker
from tailor.rerank import base as module
from tailor.rerank.base import relevance
from tailor.testing.metrics import fabricate_metadata
from tailor.testing.rerankers import RerankerTests


def world(seed=0, n_users=6, n_items=30, size=12):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_items, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = fabricate_metadata(n_items).table.assign(categories=[f'["c{i}"]' for i in rng.integers(0, 4, n_items)])
    bucket = np.where(rng.random(n_items) < 0.4, "tail", "head")
    metadata = ItemMetadata(table, vectors=vectors, n_train=np.ones(n_items, np.int64), bucket=bucket)
    pool = np.stack([rng.permutation(n_items)[:size] for _ in range(n_users)])
    scores = -np.sort(-rng.normal(size=pool.shape).astype(np.float32), axis=1)
    history = sparse.csr_matrix((rng.random((n_users, n_items)) < 0.3).astype(np.float32))
    return pool, scores, history, metadata


class TestMMR(RerankerTests):
    method = "mmr"


class TestDPP(RerankerTests):
    method = "dpp"


class TestCalibrated(RerankerTests):
    method = "calibrated"


class TestTail(RerankerTests):
    method = "tail"


class TestCaps(RerankerTests):
    method = "caps"


def test_every_re_ranker_is_tested():
    tested = {made.method for made in (TestMMR, TestDPP, TestCalibrated, TestTail, TestCaps)}
    assert tested == set(registered_rerankers())


@pytest.mark.parametrize("method", registered_rerankers())
def test_a_pool_must_be_as_long_as_the_list(method):
    pool, scores, history, metadata = world()
    with pytest.raises(BadInputError, match="k = 13 of a pool of 12; make the pool larger"):
        rerank(pool, scores, history, metadata, RerankOptions(method=method, strength=0.5), 13)


@pytest.fixture
def registry(monkeypatch):
    """The registry, as it was after the test."""
    monkeypatch.setattr(module, "_RERANKERS", dict(module._RERANKERS))


def test_a_re_ranker_of_someone_else_can_be_named_in_options_and_run(registry):
    @reranker("worst_first", summary="Turn the pool around.")
    class WorstFirst(Reranker):
        def gain(self, step):  # noqa: ARG002
            return -self.pool.relevance

    pool, scores, history, metadata = world()
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="worst_first", strength=0.5), 3)
    assert items.tolist() == pool[:, ::-1][:, :3].tolist()
    assert parse(FrontierOptions, {"methods": ["worst_first"]}, "evaluation.frontier").methods == ["worst_first"]
    assert registered_rerankers()["worst_first"] == "Turn the pool around."


class Broken(RerankerTests):
    """A suite that must fail."""

    method = "broken"


def _at_random(method):
    return np.random.default_rng().random(method.pool.items.shape)


def _only_the_best(method):
    return np.where(method.pool.relevance > 0.5, 1.0, -np.inf)


@pytest.mark.parametrize(
    ("gain", "check"),
    [
        (lambda m: -m.pool.relevance, "a_tiny_strength_changes_nothing_that_scores_tell_apart"),
        (_at_random, "it_is_deterministic_and_leaves_its_input_alone"),
        (_only_the_best, "lists_hold_items_of_the_pool_once_with_their_scores"),
    ],
)
def test_the_suite_finds_broken_re_rankers(registry, gain, check):
    made = type("Made", (Reranker,), {"gain": lambda self, step: gain(self)})
    reranker("broken", summary="Broken.")(made)
    arguments = (0, 0.3) if "once" in check else (0,)
    with pytest.raises(AssertionError):
        getattr(Broken(), f"test_{check}")(*arguments)


def test_the_suite_finds_re_rankers_that_look_at_other_users(registry, monkeypatch):
    class Crowd(Reranker):
        def gain(self, step):  # noqa: ARG002
            return self.pool.relevance * (1 if len(self.rows) > 2 else -1)

    reranker("broken", summary="Broken.")(Crowd)
    with pytest.raises(AssertionError):
        Broken().test_neither_blocks_nor_the_order_of_users_matter(0, monkeypatch)


def test_names_of_re_rankers_are_unique(registry):
    with pytest.raises(ConfigurationError, match="Re-ranker 'mmr' exists already"):

        @reranker("mmr", summary="Another.")
        class Other(Reranker):
            def gain(self, step):  # noqa: ARG002
                return self.pool.relevance


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigurationError, match=r"'mrm' does not exist. Did you mean 'mmr'\? Known: none, mmr, dpp"):
        parse(RerankOptions, {"method": "mrm"}, "rerank")
    with pytest.raises(ConfigurationError, match=r"frontier.methods.1.*'cap' does not exist. Did you mean 'caps'"):
        parse(FrontierOptions, {"methods": ["mmr", "cap"]}, "evaluation.frontier")


def test_the_old_name_of_the_accuracy_loss_is_refused_with_the_new_one():
    with pytest.raises(ConfigurationError, match="'max_price' is now called 'max_accuracy_loss'"):
        parse(FrontierOptions, {"max_price": 0.1}, "evaluation.frontier")


def test_mmr_by_the_definition():
    pool, scores, history, metadata = world()
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="mmr", strength=0.7), 4)
    r, cosine = relevance(scores), metadata.vectors @ metadata.vectors.T
    for user in range(len(pool)):
        chosen: list[int] = []
        while len(chosen) < 4:
            left = [p for p in range(12) if pool[user, p] not in chosen]
            gain = [0.3 * r[user, p] - 0.7 * max((cosine[pool[user, p], j] for j in chosen), default=0.0) for p in left]
            chosen.append(pool[user, left[int(np.argmax(gain))]])
        assert items[user].tolist() == chosen


def test_dpp_is_the_greedy_maximum_of_the_determinant():
    pool, scores, history, metadata = world()
    s = 0.8
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="dpp", strength=s), 4)
    r = relevance(scores)
    for user in range(len(pool)):
        at = {int(i): p for p, i in enumerate(pool[user])}
        chosen: list[int] = []
        for _ in range(4):

            def value(candidate, taken=tuple(chosen), user=user, at=at):
                subset = [*taken, candidate]
                similar = metadata.vectors[subset] @ metadata.vectors[subset].T
                return (1 - s) * sum(r[user, at[i]] for i in subset) + s * np.linalg.slogdet(similar)[1]

            chosen.append(max((int(i) for i in pool[user] if i not in chosen), key=value))
        assert items[user].tolist() == chosen


def test_calibrated_lists_follow_the_history():
    pool, scores, history, metadata = world(n_users=20)
    before = diversity.category_calibration(Lists.build(pool[:, :6], metadata, history=history))
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="calibrated", strength=1.0), 6)
    after = diversity.category_calibration(Lists.build(items, metadata, history=history))
    assert after.mean() < 0.5 * before.mean()
    # With one category per item the greedy list is the best of all, for a short list.
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="calibrated", strength=1.0), 2)
    found = diversity.category_calibration(Lists.build(items, metadata, history=history))
    for user in range(3):
        best = min(
            diversity.category_calibration(Lists.build(np.array([pair]), metadata, history=history[[user]]))[0]
            for pair in itertools.combinations(pool[user], 2)
        )
        assert found[user] <= best + 0.25


def test_tail_strength_one_lists_the_tail_first():
    pool, scores, history, metadata = world()
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="tail", strength=1.0), 12)
    lifted = metadata.tail[items]
    assert (np.diff(lifted.astype(int), axis=1) <= 0).all()


def test_caps_hold_as_long_as_the_pool_allows():
    pool, scores, history, metadata = world()
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="caps", strength=0.75), 4)
    for user in range(len(pool)):
        available = len(set(metadata.category_matrix[pool[user]].indices))
        counts = np.bincount(metadata.category_matrix[items[user]].indices)
        assert (counts > 0).sum() == min(4, available)  # ceil(4 · 0.25) = one per category


def test_threshold_mode_lists_what_is_good_enough():
    pool, scores, history, metadata = world()
    limit = float(np.median(scores))
    items, values = rerank(pool, scores, history, metadata, RerankOptions(min_score=limit), 12)
    assert ((items >= 0) == (scores >= limit)).all()
    assert (values[items >= 0] >= limit).all()


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_more_strength_means_more_diversity_and_less_relevance(method):
    """MMR gains distances, a DPP the volume that a list spans. Both are greedy: it holds of many users, not of each."""
    pool, scores, history, metadata = world(0, n_users=2000, size=20)
    varied, total = [], []
    for strength in (0.0, 0.5, 1.0):
        items, values = rerank(pool, scores, history, metadata, RerankOptions(method=method, strength=strength), 4)
        listed = metadata.vectors[items]
        volume = np.linalg.slogdet(listed @ listed.transpose(0, 2, 1))[1]
        distance = diversity.intra_list_diversity(Lists.build(items, metadata))
        varied.append((distance if method == "mmr" else volume).mean())
        total.append(values.sum())
    assert varied[0] < varied[1] < varied[2]
    assert total[0] > total[1] > total[2]


def test_relevance_is_scaled_per_user():
    found = relevance(np.array([[3.0, 2.0, -np.inf], [1.0, 1.0, 1.0]], np.float32))
    assert found.tolist() == [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


def test_the_frontier_starts_at_the_list_as_it_is_and_balance_loses_no_more_than_allowed():
    pool, scores, history, metadata = world(n_users=60, size=20)
    rng = np.random.default_rng(0)
    # What is wanted is likelier the better its place.
    wanted = rng.random(pool.shape) < np.linspace(0.5, 0.1, 20)
    rows = np.repeat(np.arange(60), wanted.sum(axis=1))
    positives = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, pool[wanted])), shape=history.shape)
    options = FrontierOptions(strengths=[0.2, 0.6], pool=20, max_accuracy_loss=0.1)
    table = trace(CandidatePool(pool, scores, history, positives, 30), metadata, options, 5)
    assert len(table) == 1 + 5 * 2
    plain = table.iloc[0]
    hit = hits(pool[:, :5], positives)
    assert plain["ndcg"] == pytest.approx(np.nanmean(ndcg(hit, np.diff(positives.indptr), 5)))
    assert plain["aplt"] == pytest.approx(metadata.tail[pool[:, :5]].mean())
    assert plain["catalog_coverage"] == len(np.unique(pool[:, :5])) / 30
    preset = select_balance(table, 0.1, 20)
    chosen = table[(table["method"] == preset.method) & (table["strength"] == preset.strength)].iloc[0]
    assert chosen["ndcg"] >= 0.9 * plain["ndcg"]
    assert preset.method != "none"
    assert (
        select_balance(table[table["method"].isin(["none", "mmr"])].assign(ndcg=[1, 0.5, 0.4]), 0.1, 20).method
        == "none"
    )
