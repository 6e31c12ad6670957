"""Words, filters, boosts, items that come and go: a recommender whose encoder is the planted truth."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from tailor.data.hashing import tie_ranks
from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.scorer import Hybrid, HybridEngineOptions
from tailor.models.ease import EASEConfig
from tailor.models.ials import IALSConfig
from tailor.serving import items as items_module
from tailor.serving.champion import Champion
from tailor.serving.http import create_app
from tailor.serving.items import ItemStore, put, read_items
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tests.conftest import by_source

TEXT = {"item_template": ["{title}", "{genre}"], "categories": {"column": "genre", "separator": "|"}}


class Planted:
    """Reads the cluster's genre out of a text; words it does not know are no direction at all."""

    def __init__(self, centres: dict[str, np.ndarray]) -> None:
        self.centres = centres

    def encode(self, texts):
        size = len(next(iter(self.centres.values())))
        rows = [sum((v for g, v in self.centres.items() if g in t.lower()), np.zeros(size)) for t in texts]
        return np.array([r / (np.linalg.norm(r) or 1) for r in rows], np.float32)

    def save(self, folder, weights="bf16"):  # noqa: ARG002
        folder.mkdir()
        (folder / "kept.txt").write_text("x")


@pytest.fixture(scope="module")
def served(tables, planted) -> Recommender:
    options = HybridEngineOptions(
        ials=IALSConfig(factors=8, iterations=5, lambda_item_feature=1.0), ease=EASEConfig(text_pull=20.0)
    )
    gate = BlendWeights(warm=BlendModel(by_source(mf=0.5, ease=0.25, text=0.15, popular=0.1)), shift=0.5)
    ids, train = tables.items["item_id"], tables.matrices["train"]
    genre = tables.items["genre"].str.lower()
    centres = {g: tables.features[(genre == g).to_numpy()].mean(axis=0) for g in sorted(set(genre))}
    table = tables.items.assign(year=1980 + np.arange(len(ids)) % 40)
    pieces = pd.Series([json.dumps([f"thing {at}", g]) for at, g in enumerate(table["genre"])])
    categories = pd.DataFrame({"item_id": ids, "category": table["genre"]})
    return Recommender(
        engine=Hybrid(options, 0, gate).fit(train, tables.warm, tables.features),
        user_ids=tables.users["user_id"].to_numpy(dtype=object),
        item_ids=ids.to_numpy(dtype=object),
        history=train,
        tie_rank=tie_ranks(0, ids),
        about={"text": TEXT},
        metadata=ItemMetadata.build(table[["item_id", "title", "genre", "year"]], pieces, categories),
        encoder_of=lambda: Planted(centres),
    )


@pytest.fixture(scope="module")
def genres(served):
    return dict(zip(served.item_ids, (row[0] for row in served.metadata.categories), strict=True))


@pytest.fixture(scope="module")
def names(genres):
    return sorted(set(genres.values()))


def rerank(strength, method="mmr"):
    return {"method": method, "strength": strength}


def listed(served, request, **settings):
    return served.recommend([request], Settings(**({"k": 10} | settings)))[0]


def test_a_category_named_in_words_fills_the_list(served, genres, names):
    answer = listed(served, Request(query=f"{names[0]} please"))
    assert answer.path == "query"
    assert {genres[i] for i in answer.item_ids} == {names[0]}
    assert set(answer.reasons) == {"category"}


def test_negated_categories_never_come(served, genres, names):
    answer = listed(served, Request(query=f"anything but good, no {names[0]} or {names[1]}"), k=100)
    assert answer.item_ids
    assert not {names[0], names[1]} & {genres[i] for i in answer.item_ids}


def test_a_history_weighs_more_beside_a_query_the_longer_it_is(served, tables):
    """n / (n + 5) of the standardised score: with the same query, a longer history changes the list more."""
    user = int(np.diff(tables.matrices["train"].indptr).argmax())
    row = tables.matrices["train"][[user]].indices
    ids = [str(i) for i in served.item_ids[row]]
    plain = listed(served, Request(query="unknown words"), k=160, exclude_seen=False)
    rank = {i: at for at, i in enumerate(plain.item_ids)}

    def moved(n):
        answer = listed(served, Request(query="unknown words", history=ids[:n]), k=160, exclude_seen=False)
        return np.abs([rank[i] - at for at, i in enumerate(answer.item_ids)]).mean()

    assert moved(len(ids)) > 0
    assert moved(1) > 0


