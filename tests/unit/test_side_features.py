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

USERS = pd.DataFrame(
    {
        "user_id": [f"u{at}" for at in range(40)],
        "n_train": [5] * 39 + [0],
        "gender": ["F", "M", "F", "unknown"] * 9 + ["F", "x", None, "M"],
        "age": np.arange(40) + 15.0,
    }
)
OPTIONS = SideFeatureOptions(columns=["gender", "age"], bins=4, min_rows=5)
SPACE = FeatureEncoder.learn(USERS[USERS["n_train"] > 0], OPTIONS, ["unknown"], "here")


def test_values_and_intervals():
    gender, age = SPACE.columns
    assert gender.values == ("F", "M")  # noqa: PD011  ("x" is too rare, "unknown" missing)
    assert gender.shares == (19 / 28, 9 / 28)  # of those who tell; the user without train rows is not asked
    ages = USERS["age"][:39]
    assert age.edges == tuple(np.quantile(ages, [0.25, 0.5, 0.75]))
    assert len(age.values) == 4


def test_rows_are_centred_and_nothing_told_is_zero():
    table = SPACE.encode(USERS)
    assert table.shape == (40, 6)
    np.testing.assert_allclose(table[0, :2], [1 - 19 / 28, -9 / 28], rtol=1e-6)
    assert not table[3, :2].any()  # unknown
    assert not table[37, :2].any()  # too rare
    np.testing.assert_allclose(table[:39, 2:].mean(axis=0), 0, atol=1e-6)
    assert not SPACE.encode(pd.DataFrame({"other": [1, 2]})).any()


def test_what_requests_tell_is_read_as_the_table_is():
    told = SPACE.encode_side_features([{"gender": "M", "age": 33}, {"age": "16"}, {}], "profile")
    asked = pd.DataFrame({"gender": ["M", None, None], "age": [33.0, 16.0, np.nan]})
    np.testing.assert_array_equal(told, SPACE.encode(asked))
    assert not told[2].any()
    with pytest.raises(BadInputError, match=r"Unknown profile field 'gendre'. Did you mean 'gender'\?"):
        SPACE.encode_side_features([{"gendre": "F"}], "profile")


def test_a_space_is_plain_json():
    again = FeatureEncoder.from_state(json.loads(json.dumps(SPACE.state())))
    assert again == SPACE


def test_a_column_that_is_not_there():
    with pytest.raises(ConfigurationError, match=r"here.columns names 'gendre'. Did you mean 'gender'\?"):
        FeatureEncoder.learn(USERS, SideFeatureOptions(columns=["gendre"]), [], "here")


NOTHING = pd.DataFrame({"user_id": [], "item_id": [], "split": []}, dtype=str)
ITEMS = pd.DataFrame({"item_id": ["a", "b", "c"]})


def test_what_the_node_writes_is_read_again():
    arrays, state = encode_side_features(USERS, ITEMS, NOTHING, {"profile": {"columns": ["gender", "age"], "bins": 4}})
    told = SideFeatures(**arrays)
    np.testing.assert_array_equal(told.profiles, FeatureEncoder.from_state(state["profile"]).encode(USERS))
    assert told.moments.shape == (0, 0)
    assert told.asked.shape == (40, 0)
    nothing = SideFeatures(**encode_side_features(USERS, ITEMS, NOTHING, {})[0])
    assert nothing.profiles.shape == (40, 0)


def test_contexts_are_those_of_train_and_validation_rows():
    rows = pd.DataFrame(
        {
            "user_id": ["u0", "u0", "u1", "u1", "u1", "u2"],
            "item_id": ["a", "b", "a", "b", "c", "c"],
            "split": ["train", "train", "train", "validation", "validation", "test"],
            "context_device": ["tv", "web", "tv", "web", "tv", "tv"],
        }
    )
    arrays, state = encode_side_features(
        USERS, ITEMS, rows, {"context": {"columns": ["context_device"], "min_rows": 1}}
    )
    told, space = SideFeatures(**arrays), FeatureEncoder.from_state(state["context"])
    assert space.columns[0].shares == (2 / 3, 1 / 3)  # of train rows: tv, web
    assert told.users.tolist() == [0, 0, 1, 1, 1]
    assert told.items.tolist() == [0, 1, 0, 1, 2]
    np.testing.assert_allclose(told.moments[0], [1 / 3, -1 / 3], rtol=1e-6)
    np.testing.assert_allclose(told.asked[1], told.moments[3:].mean(axis=0), rtol=1e-6)  # web and tv
    assert not told.asked[[0, 2]].any()


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just("unknown")), min_size=1, max_size=60))
def test_any_column_gives_finite_numbers(values):
    users = pd.DataFrame({"user_id": range(len(values)), "n_train": 1, "age": values})
    table = FeatureEncoder.learn(users, SideFeatureOptions(columns=["age"], min_rows=1), ["unknown"], "here").encode(
        users
    )
    assert np.isfinite(table).all()
    assert (np.abs(table) <= 1).all()


def test_profile_is_ridge_regression_of_what_is_not_popular_anyway():
    rng = np.random.default_rng(0)
    R = sparse.csr_matrix((rng.random((30, 7)) < 0.4).astype(np.float32))
    X = rng.normal(size=(30, 3)).astype(np.float32)
    X[:5] = 0
    found = Profile(DemographicConfig(regularization=2.0), 0, X).fit(R, np.ones(7, bool))
    known = np.diff(R.indptr) > 0
    p = R[known].toarray().mean(axis=0)
    B = np.linalg.solve(X[known].T @ X[known] + 2 * np.eye(3), X[known].T @ (R[known].toarray() - p))
    scores = found.score(R[:9], np.array([0, 5, 6, -1, 7, 8, 9, 10, 11]))
    np.testing.assert_allclose(scores[1], X[5] @ B, rtol=1e-4, atol=1e-6)
    assert not scores[[0, 3]].any()  # who tells nothing, and nobody
    met = found.meeting(np.array([[1.0, 0, 0], [0, 2.0, 0]], np.float32))
    np.testing.assert_allclose(met.score(R[:2], np.array([-3, -2])), np.array([2 * B[1], B[0]]), rtol=1e-4, atol=1e-6)
    assert met.tells(np.array([-1, -2, 0, 5])).tolist() == [False, True, False, True]


