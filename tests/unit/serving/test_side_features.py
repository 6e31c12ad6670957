"""What users and moments tell: how it becomes numbers, what it predicts, and who is served by it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tailor.data.hashing import tie_ranks
from tailor.data.side_features import FeatureEncoder, SideFeatures
from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid.blend import SOURCES, BlendModel, BlendWeights
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import fit_weights, known_cells
from tailor.hybrid.scorer import Hybrid
from tailor.models.contextual import Context
from tailor.models.demographic import Profile
from tailor.models.contextual import ContextualConfig
from tailor.hybrid.config import BlendOptions
from tailor.models.demographic import DemographicConfig
from tailor.data.config import SideFeatureOptions
from tailor.pipelines.feature_engineering.nodes import encode_side_features
from tailor.serving.mlflow_model import read_requests
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tests.conftest import by_source
from tests.unit.test_cf import FAST

@pytest.fixture(scope="module")
def served(tables, planted):
    """Every user tells their cluster; nobody's history is looked at for strangers."""
    users = tables.users.assign(cluster=planted.user_cluster[tables.users["user_id"]].to_numpy())
    space = FeatureEncoder.learn(users, SideFeatureOptions(columns=["cluster"], bins=50, min_rows=1), [], "here")
    gate = BlendWeights(warm=BlendModel(by_source(mf=1)), newcomer=((0, by_source(profile=0.9, popular=0.1)),))
    engine = Hybrid(FAST["hybrid"], 0, gate, told=replace(SideFeatures.nothing(), profiles=space.encode(users)))
    ids = tables.items["item_id"]
    return Recommender(
        engine=engine.fit(tables.matrices["train"], tables.warm, tables.features),
        user_ids=tables.users["user_id"].to_numpy(dtype=object),
        item_ids=ids.to_numpy(dtype=object),
        history=tables.matrices["train"],
        tie_rank=tie_ranks(0, ids),
        about={"told_space": {"profile": space.state(), "context": {"columns": []}}},
    )


def test_a_stranger_is_served_by_what_they_tell(served, planted):
    item_cluster = dict(zip(served.item_ids, planted.item_cluster, strict=True))
    told = [Request(profile={"cluster": at}) for at in sorted(set(planted.user_cluster))]
    answers = served.recommend([*told, Request(), Request(profile={"cluster": "none of them"})], Settings(k=5))
    for request, answer in zip(told, answers[:-2], strict=True):
        own = [item_cluster[item] == request.profile["cluster"] for item in answer.item_ids]
        assert sum(own) >= 4
        assert answer.path == "profile"
        assert set(answer.reasons) == {"profile"}
    assert [answer.path for answer in answers[-2:]] == ["popular", "popular"]
    assert answers[-2].item_ids == answers[-1].item_ids
    one_by_one = [served.recommend([request], Settings(k=5))[0] for request in told]
    assert [answer.item_ids for answer in one_by_one] == [answer.item_ids for answer in answers[:-2]]


def test_what_is_told_counts_in_place_of_what_is_known(served, tables):
    """A known user's history stays; an unknown id with a profile is a stranger with a profile."""
    user = str(served.user_ids[int(np.diff(served.history.indptr).argmax())])
    known, told = served.recommend([Request(user), Request(user, profile={"cluster": 0})], Settings(k=5))
    assert known.item_ids == told.item_ids  # the gate's weights of long histories have no profile in them
    stranger, nobody = served.recommend(
        [Request("new", profile={"cluster": 0}), Request(profile={"cluster": 0})], Settings(k=5)
    )
    assert stranger == nobody


def test_explanations_name_the_profile(served):
    answer = served.recommend([Request(profile={"cluster": 1})], Settings(k=3, explain=True))[0]
    for score, told in zip(answer.scores, answer.explanations, strict=True):
        assert sum(told["sources"].values()) + told["other"] == pytest.approx(score, abs=1e-3)
        assert told["sources"]["profile"] == max(told["sources"].values())


