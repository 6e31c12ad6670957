"""Frontiers of re-ranking, and the setting that is chosen on them."""

import numpy as np
import pytest
from scipy import sparse

from tailor.config import parse
from tailor.errors import ConfigurationError
from tailor.evaluation.trade_off import CandidatePool, FrontierOptions, select_balance, trace
from tailor.metrics.accuracy import hits, ndcg
from tailor.rerank import best_of
from tests.unit.rerank.worlds import world


def test_the_old_name_of_the_accuracy_loss_is_refused_with_the_new_one():
    with pytest.raises(ConfigurationError, match="'max_price' is now called 'max_accuracy_loss'"):
        parse(FrontierOptions, {"max_price": 0.1}, "evaluation.frontier")


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


def test_places_kept_are_traced_and_never_the_preset():
    pool, scores, history, metadata = world(n_users=40, size=20)
    rng, n = np.random.default_rng(0), history.shape[1]
    positives = sparse.csr_matrix((rng.random(history.shape) < 0.2).astype(np.float32))
    members, all_scores = {"new": np.zeros(n, bool), "tail": metadata.tail}, np.full((40, n), -np.inf, np.float32)
    np.put_along_axis(all_scores, pool, scores, axis=1)
    best = {name: best_of(all_scores, of_class, 5, np.arange(n)) for name, of_class in members.items()}
    candidates = CandidatePool(pool, scores, history, positives, 30, members, best)
    options = FrontierOptions(methods=[], min_exposure=[{"new": 0, "tail": 8}], pool=20)
    table = trace(candidates, metadata, options, 5)
    assert table["method"].tolist() == ["none", "min_exposure(new=0, tail=8)"]
    of_tail = metadata.tail[pool]
    least = np.minimum(2, of_tail.sum(axis=1))  # 8 of 20 are 2 of 5
    expected = np.maximum(of_tail[:, :5].sum(axis=1), least) / 5
    assert table["aplt"].iloc[1] == pytest.approx(expected.mean())
    assert table["aplt"].iloc[1] > table["aplt"].iloc[0]
    assert select_balance(table.assign(ndcg=1.0), 0.5, 20).method == "none"
