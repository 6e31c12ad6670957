"""All models of a run on one fabricated catalogue: learners find its clusters, and beat popularity."""

import numpy as np
import pytest

from tailor.metrics.accuracy import hits, ndcg
from tailor.models.listing import recommend
from tailor.models.registry import model_class
from tests.recipes import MODELS, make

LEARNERS = [name for name in MODELS if name not in ("random", "constant", "popular")]


@pytest.fixture(scope="module")
def fitted(tables):
    return {name: make(name).fit(tables.train_set) for name in MODELS}


@pytest.fixture(scope="module")
def clusters(tables, planted):
    """Of items, and of users with a history."""
    known = np.flatnonzero(tables.train_set.queries().lengths > 0)
    of_users = planted.user_cluster[tables.users["user_id"]].to_numpy()
    return planted.item_cluster.to_numpy(), known, of_users[known]


def listed(model, tables, users, candidates, k):
    query, train = tables.train_set.queries().take(users), tables.matrices["train"][users]
    return recommend(model, query, train, {"all": candidates}, k, np.arange(len(candidates)), 64)["all"][0]


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_find_the_planted_clusters(fitted, tables, clusters, name):
    """Users stay in their cluster nine times out of ten; whatever learns puts the own cluster first."""
    of_items, known, of_users = clusters
    items = listed(fitted[name], tables, known, tables.warm, 10)
    assert (of_items[items] == of_users[:, None]).mean() > 0.8


@pytest.mark.parametrize("name", [name for name in LEARNERS if model_class(name).scores_cold_items])
def test_cold_items_of_the_right_cluster_come_first(fitted, tables, clusters, name):
    of_items, known, of_users = clusters
    items = listed(fitted[name], tables, known, ~tables.warm, 1)
    assert (of_items[items[:, 0]] == of_users).mean() > 0.8


def test_learners_beat_popularity_and_popularity_beats_chance(fitted, tables):
    test = tables.matrices["test"]
    known = np.flatnonzero(np.diff(test.indptr) > 0)
    value = {}
    for name, model in fitted.items():
        items = listed(model, tables, known, tables.warm, 10)
        value[name] = np.nanmean(ndcg(hits(items, test[known]), np.diff(test[known].indptr), 10))
    assert value["popular"] > value["random"]
    assert all(value[name] > value["popular"] for name in LEARNERS)
