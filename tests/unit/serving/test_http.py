"""The HTTP face: it answers as the process does, refuses in one sentence, and tells nobody's ids."""

import base64
import hashlib
import itertools
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from tailor.serving import bodies, validation
from tailor.serving.champion import Champion
from tailor.serving.guards import FAULT
from tailor.serving.http import VERSION, Limits, create_app
from tailor.serving.items import ItemStore
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request
from tailor.serving.validation import excerpt
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
    with client_of(champion) as app:
        yield app


def client_of(champion, *args, **fields):
    return TestClient(create_app(champion, *args, **fields), "http://localhost")


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
    assert client.delete("/items/ghost").status_code == 404


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


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("get", "/items?kk=3", r"^\?kk: no such parameter\. Did you mean 'k'\? Known: q, k, scenario\.$"),
        ("get", "/similar/i1?user=u1", r"^\?user: no such parameter\. .*Known: k, scenario\.$"),
        ("get", "/model?verbose", r"^\?verbose: no such parameter\. This route has none"),
        ("post", "/recommend?k=3", r"^\?k: no such parameter\. This route has none; what it reads stands in the body"),
        ("delete", "/items/i1?force=1", r"^\?force: no such parameter"),
    ],
)
def test_a_parameter_of_the_address_that_a_route_lacks_is_refused(client, method, path, words):
    answer = client.request(method, path, **({"json": {}} if method == "post" else {}))
    assert answer.status_code == 422
    assert re.search(words, answer.json()["detail"])
    assert client.get("/health?probe=1").status_code == 200  # what watches a server adds what it likes


def test_http_limits(client):
    assert client.post("/recommend", content=b"x" * 1_000_001).status_code == 413
    assert client.post("/recommend", content=iter([b" " * 500_000] * 3)).status_code == 413  # no length is named
    assert client.post("/recommend", content=iter([b"{", b"}"])).status_code == 200
    broken = client.post("/recommend", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 422
    assert broken.json()["detail"].startswith("The body is not JSON: ")
    assert (
        client.get("/items?k=0").json()["detail"]
        == "k = 0 is out of bounds: Input should be greater than or equal to 1"
    )


def test_a_token_guards_everything_but_health(champion):
    with client_of(champion, "secret") as client:
        asked = [("POST", "/recommend"), ("GET", "/items"), ("GET", "/metrics"), ("PUT", "/items"), ("GET", "/nowhere")]
        for method, path in [*asked, ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/docs/swagger-ui.css")]:
            assert client.request(method, path, json={}).status_code == 401
        for right in ("Bearer secret", "bearer secret", "BEARER  secret"):
            assert client.post("/recommend", json={}, headers={"Authorization": right}).status_code == 200
        assert client.get("/health").status_code == client.get("/").status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(champion, monkeypatch):
    monkeypatch.setattr(Recommender, "recommend", lambda *_: time.sleep(0.3))
    with client_of(champion, limits=Limits(timeout_s=0.05)) as client:
        answer = client.post("/recommend", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"] == "No answer within 0.05 s"


def test_a_change_that_takes_too_long_says_what_will_be(champion, monkeypatch):
    began, may_end = threading.Event(), threading.Event()

    def put(_, rows):
        began.set()
        may_end.wait(10)
        return len(rows)

    monkeypatch.setattr(Champion, "put", put)
    body = {"items": [{"item_id": "a"}]}
    with client_of(champion, limits=Limits(timeout_s=0.2)) as client:
        first = client.put("/items", json=body)  # begins, and goes on
        assert (first.status_code, began.is_set()) == (202, True)
        assert "is being made and is not stopped" in first.json()["detail"]
        second = client.put("/items", json=body)  # waits behind it, and is never begun
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        assert second.json()["detail"].startswith("Not begun within 0.2 s")
        may_end.set()


def test_health_and_metrics_answer_while_everything_is_taken(champion, monkeypatch):
    may_end = threading.Event()
    monkeypatch.setattr(Recommender, "recommend", lambda *_: may_end.wait(10))
    with client_of(champion, limits=Limits(at_once=2, waiting=1, timeout_s=0.1)) as client:
        with ThreadPoolExecutor(12) as clients:
            asked = [clients.submit(client.post, "/recommend", json={}) for _ in range(12)]
            statuses = [one.result().status_code for one in asked]
        later = client.post("/recommend", json={})
        assert client.get("/health").status_code == 200
        assert 'tailor_work{kind="answers"} 2.0' in client.get("/metrics").text
        assert {*statuses} == {503}
        assert later.status_code == 503
        may_end.set()


def test_what_nobody_foresaw_is_a_500_with_a_fixed_sentence(champion, monkeypatch, caplog, known):
    def broken(_, requests, *args):
        raise KeyError(f"user {requests[0].user_id}")

    monkeypatch.setattr(Recommender, "recommend", broken)
    with client_of(champion) as client:
        answer = client.post("/recommend", json={"user_id": known})
        assert (answer.status_code, answer.json()) == (500, {"detail": FAULT})
        assert 'tailor_requests_total{route="/recommend",status="500"} 1.0' in client.get("/metrics").text
    assert "KeyError, raised at" in caplog.text
    assert f"user {known}" not in caplog.text


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
    with client_of(nobody) as client:
        answer = client.get("/health")
        assert client.get("/metrics").status_code == 200
    assert answer.status_code == 503
    assert answer.json() == {"status": "no model", "version": "", "last_error": False, "notes": 0}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"min_score": NaN}', "The body is not JSON"),
        (b'{"min_score": -Infinity}', "The body is not JSON"),
        (b'{"min_score": 1e400}', "min_score = inf is not a finite number"),
        (b'{"filters": {"year": {"min": 1e400}}}', "filters.year.min = inf is not a finite number"),
        (b'{"query": "\\ud800"}', "The body is not JSON"),
        (b'{"user_text": ["\\udfff x"]}', "The body is not JSON"),
        (b'{"k": ' + b"9" * 400 + b"}", "k: a whole number of more than 64 bits"),
        (b'{"filters": {"year": ' + b"9" * 400 + b"}}", "filters.year: a whole number of more than 64 bits"),
        (b'{"user_id": ' + b"9" * 5000 + b"}", "The body is not JSON: number out of range"),
        (b'{"filters": ' + b'{"a": ' * 150 + b"1" + b"}" * 151, "more than 16 deep within others"),
        (b'{"filters": ' + b"[" * 100_000, "The body is not JSON: recursion limit exceeded"),
        (b'{"k": true}', "k = True is not a number"),
        (b'{"tail_boost": false}', "tail_boost = False is not a number"),
        (b'{"user_id": true}', "'True' is not an id"),
        (b'{"user_id": "a", "user_id": "b"}', "'user_id' stands twice"),
        (b'{"usr": null}', "Unknown field 'usr'"),
        (b"[]", "The body is no JSON object"),
        (b"", "The body is not JSON"),
        (b"\xff", "The body is not JSON"),
    ],
)
def test_what_is_no_number_and_no_text_is_a_422(client, body, words):
    answer = client.post("/recommend", content=body)
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]
    assert len(answer.content) < 1000


