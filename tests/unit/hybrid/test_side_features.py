"""Profiles and contexts in the hybrid: who is served by them, what the blend makes of them, what an update keeps."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.data.interactions import empty_rows
from tailor.data.side_features import SideFeatures
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import fit_weights, known_users
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Contexts, Query
from tailor.models.store import load_models, save_models
from tests.conftest import by_source
from tests.recipes import hybrid

ON_TV, ON_THE_WEB = np.array([0.7, -0.7], np.float32), np.array([-0.3, 0.3], np.float32)


def weights(warm, without_history):
    few_shot = ((0, without_history),)
    return BlendWeights(tuple(SOURCES), BlendModel(warm), few_shot, by_source(ials=1))


@pytest.fixture(scope="module")
def cluster_profiles(tables, planted):
    """The cluster of each user, as centred indicators (U, 4)."""
    cluster = planted.user_cluster[tables.users["user_id"]].to_numpy()
    return np.eye(cluster.max() + 1, dtype=np.float32)[cluster] - np.float32(1 / (cluster.max() + 1))


@pytest.fixture(scope="module")
def contexts(tables, planted):
    """Nine in ten items of cluster 0 are taken on tv, one in ten of the others."""
    rng, train = np.random.default_rng(0), tables.matrices["train"].tocoo()
    of_first = planted.item_cluster.to_numpy()[train.col] == 0
    on_tv = np.where(of_first, rng.random(train.nnz) < 0.9, rng.random(train.nnz) < 0.1)
    values = np.where(on_tv[:, None], ON_TV, ON_THE_WEB)
    return Contexts(train.row.astype(np.int64), train.col.astype(np.int64), values)


def test_a_profile_serves_users_without_history(tables, planted, cluster_profiles, tmp_path):
    """Users' clusters as profiles: of whom the cluster is known, and nothing else, gets its items."""
    blend = weights(by_source(ials=1), by_source(demographic=1))
    scorer = hybrid(blend).fit(replace(tables.train_set, profiles=cluster_profiles))
    query = Query.of(empty_rows(*tables.train_set.interactions.shape), profile=cluster_profiles)
    scores = scorer.score(query)
    cluster = cluster_profiles.argmax(axis=1)
    assert (planted.item_cluster.to_numpy()[scores.argmax(axis=1)] == cluster).mean() > 0.95
    save_models(tmp_path / "model.safetensors", {"model": scorer})
    again = load_models(tmp_path / "model.safetensors")["model"]
    np.testing.assert_allclose(again.score(query), scores, rtol=1e-4, atol=1e-5)


def test_the_blend_finds_what_the_moment_is_worth(tables, planted, contexts):
    """Validation lists are asked for in moments; where those tell the cluster, context has a weight."""
    validation = tables.matrices["validation"].tocoo()
    asked = np.zeros((len(tables.users), 2), np.float32)
    for user, cluster in zip(validation.row, planted.item_cluster.to_numpy()[validation.col], strict=True):
        asked[user] = ON_TV if cluster == 0 else ON_THE_WEB
    side = SideFeatures(
        np.zeros((len(tables.users), 0), np.float32), contexts.users, contexts.items, contexts.values, asked
    )
    matrices = tables.matrices
    holdout = Holdout.build(matrices["train"], matrices["validation"], tables.items, 0, side_features=side)
    scorer = hybrid().fit(holdout.train_set(tables.features))
    options = BlendOptions(models=["linear"])
    known = known_users(scorer, holdout, options, 0)
    assert "contextual" not in known.uninformative()
    assert "demographic" in known.uninformative()
    blend, _ = fit_weights(known, holdout, options, 10, 0)
    assert dict(zip(blend.sources, blend.warm.base, strict=True))["contextual"] > 0


def test_an_update_keeps_what_moments_say(tables, contexts, cluster_profiles, tmp_path):
    """A loaded scorer knows no single moments any more; profiles are learnt anew, and users who came have none."""
    data = replace(tables.train_set, profiles=cluster_profiles, contexts=contexts)
    scorer = hybrid().fit(data)
    save_models(tmp_path / "model.safetensors", {"model": scorer})
    loaded = load_models(tmp_path / "model.safetensors")["model"]
    updated = loaded.partial_fit(replace(data, contexts=Contexts.none()), 1)
    np.testing.assert_array_equal(updated.sources["contextual"].weights, scorer.sources["contextual"].weights)
    np.testing.assert_array_equal(updated.sources["demographic"].weights, scorer.sources["demographic"].weights)
    nobody = empty_rows(1, data.n_items)
    assert updated.sources["contextual"].score(Query.of(nobody, context=ON_TV[None])).any()
    assert not updated.sources["demographic"].score(Query.of(nobody)).any()
