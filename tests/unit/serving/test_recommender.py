import numpy as np
import pandas as pd
import pytest

from tailor.data.hashing import tie_ranks
from tailor.errors import BadInputError
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.scorer import Hybrid, HybridEngineOptions
from tailor.models.baselines import NoOptions, Popular
from tailor.options import EASEOptions, IALSOptions
from tailor.serving.mlflow_model import read_requests
from tailor.serving.package import write_manifest
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tests.conftest import by_source


@pytest.fixture(scope="module")
def recommender(tables) -> Recommender:
    options = HybridEngineOptions(
        ials=IALSOptions(factors=8, iterations=5, lambda_item_feature=1.0),
        ease=EASEOptions(regularization=20.0, text_pull=20.0),
    )
    gate = BlendWeights(warm=BlendModel(by_source(mf=0.5, ease=0.25, popular=0.25)), shift=0.5)
    train = tables.matrices["train"]
    return Recommender(
        engine=Hybrid(options, 0, gate).fit(train, tables.warm, tables.features),
        user_ids=tables.users["user_id"].to_numpy(dtype=object),
        item_ids=tables.items["item_id"].to_numpy(dtype=object),
        history=train,
        tie_rank=tie_ranks(0, tables.items["item_id"]),
        about={"fit_on": "train"},
    )


@pytest.fixture(scope="module")
def known(tables):
    return tables.users["user_id"][tables.users["bucket"] == "q4"].iloc[0]


def history_of(tables, user):
    row = tables.users["user_id"].tolist().index(user)
    return [tables.items["item_id"][i] for i in tables.matrices["train"][[row]].indices]


def test_the_three_paths(recommender, known, tables):
    answers = recommender.recommend([Request(known), Request("nobody", ["i1", "i5"]), Request()], Settings(k=5))
    assert [a.path for a in answers] == ["known_user", "fold_in", "popular"]
    assert all(len(a.item_ids) == len(a.scores) == 5 for a in answers)
    assert all(a.scores == sorted(a.scores, reverse=True) for a in answers)
    counts = tables.items.set_index("item_id")["n_train"]
    assert counts[answers[2].item_ids].tolist() == counts.sort_values(ascending=False).head(5).tolist()


def test_a_known_user_equals_the_own_history(recommender, known, tables):
    by_id, by_history = recommender.recommend(
        [Request(known), Request(None, history_of(tables, known))], Settings(k=10)
    )
    assert by_id.item_ids == by_history.item_ids
    np.testing.assert_allclose(by_id.scores, by_history.scores, rtol=1e-4)


def test_exclude_seen(recommender, known, tables):
    seen = set(history_of(tables, known))
    with_seen, without = (
        recommender.recommend([Request(known)], Settings(k=160, exclude_seen=flag))[0] for flag in (False, True)
    )
    assert seen <= set(with_seen.item_ids)
    assert not seen & set(without.item_ids)
    assert len(without.item_ids) == 160 - len(seen)  # fewer than k where the catalogue ends


def test_a_session_adds_to_what_is_known(recommender, known, tables):
    new = next(i for i in tables.items["item_id"] if i not in history_of(tables, known))
    answer = recommender.recommend([Request(known, [new])], Settings(k=160))[0]
    assert answer.path == "fold_in"
    assert new not in answer.item_ids


def test_unknown_items_are_counted(recommender):
    answers = recommender.recommend([Request(None, ["i1", "ghost", "ghost2"]), Request(None, ["ghost"])], Settings(k=3))
    assert [a.unknown_history for a in answers] == [2, 1]
    assert [a.path for a in answers] == ["fold_in", "popular"]


def test_repeated_history_counts_once(recommender):
    once, twice = recommender.recommend([Request(None, ["i1", "i2"]), Request(None, ["i1", "i1", "i2"])], Settings(k=5))
    assert once.item_ids == twice.item_ids
    np.testing.assert_allclose(once.scores, twice.scores, rtol=1e-5)