def test_numbers_and_nulls_are_answered_as_everywhere(client, champion, known, names):
    champion.put([{"item_id": "196", "title": "A number", "genre": names[0]}])
    plain = client.post("/recommend", json={"k": 3}).json()
    nulls = {"user_id": None, "history": None, "weights": None, "query": None, "profile": None, "filters": None}
    more = {"k": 3, "rerank": None, "explain": None, "tail_boost": None, "context": None, "exclude_seen": None}
    assert client.post("/recommend", json=nulls | more).json() == plain
    assert len(client.post("/recommend", json={"k": None}).json()["items"]) == 20
    same = [client.post("/recommend", json={"history": [given]}).json() for given in ("196", 196, 196.0, " 196 ")]
    assert all(answer == same[0] for answer in same)
    assert same[0]["unknown_history"] == 0
    spaced = client.post("/recommend", json={"user_id": f" {known} "}).json()
    assert spaced == client.post("/recommend", json={"user_id": known}).json()
    assert client.get("/similar/%20196%20").json() == client.get("/similar/196").json()
    assert client.post("/recommend", json={"query": 1990}).json()["understood"]["filters"] == {
        "year": {"min": 1990.0, "max": 1990.0}
    }


def test_an_id_that_can_be_put_can_be_used(client, names):
    for name in ("y" * 1000, "a/b//c?d=20#e", "/x", "\u00e9t\u00e9"):
        row = {"item_id": name, "title": "T", "genre": names[0]}
        assert client.put("/items", json={"items": [row]}).status_code == 200
        path = quote(name, safe="")
        assert client.get(f"/similar/{path}").status_code == 200, name
        assert client.post("/recommend", json={"history": [name]}).json()["unknown_history"] == 0
        assert client.delete(f"/items/{path}").status_code == 200
    too_long = client.put("/items", json={"items": [{"item_id": "y" * 1001}]})
    assert (too_long.status_code, too_long.json()["detail"]) == (
        422,
        "items[0].item_id has 1001 characters; an id has at most 1000",
    )


