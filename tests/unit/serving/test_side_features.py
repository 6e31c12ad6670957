"""What requests say of the user and the moment: who is served by it, and in place of what."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.models.base import Contexts
from tailor.serving.mlflow_model import read_requests
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tests.unit.serving.conftest import hybrid, listed, recommender_of, scores_of, weights


@pytest.fixture(scope="module")
def item_cluster(by_profile, planted):
    return dict(zip(by_profile.item_ids, planted.item_cluster, strict=True))


@pytest.fixture(scope="module")
def by_profile_always(by_profile):
    """The profile weighs for everybody, whatever the history."""
    blend = weights(((0, {"demographic": 1.0}),), ials=0.5, demographic=0.5)
    return replace(by_profile, model=by_profile.model.with_blend(blend))


def test_who_is_not_known_is_served_by_the_profile(by_profile, planted, item_cluster):
    asked = [Request(profile={"cluster": cluster}) for cluster in sorted(set(planted.user_cluster))]
    answers = by_profile.recommend([*asked, Request(), Request(profile={"cluster": "none of them"})], Settings(k=5))
    for request, answer in zip(asked, answers[:-2], strict=True):
        of_cluster = [item_cluster[item] == request.profile["cluster"] for item in answer.item_ids]
        assert sum(of_cluster) >= 4
        assert answer.path == "profile"
        assert set(answer.reasons) == {"profile"}
    assert [answer.path for answer in answers[-2:]] == ["popular", "popular"]
    assert answers[-2].item_ids == answers[-1].item_ids
    one_by_one = [listed(by_profile, request, k=5) for request in asked]
    assert [answer.item_ids for answer in one_by_one] == [answer.item_ids for answer in answers[:-2]]


def test_the_stored_profile_counts_unless_the_request_says_another(by_profile_always, known, planted):
    """A known user's history stays in any case."""
    stored = int(planted.user_cluster[known])
    other = next(cluster for cluster in sorted(set(planted.user_cluster)) if cluster != stored)
    plain = scores_of(by_profile_always, Request(known))
    pd.testing.assert_series_equal(scores_of(by_profile_always, Request(known, profile={"cluster": stored})), plain)
    said = scores_of(by_profile_always, Request(known, profile={"cluster": other}))
    assert (said[plain.index] - plain).abs().max() > 0.1
    # A value that no train user has is as if nothing were known: not the stored one.
    nothing = scores_of(by_profile_always, Request(known, profile={"cluster": "none of them"}))
    assert (nothing[plain.index] - plain).abs().max() > 0.1
    assert (nothing[said.index] - said).abs().max() > 0.1


def test_of_an_unknown_id_the_profile_is_that_of_the_request_alone(by_profile):
    unknown, anonymous, first = by_profile.recommend(
        [Request("new", profile={"cluster": 0}), Request(profile={"cluster": 0}), Request("new")], Settings(k=5)
    )
    assert unknown == anonymous
    assert first.path == "popular"  # no other user's profile


def test_profiles_of_one_block_do_not_mix(by_profile_always, tables, planted):
    users = tables.users["user_id"].head(8).tolist()
    requests = [Request(user) for user in users] + [Request(users[0], profile={"cluster": 2}), Request()]
    batch = by_profile_always.recommend(requests, Settings(k=6))
    for request, answer in zip(requests, batch, strict=True):
        assert listed(by_profile_always, request, k=6).item_ids == answer.item_ids


def test_explanations_name_the_profile(by_profile):
    answer = listed(by_profile, Request(profile={"cluster": 1}), k=3, explain=True)
    for score, entry in zip(answer.scores, answer.explanations, strict=True):
        assert sum(entry["sources"].values()) + sum(entry["parts"].values()) == pytest.approx(score, abs=1e-4)
        assert entry["sources"]["demographic"] == max(entry["sources"].values())


def test_profiles_survive_the_package(by_profile_always, known, tmp_path):
    by_profile_always.save(tmp_path / "package")
    again = Recommender.load(tmp_path / "package")
    asked = [Request(profile={"cluster": 2}), Request(known), Request(known, profile={"cluster": 1})]
    assert again.recommend(asked, Settings(k=5)) == by_profile_always.recommend(asked, Settings(k=5))


def test_profiles_that_cannot_be_read_are_refused(by_profile, popular):
    with pytest.raises(BadInputError, match=r"Unknown profile field 'clutser'. Did you mean 'cluster'\?"):
        by_profile.recommend([Request(profile={"clutser": 1})])
    with pytest.raises(BadInputError, match="profile: cluster is neither a number nor a text of at most 200"):
        Request(profile={"cluster": [1, 2]})
    with pytest.raises(BadInputError, match="profile: cluster is neither a number nor a text of at most 200"):
        Request(profile={"cluster": "x" * 201})
    with pytest.raises(BadInputError, match=r"Unknown profile field 'cluster'. This model knows: none"):
        popular.recommend([Request(profile={"cluster": 1})])
    with pytest.raises(BadInputError, match=r"Unknown context field 'device'. This model knows: none"):
        popular.recommend([Request(context={"device": "tv"})])
    with pytest.raises(BadInputError, match="Row 0: profile: 'x' is not a mapping"):
        read_requests(pd.DataFrame({"profile": ["x"]}))
    assert read_requests(pd.DataFrame({"profile": [{"cluster": 1}, None]}))[0].profile == {"cluster": 1}


@pytest.fixture(scope="module")
def by_context(tables, planted):
    """Contexts (tv, web), centred: nine in ten items of cluster 0 are taken on tv, one in ten of the others."""
    rng, train = np.random.default_rng(0), tables.matrices["train"].tocoo()
    cluster = planted.item_cluster.to_numpy()
    on_tv = np.where(cluster[train.col] == 0, rng.random(train.nnz) < 0.9, rng.random(train.nnz) < 0.1)
    values = np.where(on_tv[:, None], [0.7, -0.7], [-0.3, 0.3]).astype(np.float32)
    contexts = Contexts(train.row.astype(np.int64), train.col.astype(np.int64), values)
    column = {"name": "context_device", "values": ["tv", "web"], "edges": [], "shares": [0.3, 0.7]}
    blend = weights(((0, {"contextual": 0.9, "popular": 0.1}),), ials=0.3, contextual=0.7, cold_shift=0.0)
    return recommender_of(
        tables,
        hybrid(blend).fit(replace(tables.train_set, contexts=contexts)),
        about={"feature_encoders": {"context": {"columns": [column]}}},
    )


def test_a_request_says_its_moment(by_context, known, item_cluster):
    on_tv, anywhere, nobody = by_context.recommend(
        [Request(known, context={"context_device": "tv"}), Request(known), Request(context={"context_device": "tv"})],
        Settings(k=5),
    )
    assert sum(item_cluster[item] == 0 for item in on_tv.item_ids) >= 4
    assert sum(item_cluster[item] == 0 for item in nobody.item_ids) >= 4
    assert on_tv.item_ids != anywhere.item_ids
    assert set(nobody.reasons) == {"context"}
    assert (on_tv.path, nobody.path) == ("known_user", "context")
    with pytest.raises(BadInputError, match=r"Unknown context field 'device'. .*This model knows: context_device"):
        by_context.recommend([Request(context={"device": "tv"})])


def test_a_moment_counts_for_its_own_request_alone(by_context, known):
    alone = listed(by_context, Request(known), k=5)
    beside = by_context.recommend([Request(context={"context_device": "tv"}), Request(known)], Settings(k=5))[1]
    assert beside.item_ids == alone.item_ids