def test_filters(served, genres, names):
    answer = listed(served, Request(filters={"categories": [names[1]], "year": {"min": 1990, "max": 1999}}), k=100)
    years = served.metadata.table.set_index("item_id")["year"]
    assert answer.item_ids
    assert {genres[i] for i in answer.item_ids} == {names[1]}
    assert years[answer.item_ids].between(1990, 1999).all()


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"categorys": ["x"]}, "Unknown filter 'categorys'. Did you mean 'categories'?"),
        ({"categories": ["nope"]}, "Unknown category 'nope'"),
        ({"categories": 3}, "a name or a list of names is needed"),
        ({"year": 1990}, "Filter year = 1990: write"),
        ({"year": {"min": "x"}}, "min and max must be numbers"),
        ({"year": {"least": 3}}, "Filter year"),
    ],
)
def test_bad_filters_are_refused_by_name(served, filters, words):
    with pytest.raises(BadInputError) as refused:
        listed(served, Request(filters=filters))
    assert words in str(refused.value)


def test_weights_are_confidences(served):
    ids = [str(i) for i in served.item_ids[:3]]
    one = listed(served, Request(history=ids, weights=[1, 1, 1]))
    assert one.scores == listed(served, Request(history=ids)).scores
    assert listed(served, Request(history=ids, weights=[5, 1, 1])).scores != one.scores
    # The last item counts 1, the one before it .5 ** (1 / half_life).
    by_hand = listed(served, Request(history=ids, weights=[0.25, 0.5, 1]))
    np.testing.assert_allclose(listed(served, Request(history=ids), half_life=1.0).scores, by_hand.scores, rtol=1e-5)


@pytest.mark.parametrize(
    ("request_of", "words"),
    [
        (lambda: Request(history=["a"], weights=[1, 2]), "weights: 2 for a history of 1"),
        (lambda: Request(history=["a"], weights=[0]), r"weights\[0\] = 0 is out of bounds: above 0, up to 100"),
        (lambda: Request(history=["a"], weights=[float("nan")]), r"weights\[0\] = nan is not a finite number"),
        (lambda: Request(query="x" * 501), "query: 501 characters; send at most 500"),
        (
            lambda: Settings(rerank={"method": "mmr", "strength": 2.0}),
            r"rerank\.strength = 2\.0 is out of bounds: 0 to 1",
        ),
        (
            lambda: Settings(rerank={"method": "mr", "strength": 0.2}),
            r"rerank\.method: no re-ranker 'mr'\. Did you mean 'mmr'",
        ),
        (lambda: Settings(rerank={"method": "mmr"}), r"rerank\.strength is missing"),
        (
            lambda: Settings(rerank={"metod": "mmr", "strength": 0.2}),
            r"Unknown field 'rerank\.metod'. Did you mean 'method'",
        ),
        (lambda: Settings(diversity=0.2), r"write rerank: \{method: mmr, strength: 0\.2\}"),
        (lambda: Settings(half_life=0.0), "half_life = 0.0 is out of bounds"),
    ],
)
def test_bounds(request_of, words):
    with pytest.raises(BadInputError, match=words):
        request_of()


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_rerank_varies_a_list_and_0_is_the_list(served, tables, method):
    user = Request(str(served.user_ids[int(np.diff(tables.matrices["train"].indptr).argmax())]))
    plain, *same = (listed(served, user, rerank=off) for off in (None, rerank(0.0, method), rerank(0.7, "none")))
    assert same == [plain, plain]
    varied = listed(served, user, rerank=rerank(0.7, method))

    def likeness(answer):
        rows = served.features[served.item_indices(answer.item_ids)]
        return (rows @ rows.T).mean()

    assert likeness(varied) < likeness(plain)


def test_explanations_add_up(served, tables):
    user = str(served.user_ids[int(np.diff(tables.matrices["train"].indptr).argmax())])
    answer = listed(served, Request(user), explain=True)
    for score, why in zip(answer.scores, answer.explanations, strict=True):
        assert sum(why["sources"].values()) + why["other"] == pytest.approx(score, abs=1e-3)
        assert 1 <= len(why["history"]) <= 5
        assert len(why["words"]) == 2  # a title and a genre
    told = listed(served, Request(query="some words"), explain=True).explanations
    assert set(told[0]["query"]) == {"some", "words"}


def test_the_words_left_out_are_what_the_score_loses(served, tables):
    """The title says nothing to this encoder, the genre everything: w_text p·(e - 0) / σ_text."""
    user = int(np.diff(tables.matrices["train"].indptr).argmax())
    answer = listed(served, Request(str(served.user_ids[user])), explain=True)
    for why in answer.explanations:
        title, genre = why["words"].values()
        assert title == pytest.approx(0, abs=1e-6)
        assert genre != 0


def test_similar_items_share_a_genre(served, genres):
    ids, scores = served.similar(str(served.item_ids[0]), 5)
    assert str(served.item_ids[0]) not in ids
    assert scores == sorted(scores, reverse=True)
    assert genres[ids[0]] == genres[served.item_ids[0]]
    with pytest.raises(BadInputError, match="Unknown item 'ghost'"):
        served.similar("ghost")