def test_a_truth_value_is_no_id_and_overwrites_nothing(client, champion, names):
    champion.put([{"item_id": "1", "title": "One", "genre": names[0]}])
    answer = client.put("/items", json={"items": [{"item_id": True, "title": "Not one"}]})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "items[0].item_id = 'True' is neither a text nor a number",
    )
    assert client.get("/items?q=one").json()[0]["title"] == "One"


def test_a_body_of_wrong_cells_is_refused_shortly(client, monkeypatch):
    """However many values are wrong, those of ten sentences are written: beside the reading they cost nothing."""
    written = []
    for module in (bodies, validation):
        monkeypatch.setattr(module, "excerpt", lambda value: written.append(value) or excerpt(value))
    cells = [{"a": []}] * 1000
    answer = client.put("/items", json={"items": cells})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "items[0].a = '[]' is neither a text nor a number"
    assert len(answer.json()["errors"]) == 10
    assert len(written) == 20  # a name and a value each
    for body in (
        {"items": [{f"c{n}": [] for n in range(900)}] * 60},
        {"items": [[]] * 200_000},
        {"items": [{"x" * 900_000: 1}]},
        {f"k{n}": 1 for n in range(90_000)},
        {f"k{n}": 1 for n in range(900)},
        {"filters": {"x" * 150: "y" * 900_000}},
        {"rerank": {f"k{n}": 1 for n in range(900)}},
        {"history": [[]] * 1000, "weights": ["x"] * 1000},
    ):
        for method, path in (("PUT", "/items"), ("POST", "/recommend")):
            written.clear()
            answer = client.request(method, path, content=json.dumps(body).encode())
            assert len(written) <= 40
            assert answer.status_code in (413, 422)
            assert len(answer.content) < 64 * 1024
            assert len(answer.json().get("errors", [])) <= 10


def test_an_unknown_item_is_a_404(client):
    for answer in (client.get("/similar/ghost"), client.delete("/items/ghost"), client.get("/similar/")):
        assert answer.status_code == 404
    assert client.get(f"/similar/{'g' * 300}").json()["detail"] == f"Unknown item '{'g' * 50}\u2026'"


