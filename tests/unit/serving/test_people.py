"""People who asked to be forgotten: answered like anybody unknown in every process, then taken out of the model."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from starlette.testclient import TestClient

from tailor.data.people import SUPPRESSION_KEY, People, Pseudonyms, SuppressionList
from tailor.errors import ConfigurationError
from tailor.serving.champion import Champion
from tailor.serving.http import create_app
from tailor.serving.items import ItemStore
from tailor.serving.people import with_suppressed, without_suppressed
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request
from tailor.state.suppressions import SuppressionStore
from tailor.state.tables import StateError
from tests.unit.serving.conftest import listed

KEY = "k" * 32


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    monkeypatch.setenv(SUPPRESSION_KEY, KEY)
    monkeypatch.setattr(Champion, "refresh", lambda _: False)
    return tmp_path / "items.json"


def champion_of(served, path):
    return Champion("shop", "champion", ItemStore.open(path, "shop"), (replace(served), "7"))


def client_of(champion, token=""):
    return TestClient(create_app(champion, token), "http://localhost")


def suppressed(*ids):
    return SuppressionList.of(ids, KEY.encode())


def test_a_suppressed_person_is_answered_like_anybody_unknown(served, known):
    hidden = with_suppressed(served, suppressed(known))
    answer = listed(hidden, Request(known))
    assert answer == listed(served, Request("nobody"))
    assert answer != listed(served, Request(known))
    assert answer.path == "popular"
    other = str(served.user_ids[served.user_ids != known][0])
    assert listed(hidden, Request(other)) == listed(served, Request(other))
    assert listed(hidden, Request(known, history=["i1"])) == listed(served, Request(history=["i1"]))
    assert with_suppressed(hidden, suppressed(known)) is hidden


def test_delete_forgets_at_once_and_again_changes_nothing(served, known, path):
    champion = champion_of(served, path)
    client = client_of(champion)
    assert client.post("/recommend", json={"user_id": known}).json()["path"] == "known_user"
    first = client.delete(f"/users/{known}")
    assert first.status_code == 200
    assert first.json()["suppressed"] is True
    assert "kedro run --pipelines=forget" in first.json()["next"]
    assert client.post("/recommend", json={"user_id": known}).json()["path"] == "popular"
    change = champion.items.state.change
    assert client.delete(f"/users/{known}").json() == first.json()
    assert champion.items.state.change == change == 1
    assert client.delete("/users/never-known").json() == first.json()  # the answer tells nobody who is known


def test_every_process_follows_and_one_that_starts_knows(served, known, path):
    one, other = champion_of(served, path), champion_of(served, path)
    other.answering = other.items.apply(other.model), "7"
    one.forget(known)
    other._follow_items()
    assert listed(other.model, Request(known)).path == "popular"
    late = ItemStore.open(path, "shop")
    assert listed(late.apply(served), Request(known)).path == "popular"


def test_a_change_of_another_process_is_not_passed_over(served, names, known, path):
    """Between two looks another process put an item: whoever forgets a person still takes it in."""
    one, other = champion_of(served, path), champion_of(served, path)
    for champion in (one, other):
        champion.answering = champion.items.apply(champion.model), "7"
    other.put([{"item_id": "fresh", "title": "Fresh thing", "genre": names[0]}])
    one.forget(known)
    one._follow_items()
    assert one.model.item_indices(["fresh"])[0] >= 0


def test_delete_needs_the_token_the_key_and_an_id(served, known, path, monkeypatch):
    guarded = client_of(champion_of(served, path), "secret")
    assert guarded.delete(f"/users/{known}").status_code == 401
    client = client_of(champion_of(served, path))
    for bad in ("%20", "x" * 1001):
        answer = client.delete(f"/users/{bad}")
        assert answer.status_code == 422
        assert "The path names no user" in answer.json()["detail"]
    assert client.delete("/users/a%2Fb%3F").status_code == 200
    monkeypatch.delenv(SUPPRESSION_KEY)
    answer = client.delete(f"/users/{known}")
    assert answer.status_code == 503
    assert "TAILOR_SUPPRESSION_KEY is not set" in answer.json()["detail"]
    assert client.post("/recommend", json={"user_id": known}).json()["path"] == "known_user"


def test_no_id_is_written_into_metrics_or_logs(served, known, path, caplog):
    caplog.set_level("DEBUG", "tailor")
    champion = champion_of(served, path)
    client = client_of(champion)
    client.delete("/users/person-seven")
    assert "person-seven" not in client.get("/metrics").text
    assert "/users/{user_id:path}" in client.get("/metrics").text
    assert "person-seven" not in caplog.text


def test_nothing_of_a_person_is_left_in_a_package(served, known, tmp_path):
    forgotten = without_suppressed(served, suppressed(known, "nobody"))
    n_of_known = int(served.histories.lengths[served.users.index(known)])
    assert forgotten.counts == {"users": 1, "interactions": n_of_known}
    without = forgotten.recommender
    assert known not in without.users
    assert len(without.histories) == len(served.user_ids) - 1 == len(without.histories.profile)
    assert without.histories.user_index.tolist() == list(range(len(served.user_ids) - 1))
    without.save(tmp_path / "package")
    with np.load(tmp_path / "package" / "ids.npz", allow_pickle=False) as ids:
        assert known not in ids["users"]
    loaded = Recommender.load(tmp_path / "package")
    assert listed(loaded, Request(known)) == listed(served, Request("nobody"))
    for other in served.user_ids[served.user_ids != known][:5]:
        assert listed(loaded, Request(str(other))) == listed(served, Request(str(other)))


def test_a_package_of_pseudonyms_answers_ids_with_the_key_alone(served, known, tmp_path, monkeypatch):
    names = Pseudonyms(b"p" * 32)
    users = type(served.users)([names.of(str(one)) for one in served.user_ids])
    from tailor.data.people import key_id
    from tailor.serving.package import PSEUDONYMS

    about = served.about | {PSEUDONYMS: key_id(names.key)}
    by_pseudonym = replace(served, users=users, about=about, people=People(pseudonyms=names))
    by_pseudonym.save(tmp_path / "package")
    monkeypatch.delenv("TAILOR_PSEUDONYM_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="TAILOR_PSEUDONYM_KEY is not set"):
        Recommender.load(tmp_path / "package")
    monkeypatch.setenv("TAILOR_PSEUDONYM_KEY", "p" * 32)
    loaded = Recommender.load(tmp_path / "package")
    assert listed(loaded, Request(known)).item_ids == listed(served, Request(known)).item_ids
    with np.load(tmp_path / "package" / "ids.npz", allow_pickle=False) as ids:
        assert known not in ids["users"]
    hidden = with_suppressed(loaded, suppressed(*loaded.people.names(known)))
    assert listed(hidden, Request(known)).path == "popular"
    assert without_suppressed(loaded, hidden.people.suppressed).counts["users"] == 1


def test_nothing_more_is_recorded_of_who_asked_to_be_forgotten(served, known, path):
    champion = champion_of(served, path)
    champion.answering = (champion.items.apply(served), "7")
    client = client_of(champion)
    bought = {"kind": "buy", "user_id": known, "item_id": "i3"}
    assert client.post("/events", json=bought).json()["stored"] == 1
    as_of_a_stranger = client.delete("/users/nobody").json()
    assert client.delete(f"/users/{known}").json() == as_of_a_stranger
    assert champion.items.events.store.of_user(known) == []
    answer = client.post("/events", json=[bought, bought | {"user_id": "somebody"}]).json()
    assert answer == {"stored": 1, "known": 0, "unknown_items": 0, "suppressed": 1}
    assert [event.user_id for batch in champion.items.events.store.read() for event in batch] == ["somebody"]
    assert client.post("/recommend", json={"user_id": known}).json()["path"] == "popular"


def test_events_stand_under_pseudonyms_where_these_are_in_use(served, known, path):
    names = Pseudonyms(b"p" * 32)
    users = type(served.users)([names.of(str(one)) for one in served.user_ids])
    champion = champion_of(replace(served, users=users, people=People(pseudonyms=names)), path)
    champion.answering = (champion.items.apply(champion.model), "7")
    client = client_of(champion)
    client.post("/events", json={"kind": "buy", "user_id": "somebody new", "item_id": "i3"})
    assert [event.user_id for event in champion.items.events.store.of_user(names.of("somebody new"))]
    assert champion.items.events.store.of_user("somebody new") == []
    assert client.post("/recommend", json={"user_id": "somebody new"}).json()["path"] == "known_user"
    client.delete("/users/somebody%20new")
    assert champion.items.events.store.of_user(names.of("somebody new")) == []
    assert client.post("/recommend", json={"user_id": "somebody new"}).json()["path"] == "popular"


def test_a_batch_that_asks_by_pseudonyms_has_the_events_of_who_stands_under_them(served, known, path):
    names = Pseudonyms(b"p" * 32)
    users = type(served.users)([names.of(str(one)) for one in served.user_ids])
    champion = champion_of(replace(served, users=users, people=People(pseudonyms=names)), path)
    champion.answering = (champion.items.apply(champion.model), "7")
    taken = listed(champion.model, Request(known), k=1).item_ids[0]
    champion.take_events([{"kind": "buy", "user_id": known, "item_id": taken}])
    by_pseudonym = listed(champion.model, Request(names.of(known)))
    assert taken not in by_pseudonym.item_ids
    assert by_pseudonym.scores == listed(champion.model, Request(known)).scores
    champion.take_events([{"kind": "like", "user_id": names.of(known), "item_id": taken}])
    assert len(champion.items.events.store.of_user(names.of(known))) == 2
    champion.forget(names.of(known))
    again = champion.take_events([{"kind": "buy", "user_id": known, "item_id": taken}])
    assert (again["stored"], again["suppressed"]) == (0, 1)


def test_pairs_that_are_blocked_stay_with_their_users(served, known):
    n_users, n_items = len(served.user_ids), len(served.items)
    rows = np.arange(n_users)
    blocked = sparse.csr_matrix((np.ones(n_users, np.float32), (rows, rows % n_items)), shape=(n_users, n_items))
    without = without_suppressed(replace(served, blocked=blocked), suppressed(known)).recommender
    row = served.users.index(known)
    assert without.blocked.indices.tolist() == [user % n_items for user in range(n_users) if user != row]


def test_a_person_whose_events_could_not_be_deleted_is_known_no_more_all_the_same(served, known, path, monkeypatch):
    champion = champion_of(served, path)
    champion.answering = (champion.items.apply(served), "7")

    def fails(self, user_ids):
        raise StateError("The state could not be written.")

    with monkeypatch.context() as patched:
        patched.setattr(SuppressionStore, "forget_events", fails)
        with pytest.raises(StateError, match="could not be written"):
            champion.forget(known)
    assert listed(champion.up_to_date()[0], Request(known)).path == "popular"