def test_batch_equals_single(recommender, tables):
    requests = [Request(user) for user in tables.users["user_id"].head(30)] + [Request(None, ["i3"]), Request()]
    batch = recommender.recommend(requests, Settings(k=7), block_users=16)
    for request, answer in zip(requests, batch, strict=True):
        single = recommender.recommend([request], Settings(k=7))[0]
        assert single.item_ids == answer.item_ids
        np.testing.assert_allclose(single.scores, answer.scores, rtol=1e-4, atol=1e-5)


def test_lists_come_from_the_candidates_and_leave_out_what_is_excluded(recommender, known, tables):
    every = recommender.recommend([Request(known)], Settings(k=160))[0].item_ids
    wanted = every[10:20]
    asked = Request(known, candidates=[*wanted, "ghost"], exclude=wanted[:3])
    answer, rest = recommender.recommend([asked, Request(known)], Settings(k=160))
    assert answer.item_ids == wanted[3:]
    assert answer.unknown_candidates == 1
    assert rest.item_ids == every  # the other request of the call is not touched
    nothing = recommender.recommend([Request(known, candidates=["ghost"])], Settings(k=5))[0]
    assert nothing.item_ids == []


def test_min_score_ends_the_list(recommender, known):
    full = recommender.recommend([Request(known)], Settings(k=20))[0]
    cut = recommender.recommend([Request(known)], Settings(k=20, min_score=full.scores[7]))[0]
    assert cut.item_ids == full.item_ids[:8]


def test_boosts_lift_what_they_name_and_0_is_the_accuracy_ranking(recommender, known, tables):
    def share(bucket, **boosts):
        listed = recommender.recommend([Request(known)], Settings(k=10, **boosts))[0].item_ids
        return (tables.items.set_index("item_id")["bucket"][listed] == bucket).mean()

    assert share("tail", tail_boost=1.0) > share("tail", tail_boost=0.0)
    popular = np.argsort(-recommender.engine.population_score())[:10]
    common = set(recommender.item_ids[popular])

    def shared(**boosts):
        return len(common & set(recommender.recommend([Request(known)], Settings(k=10, **boosts))[0].item_ids))

    assert shared(popularity_debias=1.0) < shared(popularity_debias=0.0)
    assert share("cold", cold_boost=1.0) >= share("cold", cold_boost=0.0)
    plain, zero = (recommender.recommend([Request(known)], s)[0] for s in (Settings(), Settings(tail_boost=0.0)))
    assert plain.scores == zero.scores  # this model stands at 0


def test_a_model_without_boosts_says_so(tables):
    ids = tables.items["item_id"].to_numpy(dtype=object)
    train = tables.matrices["train"]
    served = Recommender(
        Popular(NoOptions()).fit(train, tables.warm), np.array(["u"], dtype=object), ids, train[:1], np.arange(len(ids))
    )
    with pytest.raises(BadInputError, match="tail_boost: a Popular has no boosts"):
        served.recommend([Request()], Settings(tail_boost=0.5))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"k": 10_001}, "k = 10001 is out of bounds: 1 to 10000"),
        ({"tail_boost": 1.5}, "tail_boost = 1.5 is out of bounds: 0 to 1"),
        ({"popularity_debias": 1.01}, "popularity_debias = 1.01 is out of bounds: 0 to 1"),
        ({"cold_boost": -0.1}, "cold_boost = -0.1 is out of bounds"),
        ({"cold_boost": float("nan")}, "cold_boost = nan is not a finite number"),
        ({"min_score": float("nan")}, "min_score = nan is not a finite number"),
        ({"explain": "maybe"}, "explain = 'maybe': Input should be a valid boolean"),
    ],
)
def test_settings_out_of_bounds_are_refused(settings, words):
    with pytest.raises(BadInputError, match=words):
        Settings(**settings)