def test_an_item_is_recommendable_when_it_has_come(served, genres, names):
    row = {"item_id": "fresh", "title": "Fresh", "genre": names[0], "year": 2001}
    grown = put(served, read_items(served, [row]))
    wanted = listed(grown, Request(query=names[0]), k=160)
    assert "fresh" in wanted.item_ids
    # No other score moves.
    user = Request(str(served.user_ids[0]))
    own = listed(served, user, k=160)
    before = dict(zip(own.item_ids, own.scores, strict=True))
    after = listed(grown, user, k=161)
    assert "fresh" in after.item_ids
    moved = [abs(before[i] - s) for i, s in zip(after.item_ids, after.scores, strict=True) if i != "fresh"]
    assert max(moved) < 1e-5
    assert listed(grown, Request(history=["fresh"])).path == "fold_in"
    assert "fresh" not in served.item_ids


def test_changed_texts(served, names, tables):
    cold = str(served.item_ids[np.flatnonzero(~tables.warm)[0]])
    warm = str(served.item_ids[np.flatnonzero(tables.warm)[0]])
    rows = [{"item_id": i, "title": "Other", "genre": names[-1]} for i in (cold, warm)]
    changed = put(served, read_items(served, rows))
    found = listed(changed, Request(query=names[-1]), k=160).item_ids
    assert {cold, warm} <= set(found)
    assert len(found) == len(set(found)) == len(listed(served, Request(query="x"), k=160).item_ids)
    at = changed.item_indices([warm])[0]
    np.testing.assert_array_equal(
        changed.engine.sources["mf"].item_factors[at], served.engine.sources["mf"].item_factors[at]
    )
    assert changed.metadata.titles[at] == "Other"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "0 items in one call"),
        ([{"title": "x"}], "item_id of its own"),
        ([{"item_id": "a"}, {"item_id": "a"}], "item_id of its own"),
        ([{"item_id": "a\x00"}], "printable"),
        ([{"item_id": "a", "titel": "x"}], "Unknown column 'titel'. Did you mean 'title'?"),
        ([{"item_id": "a", "title": "x" * 10_001}], "title: "),
    ],
)
def test_bad_items_are_refused(served, rows, words):
    with pytest.raises(BadInputError) as refused:
        read_items(served, rows)
    assert words in str(refused.value)


