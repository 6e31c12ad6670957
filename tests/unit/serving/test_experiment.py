"""Users are dealt out between two models, for good and evenly; what was listed is stored before it is answered."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from starlette.testclient import TestClient

from tailor.data.units import unit_of
from tailor.hybrid.config import Boosts
from tailor.serving.champion import Champion
from tailor.serving.experiment import Assigned, Experiment, ExposureLog, positions
from tailor.serving.http import create_app
from tailor.serving.items import ItemStore
from tailor.serving.schema import Request
from tailor.state.events import EventStore
from tailor.state.tables import StateError
from tests.unit.serving.conftest import listed

USERS = [f"user-{n}" for n in range(20_000)]


@pytest.fixture
def champion(served, tmp_path, monkeypatch):
    monkeypatch.setattr(Champion, "refresh", lambda _: False)
    return Champion("tailor", "champion", ItemStore(tmp_path / "items.json", "tailor"), (replace(served), "7"))


@pytest.fixture
def challenger(served, tmp_path):
    other = replace(served, model=served.model.with_boosts(Boosts(tail_boost=0.9)))
    return Champion("tailor", "challenger", ItemStore(tmp_path / "items.json", "tailor"), (other, "8"))


@pytest.fixture
def store(champion):
    return EventStore(champion.items.state.engine, "tailor")


def client_of(champion, experiment=None, exposures=None):
    return TestClient(create_app(champion, experiment=experiment, exposures=exposures), "http://localhost")


def events_of(store):
    return [event for batch in store.read() for event in batch]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_share_is_the_share_and_who_has_the_challenger_keeps_it(share):
    place = positions("text", USERS)
    assert binomtest(int((place < share).sum()), len(USERS), share).pvalue > 1e-3
    experiment, wider = Experiment("text", share, None), Experiment("text", share + 0.2, None)
    for user, where in list(zip(USERS, place, strict=True))[:50]:
        assert experiment.variant(user) == ("challenger" if where < share else "champion")
        assert experiment.variant(user) == "champion" or wider.variant(user) == "challenger"


def test_experiments_are_dealt_independently_and_the_same_on_every_machine():
    first, second = positions("text", USERS), positions("layout", USERS)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(USERS))
    assert np.histogram(first, bins=10, range=(0, 1))[0] == pytest.approx(2000, abs=5 * np.sqrt(2000))
    assert positions("text", ["user-1"]) == pytest.approx([0.537245627217359], abs=1e-15)


def test_each_arm_gets_its_model_and_the_answer_says_which(champion, challenger, served):
    experiment = Experiment("text", 0.5, challenger)
    users = [str(user) for user in served.user_ids[:40]]
    with client_of(champion, experiment) as app:
        answers = {user: app.post("/recommend", json={"user_id": user, "k": 5}).json() for user in users}
        assert {answer["variant"] for answer in answers.values()} == {"champion", "challenger"}
        for user, answer in answers.items():
            version, model = (
                ("8", challenger.model) if experiment.variant(user) == "challenger" else ("7", champion.model)
            )
            assert answer["model_version"] == version
            assert [item["item_id"] for item in answer["items"]] == listed(model, Request(user), k=5).item_ids
            assert answer["exposures_logged"] is None
        said = app.get("/model").json()["serving"]["experiment"]
        assert said == {"name": "text", "share": 0.5, "challenger": {"version": "8", "last_error": ""}}


def test_who_has_no_id_is_in_no_arm(champion, challenger):
    with client_of(champion, Experiment("text", 0.999, challenger)) as app:
        answer = app.post("/recommend", json={"history": ["i1"]}).json()
        assert (answer["variant"], answer["model_version"]) == (None, "7")
        assert app.post("/recommend", json={"user_id": 5}).json()["variant"] == "challenger"


def test_a_session_stands_for_who_has_no_id(champion, challenger, store, known):
    experiment = Experiment("text", 0.5, challenger)
    sessions = [f"s{n}" for n in range(40)]
    with client_of(champion, experiment, ExposureLog(store)) as app:
        arms = {}
        for session in sessions:
            answers = [app.post("/recommend", json={"session_id": session, "k": 1}).json() for _ in range(2)]
            assert answers[0]["variant"] == answers[1]["variant"] == experiment.variant(unit_of(None, session))
            assert answers[0]["model_version"] == ("8" if answers[0]["variant"] == "challenger" else "7")
            arms[session] = answers[0]["variant"]
        assert set(arms.values()) == {"champion", "challenger"}
        # A user of the same name is somebody else, and a user counts before the session.
        assert any(arms[one] != experiment.variant(one) for one in sessions)
        both = app.post("/recommend", json={"session_id": "s1", "user_id": known, "k": 1}).json()
        assert both["variant"] == experiment.variant(known)
        assert app.post("/recommend", json={"session_id": 7, "k": 1}).status_code == 200
        clicked = {"kind": "click", "item_id": "i1", "session_id": "s1"}
        assert app.post("/events", json=[clicked, clicked | {"user_id": known}]).json()["stored"] == 2
    events = events_of(store)
    assert {(e.user_id, e.session_id, e.variant) for e in events if e.session_id in arms and e.kind == "exposure"} == {
        (None, session, arm) for session, arm in arms.items()
    }
    of_known = [(e.kind, e.session_id) for e in events if e.user_id == known]
    assert of_known == [("exposure", None), ("click", None)]
    assert [(e.user_id, e.session_id) for e in events if e.kind == "click"] == [(None, "s1"), (known, None)]


@pytest.mark.parametrize("session", ["a\nb", "s" * 1001, ["s"]])
def test_a_session_that_is_no_id_is_refused_and_in_no_log(champion, challenger, store, session, caplog):
    caplog.set_level("DEBUG", logger="tailor")
    with client_of(champion, Experiment("text", 0.5, challenger), ExposureLog(store)) as app:
        answer = app.post("/recommend", json={"session_id": session})
        assert answer.status_code == 422
        assert "session_id" in answer.json()["detail"]
        assert app.post("/events", json={"kind": "click", "item_id": "i1", "session_id": session}).status_code == 422
        app.post("/recommend", json={"session_id": "a-session-of-somebody"})
    assert {event.session_id for event in events_of(store)} == {"a-session-of-somebody"}
    assert "a-session-of-somebody" not in caplog.text
    assert str(session)[:50] not in caplog.text


def test_a_change_of_items_is_in_both_arms_when_it_is_acknowledged(champion, challenger, names):
    both = [champion, challenger]
    for one in both:
        one.answering = (one.items.apply(one.model), one.version)
    with client_of(champion, Experiment("text", 0.5, challenger)) as app:
        row = {"item_id": "late", "title": "late", "genre": names[0]}
        assert app.put("/items", json={"items": [row]}).status_code == 200
        assert [one.up_to_date()[0].items.index("late") >= 0 for one in both] == [True, True]
        assert app.delete("/items/late").status_code == 200
        assert all(model.removed[model.items.index("late")] for model, _ in (one.up_to_date() for one in both))


def test_what_is_listed_is_stored_with_the_chance_of_each_step(champion, challenger, store, known):
    experiment = Experiment("text", 0.5, challenger)
    with client_of(champion, experiment, ExposureLog(store)) as app:
        body = {"user_id": known, "k": 3, "explore": 0.5, "request_id": "r1"}
        answer = app.post("/recommend", json=body).json()
        again = app.post("/recommend", json=body).json()
    assert again["items"] == answer["items"]
    assert answer["exposures_logged"] is again["exposures_logged"] is True
    events = events_of(store)
    assert [(e.event_id, e.kind, e.item_id, e.rank) for e in events] == [
        (f"r1:{item['rank']}", "exposure", item["item_id"], item["rank"]) for item in answer["items"]
    ]
    assert [e.propensity for e in events] == [item["propensity"] for item in answer["items"]]
    about = {(e.user_id, e.request_id, e.variant, e.version) for e in events}
    assert about == {(known, "r1", experiment.variant(known), answer["model_version"])}


def test_a_draw_that_is_none_is_refused_in_one_sentence_and_stores_nothing(champion, store):
    with client_of(champion, exposures=ExposureLog(store)) as app:
        for body, words in (
            ({"explore": 0.5, "rerank": {"method": "mmr", "strength": 0.3}}, "leave rerank out"),
            ({"explore": 0.001}, "write 0 for the best list"),
            ({"explore": 101}, "explore = 101 is out of bounds"),
            ({"request_id": "a\0b"}, "printable characters"),
        ):
            answer = app.post("/recommend", json=body)
            assert answer.status_code == 422
            assert words in answer.json()["detail"]
    assert not events_of(store)


def test_requests_get_names_of_their_own_and_lists_that_are_not_drawn_have_no_chances(champion, store):
    with client_of(champion, exposures=ExposureLog(store)) as app:
        first, second = (app.post("/recommend", json={"history": ["i1"], "k": 2}).json() for _ in range(2))
    assert first["request_id"] != second["request_id"]
    assert first["items"][0]["propensity"] is None
    events = events_of(store)
    assert [(e.user_id, e.propensity, e.variant, e.version) for e in events] == [(None, None, None, "7")] * 4
    assert [e.request_id for e in events] == [first["request_id"]] * 2 + [second["request_id"]] * 2


def test_a_database_that_takes_nothing_holds_up_no_list(champion, monkeypatch, known, caplog):
    calls = []

    class Full:
        def append(self, rows, patience_s):
            assert patience_s <= 1
            calls.append(rows)
            raise StateError("The state could not be written: disk is full", disk_full=True)

    exposures = ExposureLog(Full())
    with client_of(champion, exposures=exposures) as app:
        for _ in range(3):
            answer = app.post("/recommend", json={"user_id": known, "k": 2})
            assert answer.status_code == 200
            assert answer.json()["exposures_logged"] is False
        assert "tailor_exposures_lost_total 6.0" in app.get("/metrics").text
    assert len(calls) == 1  # it is left alone for a while
    assert "disk is full" in caplog.text
    assert known not in caplog.text


def test_an_id_that_was_used_for_another_list_is_said_and_the_next_answer_is_stored(champion, store):
    lost = []
    log = ExposureLog(store, lost.append)
    assigned = Assigned(champion.model, "7", None)
    assert log.write(assigned, "u", "r", [{"item_id": "a", "rank": 1}])
    assert not log.write(assigned, "u", "r", [{"item_id": "b", "rank": 1}])
    assert log.write(assigned, "u", "s", [{"item_id": "b", "rank": 1}])
    assert log.write(assigned, "u", "t", [])
    assert not log.write(assigned, "a\0b", "v", [{"item_id": "b", "rank": 1}])
    assert log.write(assigned, "u", "w", [{"item_id": "c", "rank": 1}])
    assert [e.item_id for e in events_of(store)] == ["a", "b", "c"]
    assert lost == [1, 1]
