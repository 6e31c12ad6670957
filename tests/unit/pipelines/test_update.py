"""The nodes of `update`: a table, events, both, or neither; without people who are suppressed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tailor.data.ids import IdMap
from tailor.data.people import ALL_PEOPLE, NOBODY, SUPPRESSED, People, Pseudonyms, SuppressionList
from tailor.errors import BadInputError
from tailor.pipelines.update import nodes
from tailor.pipelines.update.nodes import fold_in, join_items, read_events, read_new
from tailor.serving.items import ItemStore
from tailor.serving.package import CATALOGUE_READ_AT
from tailor.serving.schema import Request
from tailor.serving.update import with_events
from tests.unit.serving.conftest import hybrid, listed, recommender_of, weights

OPTIONS = {"sweeps": 1, "sample_users": 20, "k": 5}
NOTHING = pd.DataFrame({"user_id": [], "item_id": [], "timestamp": []})


@pytest.fixture(scope="module")
def recommender(tables):
    return recommender_of(tables, hybrid(weights(ials=0.6, popular=0.4)).fit(tables.train_set))


def champion_of(recommender):
    model = SimpleNamespace(recommender=recommender)
    return SimpleNamespace(unwrap_python_model=lambda: model, model_id="m-1")


def begun(recommender, store, rows):
    return join_items(champion_of(recommender), store, with_events(NOTHING, rows))


@pytest.fixture
def store(tmp_path):
    return ItemStore.open(tmp_path / "shop.json")


def test_a_table_that_is_not_there_has_no_rows(recommender):
    rows, quality, _ = read_new(pd.DataFrame(), champion_of(recommender), NOBODY, {})
    assert rows.columns.tolist() == ["user_id", "item_id"]
    assert rows.empty
    assert quality.empty


def test_without_a_state_there_are_no_events(recommender):
    rows, read = read_events(None, champion_of(recommender), NOBODY)
    assert rows.empty
    assert (read["since"], read["until"]) == (0, 0)


def test_events_join_the_champion_and_are_read_once(recommender, store, caplog):
    caplog.set_level("INFO")
    events = store.events.store
    events.append([{"kind": "buy", "user_id": "newer", "item_id": item} for item in ("i3", "i7", "ghost")])
    rows, read = read_events(store, champion_of(recommender), NOBODY)
    assert rows["item_id"].tolist() == ["i3", "i7"]
    assert read == {"since": 0, "until": 3, "counts": {"that say something": 2, "on unknown items": 1}}
    assert "Events 1 to 3: 2 that say something, 1 on unknown items" in caplog.text
    update, drift, _ = fold_in(begun(recommender, store, rows), read, NOBODY, OPTIONS, 0)
    assert (update.counts["interactions"], update.recommender.about["events_until"]) == (2, 3)
    assert set(drift["distribution"]) >= {"popularity", "scores"}
    assert listed(update.recommender, Request("newer")).path == "known_user"
    events.append([{"kind": "like", "user_id": "newer", "item_id": "i11"}])
    rows, read = read_events(store, champion_of(update.recommender), NOBODY)
    assert (rows["item_id"].tolist(), read["since"], read["until"]) == (["i11"], 3, 4)


def test_rows_and_events_on_items_that_were_put_are_read_unless_these_were_removed(recommender, store):
    store.state.put([{"item_id": "put"}, {"item_id": "put and removed"}], 10)
    store.state.remove(["put and removed"])
    store.events.store.append([buy("a", item) for item in ("put", "put and removed", "ghost")])
    rows, read = read_events(store, champion_of(recommender), NOBODY)
    assert rows["item_id"].tolist() == ["put"]
    assert read["counts"] == {"that say something": 1, "on unknown items": 2}
    raw = pd.DataFrame({"user_id": "a", "item_id": ["put", "ghost"], "timestamp": 9e8})
    params = {"columns": {"interactions": {name: name for name in raw}}, "cleaning": {"max_dropped_fraction": 0.9}}
    rows, _, _ = read_new(raw, champion_of(recommender), NOBODY, params, item_state=store)
    assert rows["item_id"].tolist() == ["put"]


def buy(user, item):
    return {"kind": "buy", "user_id": user, "item_id": item}


def test_events_of_people_who_are_suppressed_are_left_out(recommender, store):
    store.events.store.append([buy("a", "i1"), buy("b", "i1")])
    rows, read = read_events(store, champion_of(recommender), SuppressionList.of(["a"], b"k" * 32))
    assert rows["user_id"].tolist() == ["b"]
    assert read["counts"] == {"of people who are suppressed": 1, "that say something": 1}


def test_a_fit_has_taken_in_what_came_before_its_catalogue_was_read(recommender, store):
    """It notes no event: each is compared with the history, which would change its order otherwise."""
    user, order = str(recommender.user_ids[0]), recommender.histories.order[[0]]
    first = str(recommender.item_ids[order.indices[order.data.argmin()]])
    new = next(str(one) for one in np.delete(recommender.item_ids, order.indices) if recommender.item_indices([one])[0])
    store.events.store.append([buy(user, first), buy(user, new), buy("newer", first)])

    def read_after(read_at):
        fitted = replace(recommender, about=recommender.about | {CATALOGUE_READ_AT: read_at})
        return fitted, *read_events(store, champion_of(fitted), NOBODY)

    _, rows, _ = read_after(0.0)  # all events are later
    assert rows["item_id"].tolist() == [first, new, first]
    fitted, rows, read = read_after(1e11)  # all were sent before
    assert list(zip(rows["user_id"], rows["item_id"], strict=True)) == [(user, new), ("newer", first)]
    assert read["counts"] == {"taken in already": 1, "that say something": 2}
    update, _, _ = fold_in(begun(fitted, store, rows), read, NOBODY, OPTIONS, 0)
    before, after = order.toarray()[0], update.recommender.histories.order[[0]].toarray()[0]
    assert np.flatnonzero(before != after).tolist() == recommender.item_indices([new]).tolist()


def test_events_of_before_pseudonyms_join_under_these(recommender, store):
    names = Pseudonyms(b"p" * 32)
    known, uuid, elsewhere = "person-1", "0123456789abcdef" * 2, "f" * 32
    users = IdMap([names.of(known), names.of(uuid), *recommender.user_ids[2:]])
    model = replace(recommender, users=users, people=People(pseudonyms=names))
    stored = [known, names.of(known), uuid, "person-new", elsewhere, "gone"]
    store.events.store.append([buy(one, f"i{n}") for n, one in enumerate(stored)])
    # Suppressed before pseudonyms were in use: the id alone is in the list.
    rows, read = read_events(store, champion_of(model), SuppressionList.of(["gone"], b"k" * 32))
    assert rows["user_id"].tolist() == [*map(names.of, (known, known, uuid, "person-new")), elsewhere]
    assert read["counts"]["of people who are suppressed"] == 1


def test_files_hold_no_rows_of_who_was_suppressed_since_they_were_read():
    rows = pd.DataFrame({"user_id": ["u1", "u2"], "item_id": ["a", "b"]})
    gone = SuppressionList.of(["u2"], b"k" * 32)
    tables = nodes.tables_of_rows(rows, rows.iloc[[1]], {"version": "2"}, gone)
    assert [table["item_id"].tolist() for table in tables] == [["a"], []]


def test_the_list_beside_the_state_is_read_when_the_version_is_registered(store, monkeypatch):
    monkeypatch.setenv("TAILOR_SUPPRESSION_KEY", "k" * 32)
    monkeypatch.setattr(nodes.registry, "register_update", lambda *args: args[-1])
    reads = nodes.register(None, None, None, None, store, OPTIONS, "shop")
    assert "u1" not in reads()
    store.suppressions.add(["u1"])
    assert "u1" in reads()
    assert len(nodes.register(None, None, None, None, None, OPTIONS, "shop")()) == 0


def test_neither_is_refused():
    with pytest.raises(BadInputError, match="There is nothing to take in"):
        with_events(NOTHING, NOTHING)


def test_new_rows_are_later_than_the_date_of_the_catalogue(monkeypatch):
    champion = SimpleNamespace(items=IdMap(["a", "b"]), people=ALL_PEOPLE)
    monkeypatch.setattr(nodes, "recommender_of", lambda _: champion)
    raw = pd.DataFrame({"user_id": ["1", "2", "3"], "item_id": ["a", "b", "c"], "timestamp": [900, 910, 920]})
    params = {
        "columns": {"interactions": {name: name for name in raw}},
        "cleaning": {"until": "1970-01-01T00:10:00", "max_dropped_fraction": 0.5},
    }
    interactions, quality, accounts = nodes.read_new(raw, None, SuppressionList.of(["2"], b"k" * 32), params)
    assert interactions["timestamp"].tolist() == [900.0]
    assert quality["problem"].tolist() == [SUPPRESSED, "item_id not in the items table"]
    assert accounts["kept"].tolist() == [1]