def test_a_store_outlives_the_process_and_an_interruption(served, names, tmp_path, monkeypatch):
    path = tmp_path / "items.json"
    store, gone = ItemStore.open(path), str(served.item_ids[3])
    grown = store.put(served, [{"item_id": "fresh", "title": "Fresh", "genre": names[0]}])
    shrunk = store.remove(grown, [gone])
    again = ItemStore.open(path).apply(served)
    for model in (shrunk, again):
        found = listed(model, Request(), k=200).item_ids
        assert "fresh" in found
        assert gone not in found
    written = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(items_module.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        store.put(shrunk, [{"item_id": "half", "title": "Half", "genre": names[0]}])
    assert path.read_bytes() == written
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("{")
    with pytest.raises(BadInputError, match="cannot be read; restore it or delete it"):
        ItemStore.open(path)


def test_an_item_that_was_removed_comes_back_when_it_is_put(served, names, tmp_path):
    store = ItemStore.open(tmp_path / "items.json")
    row = {"item_id": "fresh", "title": "Fresh", "genre": names[0]}
    model = store.remove(store.put(served, [row]), ["fresh"])
    assert "fresh" not in listed(model, Request(), k=200).item_ids
    assert "fresh" in listed(store.put(model, [row]), Request(), k=200).item_ids


def test_a_damaged_package_is_refused_by_its_hash(served, tmp_path):
    served.save(tmp_path / "package")
    Recommender.load(tmp_path / "package")
    ids = tmp_path / "package/ids.npz"
    ids.write_bytes(ids.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInputError, match=r"Damaged package: ids\.npz is not what was registered"):
        Recommender.load(tmp_path / "package")
    (tmp_path / "package/manifest.json").unlink()
    with pytest.raises(BadInputError, match=r"manifest\.json is missing"):
        Recommender.load(tmp_path / "package")


@pytest.fixture
def champion(served, tmp_path, monkeypatch):
    found = Champion("tailor", "champion", ItemStore(tmp_path / "items.json"), (replace(served), "7"))
    monkeypatch.setattr(Champion, "refresh", lambda _: False)
    return found


@pytest.fixture
def client(champion):
    with TestClient(create_app(champion)) as found:
        yield found


def test_http_answers_as_the_process_does(client, served):
    user = str(served.user_ids[0])
    told = client.post("/recommend", json={"user_id": user, "k": 5}).json()
    assert [i["item_id"] for i in told["items"]] == listed(served, Request(user), k=5).item_ids
    assert [i["rank"] for i in told["items"]] == [1, 2, 3, 4, 5]
    assert (told["path"], told["model_version"]) == ("known_user", "7")
    assert client.get(f"/similar/{served.item_ids[0]}?k=3").json()["items"][0]["rank"] == 1
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/health").json()["status"] == "ok"


def test_http_items_come_and_go(client, names, champion):
    row = {"item_id": "fresh", "title": "Fresh thing", "genre": names[0]}
    assert client.put("/items", json={"items": [row]}).status_code == 200
    assert client.get("/items?q=fresh thing").json()[0]["item_id"] == "fresh"
    assert json.loads(champion.items.path.read_text())["items"] == [row]
    assert client.delete("/items/fresh").json() == {"removed": 1}
    assert client.get("/items?q=fresh thing").json() == []
    assert client.delete("/items/ghost").status_code == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"usr": "u"}, "Unknown field 'usr'"),
        ({"histroy": ["i1"]}, "Unknown field 'histroy'. Did you mean 'history'?"),
        ({"k": 0}, "k = 0 is out of bounds: 1 to 1000"),
        ({"k": 1001}, "k = 1001 is out of bounds: 1 to 1000"),
        ({"history": ["a"] * 1001}, "history: 1001 items in one request; send at most 1000"),
        ({"diversity": 0.2}, "write rerank: {method: mmr, strength: 0.2}"),
        ({"rerank": {"method": "mr", "strength": 0.2}}, "rerank.method: no re-ranker 'mr'. Did you mean 'mmr'?"),
        ({"history": ["a"], "weights": [1, 2]}, "weights: 2 for a history of 1"),
        ({"filters": {"nope": 1}}, "Unknown filter 'nope'"),
        ({"query": "x" * 501}, "query: 501 characters; send at most 500"),
        ({"tail_boost": "nan"}, "finite number"),
    ],
)
def test_http_refuses_by_name(client, body, words):
    answer = client.post("/recommend", json=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_http_limits(client):
    assert client.post("/recommend", content=b"x" * 1_000_001).status_code == 413
    assert client.post("/recommend", content=iter([b"{}"])).status_code == 411
    broken = client.post("/recommend", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 422
    assert broken.json()["detail"].startswith("The body is not JSON: ")
    assert (
        client.get("/items?k=0").json()["detail"]
        == "k = 0 is out of bounds: Input should be greater than or equal to 1"
    )


def test_a_token_guards_everything_but_health(champion):
    with TestClient(create_app(champion, "secret")) as client:
        for method, path in (("POST", "/recommend"), ("GET", "/items"), ("GET", "/metrics"), ("PUT", "/items")):
            assert client.request(method, path, json={}).status_code == 401
        right = {"Authorization": "Bearer secret"}
        assert client.post("/recommend", json={}, headers=right).status_code == 200
        assert client.get("/health").status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(champion, monkeypatch):
    import time

    monkeypatch.setattr(Recommender, "recommend", lambda *_: time.sleep(0.3))
    with TestClient(create_app(champion, timeout_s=0.05)) as client:
        answer = client.post("/recommend", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_metrics_tell_no_ids(client, served):
    client.post("/recommend", json={"user_id": str(served.user_ids[0])})
    client.get(f"/similar/{served.item_ids[0]}")
    text = client.get("/metrics").text
    assert 'tailor_requests_total{route="/recommend",status="200"} 1.0' in text
    assert 'route="/similar/{item_id:path}"' in text
    assert "tailor_model_version 7.0" in text


def test_a_scenario_fills_in_what_a_request_leaves_open(served):
    scenarios = {"drama": {"filters": {"categories": [served.metadata.vocabulary.names[0]]}, "rerank": rerank(1.0)}}
    model = replace(served, about=served.about | {"scenarios": scenarios})
    asked, name = Request(history=["i1", "i2"]), served.metadata.vocabulary.names[0]
    found = model.recommend([asked], Settings(k=8, scenario="drama"))[0]
    by_hand = Request(history=asked.history, filters={"categories": [name]})
    assert found == model.recommend([by_hand], Settings(k=8, rerank=rerank(1.0)))[0]
    assert found != model.recommend([by_hand], Settings(k=8))[0]
    plain = model.recommend([asked], Settings(k=8, scenario="drama", rerank=rerank(0.0)))[0]
    assert plain == model.recommend([by_hand], Settings(k=8))[0]
    other = Request(history=asked.history, filters={"categories": [served.metadata.vocabulary.names[1]]})
    assert model.recommend([other], Settings(k=8, scenario="drama", rerank=rerank(0.0))) == model.recommend(
        [other], Settings(k=8)
    )
    with pytest.raises(BadInputError, match=r"Unknown scenario 'drma'. Did you mean 'drama'\? This model has: drama"):
        model.recommend([asked], Settings(scenario="drma"))