def test_bounds(recommender):
    with pytest.raises(BadInputError, match="k = 0 is out of bounds"):
        Settings(k=0)
    with pytest.raises(BadInputError, match="10001 items in one request"):
        recommender.recommend([Request(None, ["i1"] * 10_001)])
    with pytest.raises(BadInputError, match="send at most 100000"):
        recommender.recommend([Request()] * 100_001)
    assert recommender.recommend([]) == []


def test_a_package_of_another_version_is_refused(recommender, tmp_path):
    recommender.save(tmp_path)
    (tmp_path / "history.safetensors").rename(tmp_path / "history.npz")
    write_manifest(tmp_path)
    with pytest.raises(BadInputError, match=r"has no history\.safetensors: another version of Tailor wrote it"):
        Recommender.load(tmp_path)


def is_mapped(array) -> bool:
    return isinstance(array, np.memmap) or (array is not None and is_mapped(array.base))


def test_saved_and_loaded_without_pickle(recommender, known, tmp_path):
    recommender.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "about.json",
        "history.safetensors",
        "ids.npz",
        "manifest.json",
        "model.safetensors",
    ]
    np.load(tmp_path / "ids.npz", allow_pickle=False)
    loaded = Recommender.load(tmp_path)
    for array in (loaded.history.data, loaded.engine.sources["ease"].weights, loaded.engine.sources["mf"].item_factors):
        assert not array.flags.writeable
        assert is_mapped(array)
    assert loaded.about == {"fit_on": "train"}
    a, b = (
        r.recommend([Request(known), Request(None, ["i1"]), Request()], Settings(k=9)) for r in (recommender, loaded)
    )
    assert [x.item_ids for x in a] == [x.item_ids for x in b]


def test_any_engine_can_be_served(tables):
    train = tables.matrices["train"]
    popular = Popular(NoOptions()).fit(train, tables.warm)
    ids = tables.items["item_id"].to_numpy(dtype=object)
    served = Recommender(popular, np.array(["u"], dtype=object), ids, train[:1], np.arange(len(ids)))
    assert served.recommend([Request()], Settings(k=1))[0].item_ids == [ids[popular.counts.argmax()]]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("7", "7"),
        (7, "7"),
        (7.0, "7"),
        (np.int64(7), "7"),
        (None, None),
        (float("nan"), None),
        (pd.NA, None),
        (" ", None),
    ],
)
def test_user_ids_of_any_type(user, expected):
    assert read_requests(pd.DataFrame({"user_id": pd.Series([user], dtype=object)}))[0].user_id == expected


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (["a", "b"], ("a", "b")),
        ([1, 2.0, None], ("1", "2")),
        (np.array(["a"]), ("a",)),
        ((), ()),
        (None, ()),
        (float("nan"), ()),
    ],
)
def test_histories_of_any_kind(history, expected):
    assert read_requests(pd.DataFrame({"history": pd.Series([history], dtype=object)}))[0].history == expected


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"usr_id": ["1"]}, r"Unknown column 'usr_id'. Did you mean 'user_id'\?"),
        ({"user_id": ["1"], "colour": ["red"]}, "Unknown column 'colour'"),
        ({"history": ["i1,i2"]}, "Row 0: history: 'i1,i2' is not a list of item ids"),
        ({"history": [3]}, "Row 0: history: '3' is not a list"),
        ({"exclude": ["i1"]}, "Row 0: exclude: 'i1' is not a list of item ids"),
        ({"user_id": [["1"]]}, "Row 0: user_id: .* is not an id"),
        ({"user_id": [1.5]}, "'1.5' is not an id"),
        ({"user_id": [True]}, "'True' is not an id"),
        ({}, "no column"),
    ],
)
def test_bad_requests_are_refused_by_name(frame, words):
    with pytest.raises(BadInputError, match=words):
        read_requests(pd.DataFrame(frame))
