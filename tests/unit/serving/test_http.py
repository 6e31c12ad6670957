"""The HTTP face: it answers as the process does, refuses in one sentence, and tells nobody's ids."""

import base64
import hashlib
import re
import time
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from tailor.serving.champion import Champion
from tailor.serving.http import create_app
from tailor.serving.items import ItemStore
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request
from tailor.state.store import StateStore
from tailor.state.tables import StateError
from tests.unit.serving.conftest import listed


@pytest.fixture
def champion(served, tmp_path, monkeypatch):
    one = Champion("tailor", "champion", ItemStore(tmp_path / "items.json"), (replace(served), "7"))
    monkeypatch.setattr(Champion, "refresh", lambda _: False)
    return one


@pytest.fixture
def client(champion):
    with TestClient(create_app(champion)) as app:
        yield app


def test_http_answers_as_the_process_does(client, served):
    user = str(served.user_ids[0])
    answer = client.post("/recommend", json={"user_id": user, "k": 5}).json()
    assert [i["item_id"] for i in answer["items"]] == listed(served, Request(user), k=5).item_ids
    assert [i["rank"] for i in answer["items"]] == [1, 2, 3, 4, 5]
    assert (answer["path"], answer["model_version"]) == ("known_user", "7")
    assert client.get(f"/similar/{served.item_ids[0]}?k=3").json()["items"][0]["rank"] == 1
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/health").json()["status"] == "ok"


def test_http_says_what_the_model_is_and_what_to_ask(client, served, names):
    said = client.get("/model").json()
    assert (said["version"], said["items"], len(said["categories"])) == ("7", len(served.item_ids), len(names))
    assert said["boosts"] == served.operating_point
    asked = client.get("/elicit?k=4").json()
    assert (asked["path"], [item["rank"] for item in asked["items"]]) == ("elicit", [1, 2, 3, 4])
    assert all(item["title"] for item in asked["items"])
    assert len(client.get("/elicit").json()["items"]) == 12
    assert client.get("/elicit?k=101").status_code == client.get("/elicit?k=0").status_code == 422


def test_the_page_may_run_its_own_script_and_style_and_nothing_else(client):
    answer = client.get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    for tag in ("script", "style"):
        (block,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert "src=" not in answer.text  # nothing is fetched
    assert " style=" not in answer.text
    assert " onclick=" not in answer.text


def test_http_items_come_and_go(client, names, champion):
    row = {"item_id": "fresh", "title": "Fresh thing", "genre": names[0]}
    assert client.put("/items", json={"items": [row]}).status_code == 200
    assert client.get("/items?q=fresh thing").json()[0]["item_id"] == "fresh"
    assert champion.items.rows == {"fresh": row}
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


def test_what_lies_at_a_bound_is_answered(client, served):
    item = served.item_ids[0]
    assert len(client.get(f"/similar/{item}?k=1").json()["items"]) == 1
    assert len(client.get("/items?k=1").json()) == 1
    assert client.get("/items?k=1000").status_code == client.get(f"/similar/{item}?k=1000").status_code == 200
    assert client.get(f"/similar/{item}?k=1001").status_code == 422
    assert client.get("/items", params={"q": "x" * 100}).json() == []
    assert client.get("/items", params={"q": "x" * 101}).status_code == 422
    assert client.post("/recommend", json={"k": 1}).status_code == 200
    assert client.post("/recommend", json={"query": "x" * 500}).status_code == 200
    assert client.post("/recommend", content=b"x" * 1_000_000).status_code == 422
    assert client.put("/items", json={"items": []}).status_code == 422
    assert len(client.get(f"/similar/{item}").json()["items"]) == len(client.get("/items").json()) == 20


def test_metrics_tell_how_many_how_long_and_of_what(client, served):
    started = time.perf_counter()
    for _ in range(3):
        client.post("/recommend", json={})
    client.post("/recommend", json={"k": 0})
    took = time.perf_counter() - started
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    assert lines['tailor_requests_total{route="/recommend",status="200"}'] == "3.0"
    assert lines['tailor_requests_total{route="/recommend",status="422"}'] == "1.0"
    assert lines['tailor_request_seconds_count{route="/recommend"}'] == "4.0"
    assert 0 < float(lines['tailor_request_seconds_sum{route="/recommend"}']) < took
    assert float(lines["tailor_items"]) == len(served.item_ids)


def test_health_is_503_until_a_model_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(Champion, "refresh", lambda _: False)
    nobody = Champion("tailor", "champion", ItemStore(tmp_path / "items.json"))
    with TestClient(create_app(nobody)) as client:
        answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["version"] == ""


@pytest.mark.parametrize(("disk_full", "status"), [(True, 507), (False, 503)])
def test_http_what_cannot_be_stored_is_said_and_not_answered_with(
    client, names, champion, monkeypatch, disk_full, status
):
    def refuse(*_):
        raise StateError("The state could not be written", disk_full)

    monkeypatch.setattr(StateStore, "put", refuse)
    before = champion.current()
    answer = client.put("/items", json={"items": [{"item_id": "fresh", "title": "Fresh", "genre": names[0]}]})
    assert answer.status_code == status
    assert answer.json() == {"detail": "The state could not be written"}
    assert champion.current() == before