def test_every_answer_names_its_version_and_is_kept_by_nobody(client, served):
    for answer in (client.post("/recommend", json={}), client.get("/items"), client.get("/model")):
        assert answer.headers[VERSION] == "7"
        assert answer.headers["cache-control"] == "no-store"
    refused = client.get("/items?k=0")
    for answer in (client.get("/items"), refused, client.get("/nowhere"), client.post("/recommend", content=b"{")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_list_and_its_titles_are_of_one_model_while_the_alias_moves(champion, served, monkeypatch):
    """Whatever the champion is asked, it is asked once in a request."""
    other = replace(served, metadata=None)
    turns = itertools.cycle([(served, "7"), (other, "8")])
    monkeypatch.setattr(Champion, "current", lambda _: next(turns))
    with client_of(champion) as client:
        for _ in range(4):
            answer = client.post("/recommend", json={"k": 3})
            titled = answer.json()["items"][0]["title"] != answer.json()["items"][0]["item_id"]
            assert answer.json()["model_version"] == answer.headers[VERSION] == ("7" if titled else "8")
            about = client.get("/model")
            assert about.json()["version"] == about.headers[VERSION] == ("8" if titled else "7")
            client.get("/elicit")  # an odd number of questions, so that both models are asked both


def test_every_refusal_is_counted(champion):
    with client_of(champion, "secret") as client:
        right = {"Authorization": "Bearer secret"}
        client.get("/items")
        client.get("/items", headers=right | {"Host": "evil.example"})
        client.post("/recommend", content=b"x" * 1_000_001, headers=right)
        client.get("/nowhere", headers=right)
        text = client.get("/metrics", headers=right).text
    for status in (401, 421, 413, 404):
        assert f'tailor_requests_total{{route="other",status="{status}"}} 1.0' in text


def test_no_id_is_logged(client, caplog, known):
    caplog.set_level("DEBUG", "tailor")
    client.post("/recommend", json={"user_id": known, "k": 0})
    client.get(f"/similar/{known}")
    client.delete(f"/items/{known}")
    assert known not in caplog.text


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


def test_what_an_item_lacks_and_why_a_version_does_not_answer_is_told(client, champion, monkeypatch):
    assert client.get("/model").json()["serving"] == {"notes": [], "last_error": ""}
    champion.items.notes.append("2 stored items: column 'colour' is set aside, the model has none")
    monkeypatch.setattr(champion, "last_error", "version 8 cannot be loaded")
    assert client.get("/model").json()["serving"] == {
        "notes": ["2 stored items: column 'colour' is set aside, the model has none"],
        "last_error": "version 8 cannot be loaded",
    }
    health = client.get("/health").json()
    assert (health["notes"], health["last_error"]) == (1, True)


def test_an_event_is_in_the_next_answer_of_every_server_on_the_database(client, champion, served, tmp_path):
    other = Champion("tailor", "champion", ItemStore(tmp_path / "items.json"))
    champion.answering = (champion.items.apply(served), "7")
    other.answering = (other.items.apply(served), "7")
    before = client.post("/recommend", json={"user_id": "new", "k": 5}).json()
    liked, refused = (item["item_id"] for item in before["items"][:2])
    sent = [{"kind": "buy", "user_id": "new", "item_id": liked, "event_id": "1"}, {"kind": "buy", "item_id": "ghost"}]
    answer = client.post("/events", json=sent)
    assert (answer.status_code, answer.json()) == (200, {"stored": 2, "known": 0, "unknown_items": 1, "suppressed": 0})
    assert answer.headers[VERSION] == "7"
    assert client.post("/events", json=sent[0]).json() == {"stored": 0, "known": 1, "unknown_items": 0, "suppressed": 0}
    bar = {"kind": "not_for_me", "user_id": "new", "item_id": refused}
    with client_of(other) as elsewhere:
        assert elsewhere.post("/events", json=bar).json()["stored"] == 1
        answers = [app.post("/recommend", json={"user_id": "new", "k": 5}).json() for app in (client, elsewhere)]
    assert answers[0] == answers[1]
    assert answers[0]["path"] == "known_user"
    assert not {liked, refused} & {item["item_id"] for item in answers[0]["items"]}


def test_events_are_refused_by_place_and_field_and_stored_all_or_none(client, champion):
    one = {"kind": "buy", "user_id": "u", "item_id": "i1", "event_id": "1"}
    refused = client.post("/events", json=[one, {"kind": "rate", "item_id": "i1"}])
    assert (refused.status_code, refused.json()["detail"][:23]) == (422, "[1]: value is missing: ")
    assert client.post("/events", json=one).status_code == 200
    other = client.post("/events", json=[one | {"event_id": "2"}, one | {"item_id": "i2"}])
    assert other.status_code == 422
    assert "event_id '1' is stored with another content" in other.json()["detail"]
    assert champion.items.events.store.last_place == 1
    assert client.post("/events", content=b"[" + b" " * 1_000_000).status_code == 413


def test_events_need_the_token_and_come_from_no_page_of_another_origin(champion):
    with client_of(champion, "secret") as client:
        assert client.post("/events", json={}).status_code == 401
        allowed = {"Authorization": "Bearer secret"}
        assert client.post("/events", json={}, headers=allowed).status_code == 422
        elsewhere = allowed | {"Origin": "http://evil.example"}
        assert client.post("/events", json={}, headers=elsewhere).status_code == 403


def test_events_that_take_long_are_to_be_sent_again(champion, monkeypatch):
    monkeypatch.setattr(Champion, "take_events", lambda *_: time.sleep(0.3))
    with client_of(champion, limits=Limits(timeout_s=0.05)) as client:
        answer = client.post("/events", json={"kind": "buy", "item_id": "i1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "Send them again with the same ids" in answer.json()["detail"]


def test_events_on_a_full_disk_are_refused(client, monkeypatch):
    def full(*_):
        raise StateError("The state could not be written: disk is full", disk_full=True)

    monkeypatch.setattr("tailor.state.events.EventStore.append", full)
    answer = client.post("/events", json={"kind": "buy", "item_id": "i1"})
    assert (answer.status_code, answer.json()["detail"]) == (507, "The state could not be written: disk is full")


def test_reach_of_an_item_and_users_for_it(champion):
    with client_of(champion, "secret") as client:
        client.headers["Authorization"] = "Bearer secret"
        reached = client.get("/items/i20/reach?k=10&users=50").json()
        assert (reached["users"], reached["k"], reached["model_version"]) == (50, 10, "7")
        listed = client.get("/users-for/i20?k=3").json()
        assert len(listed["users"]) == 3
        assert client.get("/items/ghost/reach").status_code == client.get("/users-for/ghost").status_code == 404
        assert client.get("/items/i20/reach?users=2001").status_code == 422


def test_users_are_named_only_behind_a_token(client):
    answer = client.get("/users-for/i20")
    assert (answer.status_code, answer.json()["detail"][:41]) == (403, "Users are named only by a server with a t")
    assert client.get("/items/i20/reach?users=10").status_code == 200
