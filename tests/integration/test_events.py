"""From raw tables with kinds of behaviour to lists: strengths beat all kinds alike, and buys alone."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor import columns as c
from tailor.data.buckets import item_table, user_table
from tailor.data.cleaning import RowRules, clean
from tailor.data.config import CleaningOptions, ColumnOptions, SplitOptions
from tailor.data.events import EventOptions
from tailor.data.fabricate import planted_catalogue, with_views
from tailor.data.interactions import restrict_strengths, split_matrix, strength_matrix, warm_items
from tailor.data.quality import QualityReport
from tailor.data.split import split_interactions
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Query, TrainSet
from tailor.models.listing import recommend
from tailor.models.registry import build

NAMES = ("user_id", "item_id", "event", "timestamp")
COLUMNS = ColumnOptions(interactions={name: name for name in NAMES}, items={"item_id": "item_id", "title": "title"})
SPLIT = SplitOptions(cold_items=0.0, new_users=0.0, pseudo_cold=0.0, train=0.5, validation=0.1)
MODELS = {"ials": {"factors": 8}, "ease": {"regularization": 30.0}}


@pytest.fixture(scope="module")
def catalogues():
    """Two catalogues of few buys, which follow taste, and many views, most of which follow nothing."""
    return [tables_of(seed) for seed in (0, 1)]


def tables_of(seed):
    planted = planted_catalogue(seed=seed, n_users=300, n_items=200, per_user=6)
    planted = with_views(planted, 16, noise=0.7, seed=seed)
    raw = {"interactions": planted.interactions, "items": planted.items, "users": pd.DataFrame()}
    options = EventOptions(weights={"view": 0.2, "buy": 1.0})
    cleaned = clean(raw, COLUMNS, CleaningOptions(), QualityReport(), RowRules(events=options))
    interactions, items = cleaned.interactions, cleaned.items
    interactions[c.SPLIT] = split_interactions(interactions, SPLIT, 0, options.least_of_hit)
    return interactions, item_table(items, interactions, SPLIT, 0.8, 0), user_table(cleaned.users, interactions)


def measured(tables, model, arm):
    """NDCG@10 per user of held-out buys, after learning from kinds in one way."""
    interactions, items, users = tables
    train, test = (split_matrix(interactions, users, items, [label]) for label in (c.TRAIN, c.TEST))
    strengths = strength_matrix(interactions, users, items, (c.TRAIN,))
    learnt = sparse.csr_matrix(train.multiply(strengths == 1), dtype=np.float32) if arm == "buys" else train
    confidence = restrict_strengths(strengths, train) if arm == "strengths" else None
    fitted = build(model, MODELS[model], 0).fit(TrainSet.of(learnt, warm_items(items), confidence=confidence))
    every = {c.MIXED: np.ones(len(items), bool)}
    query = Query.of(learnt, confidence=confidence)
    lists = recommend(fitted, query, train, every, 10, np.arange(len(items)))[c.MIXED][0]
    return ndcg(hits(lists, test), np.diff(test.indptr), 10)


def test_no_view_is_measured_and_views_are_learnt_from(catalogues):
    interactions = catalogues[0][0]
    by_label = interactions.groupby(c.SPLIT)[c.CONFIDENCE]
    assert by_label.min()[[c.VALIDATION, c.TEST]].tolist() == [1, 1]
    assert by_label.min()[c.TRAIN] == pytest.approx(0.2)


@pytest.mark.parametrize("model", MODELS)
def test_strengths_beat_all_alike_and_buys_alone(catalogues, model):
    arms = ("strengths", "alike", "buys")
    of_arm = {arm: np.concatenate([measured(tables, model, arm) for tables in catalogues]) for arm in arms}
    for other in ("alike", "buys"):
        compared = paired_bootstrap(of_arm["strengths"], of_arm[other])
        assert compared.low > 0, (other, compared)