def test_profiles_survive_the_package(served, tmp_path):
    served.save(tmp_path / "package")
    again = Recommender.load(tmp_path / "package")
    asked = [Request(profile={"cluster": 2})]
    assert again.recommend(asked, Settings(k=5))[0].item_ids == served.recommend(asked, Settings(k=5))[0].item_ids


def test_profiles_that_cannot_be_read_are_refused(served):
    with pytest.raises(BadInputError, match=r"Unknown profile field 'clutser'. Did you mean 'cluster'\?"):
        served.recommend([Request(profile={"clutser": 1})])
    with pytest.raises(BadInputError, match="profile: cluster is neither a number nor a text of at most 200"):
        Request(profile={"cluster": [1, 2]})
    with pytest.raises(BadInputError, match="profile: cluster is neither a number nor a text of at most 200"):
        Request(profile={"cluster": "x" * 201})
    plain = replace(served, engine=served.engine.sources["mf"])
    with pytest.raises(BadInputError, match="profile, context: a IALS reads none, only the hybrid does"):
        plain.recommend([Request(profile={"cluster": 1})])
    with pytest.raises(BadInputError, match="Row 0: profile: 'x' is not a mapping"):
        read_requests(pd.DataFrame({"profile": ["x"]}))
    assert read_requests(pd.DataFrame({"profile": [{"cluster": 1}, None]}))[0].profile == {"cluster": 1}


def planted_moments(tables, planted, seed=0):
    """Contexts (tv, web), centred: nine in ten items of cluster 0 are taken on tv, one in ten of the others."""
    rng, train = np.random.default_rng(seed), tables.matrices["train"].tocoo()
    cluster = planted.item_cluster.to_numpy()
    on_tv = np.where(cluster[train.col] == 0, rng.random(train.nnz) < 0.9, rng.random(train.nnz) < 0.1)
    moments = np.where(on_tv[:, None], [0.7, -0.7], [-0.3, 0.3]).astype(np.float32)
    asked = np.zeros((train.shape[0], 2), np.float32)
    return SideFeatures(
        np.zeros((0, 0), np.float32), train.row.astype(np.int64), train.col.astype(np.int64), moments, asked
    )


def test_a_request_tells_its_moment(tables, planted):
    told = planted_moments(tables, planted)
    columns = {"name": "context_device", "values": ["tv", "web"], "edges": [], "shares": [0.3, 0.7]}
    gate = BlendWeights(
        warm=BlendModel(by_source(mf=0.3, context=0.7)), newcomer=((0, by_source(context=0.9, popular=0.1)),)
    )
    engine = Hybrid(FAST["hybrid"], 0, gate, told=told)
    ids = tables.items["item_id"]
    served = Recommender(
        engine=engine.fit(tables.matrices["train"], tables.warm, tables.features),
        user_ids=tables.users["user_id"].to_numpy(dtype=object),
        item_ids=ids.to_numpy(dtype=object),
        history=tables.matrices["train"],
        tie_rank=tie_ranks(0, ids),
        about={"told_space": {"profile": {"columns": []}, "context": {"columns": [columns]}}},
    )
    user = str(served.user_ids[int(np.diff(served.history.indptr).argmax())])
    on_tv, anywhere, nobody = served.recommend(
        [Request(user, context={"context_device": "tv"}), Request(user), Request(context={"context_device": "tv"})],
        Settings(k=5),
    )
    item_cluster = dict(zip(served.item_ids, planted.item_cluster, strict=True))
    assert sum(item_cluster[item] == 0 for item in on_tv.item_ids) >= 4
    assert sum(item_cluster[item] == 0 for item in nobody.item_ids) >= 4
    assert on_tv.item_ids != anywhere.item_ids
    assert set(nobody.reasons) == {"context"}
    with pytest.raises(BadInputError, match=r"Unknown context field 'device'. .*This model knows: context_device"):
        served.recommend([Request(context={"device": "tv"})])