def test_without_profiles_it_says_nothing(tables):
    train = tables.matrices["train"]
    assert not Profile(DemographicConfig()).fit(train, tables.warm).score(train[:3]).any()
    with pytest.raises(BadInputError, match="there are 500 profiles of"):
        Profile(DemographicConfig(), 0, np.zeros((500, 1), np.float32)).fit(train[:100], tables.warm)


def test_a_planted_profile_serves_strangers(tables, planted):
    """Users' clusters as profiles: who tells the cluster, and nothing else, gets its items."""
    train = tables.matrices["train"]
    cluster = planted.user_cluster[tables.users["user_id"]].to_numpy()
    told = np.eye(cluster.max() + 1, dtype=np.float32)[cluster] - np.float32(1 / (cluster.max() + 1))
    gate = BlendWeights(warm=BlendModel(by_source(mf=1)), newcomer=((0, by_source(profile=1)),))
    scorer = Hybrid(FAST["hybrid"], 0, gate, told=replace(SideFeatures.nothing(), profiles=told)).fit(
        train, tables.warm, tables.features
    )
    nobody = sparse.csr_matrix((len(told), train.shape[1]), dtype=np.float32)
    best = scorer.score(nobody, np.arange(len(told))).argmax(axis=1)
    assert (planted.item_cluster.to_numpy()[best] == cluster).mean() > 0.95
    again = Hybrid.from_state(scorer.state(), scorer.options)
    np.testing.assert_allclose(
        again.score(nobody[:5], np.arange(5)), scorer.score(nobody[:5], np.arange(5)), rtol=1e-4, atol=1e-5
    )


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


def test_context_is_ridge_regression_of_single_interactions():
    told = SideFeatures(
        np.zeros((0, 0), np.float32),
        np.array([0, 0, 1, 1, 2]),
        np.array([0, 1, 0, 2, 1]),
        np.array([[0.5], [-0.5], [0.5], [0.5], [-0.5]], np.float32),
        np.zeros((3, 1), np.float32),
    )
    train = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0]], np.float32))  # the last row is held out
    found = Context(ContextualConfig(regularization=2.0), 0, told).fit(train, np.ones(3, bool))
    X, E = np.array([[0.5], [-0.5], [0.5], [0.5]]), np.eye(3)[[0, 1, 0, 2]]
    B = np.linalg.solve(X.T @ X + 2 * np.eye(1), X.T @ (E - E.mean(axis=0)))
    np.testing.assert_allclose(found.weights, B, rtol=1e-5, atol=1e-7)
    met = found.meeting(np.array([[1.0], [-1.0]], np.float32))
    nobody = sparse.csr_matrix((3, 3), dtype=np.float32)
    np.testing.assert_allclose(
        met.score(nobody, np.array([-3, -2, 0])), np.vstack([-B, B, 0 * B]), rtol=1e-5, atol=1e-7
    )


def test_without_contexts_it_says_nothing(tables):
    train = tables.matrices["train"]
    assert not Context(ContextualConfig()).fit(train, tables.warm).score(train[:3]).any()


def test_the_gate_finds_what_the_moment_is_worth(tables, planted):
    """Validation lists are asked for in moments; where those tell the cluster, context speaks."""
    told = planted_moments(tables, planted)
    validation = tables.matrices["validation"].tocoo()
    cluster = planted.item_cluster.to_numpy()[validation.col]
    asked = np.zeros_like(told.asked)
    for user, own in zip(validation.row, cluster, strict=True):
        asked[user] = (0.7, -0.7) if own == 0 else (-0.3, 0.3)
    h = Holdout.build(
        tables.matrices["train"], tables.matrices["validation"], tables.items, 0, told=replace(told, asked=asked)
    )
    scorer = Hybrid(FAST["hybrid"], told=h.told).fit(h.train, h.warm, tables.features)
    cells = known_cells(scorer, h, BlendOptions(fusions=["linear"]), 0)
    assert "context" not in cells.silent()
    gate, _ = fit_weights(cells, h, BlendOptions(fusions=["linear"]), 10, 0)
    assert gate.warm.base[SOURCES.index("context")] > 0


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


def test_an_update_keeps_what_moments_say(tables, planted):
    """A loaded scorer knows no single moments any more; profiles of users who come later are unknown."""
    told = replace(
        planted_moments(tables, planted), profiles=np.eye(tables.matrices["train"].shape[0], 3, dtype=np.float32)
    )
    train = tables.matrices["train"]
    scorer = Hybrid(FAST["hybrid"], 0, told=told).fit(train, tables.warm, tables.features)
    loaded = Hybrid.from_state(scorer.state(), scorer.options)
    more = sparse.csr_matrix(sparse.vstack([train, train[:2]]))
    found = loaded.partial_fit(more, tables.features, 1)
    np.testing.assert_array_equal(found.sources["context"].weights, scorer.sources["context"].weights)
    met = found.meeting(np.zeros((1, 3), np.float32), np.array([[0.7, -0.7]], np.float32))
    moved = met.sources["context"].score(more[:1], np.array([-2]))
    assert moved.any()
    assert not found.profiles_of(np.array([train.shape[0]])).any()
