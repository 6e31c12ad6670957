"""The nodes of `update`: a table, events, both, or neither; without people who are suppressed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tailor.data.people import ALL_PEOPLE, NOBODY, SUPPRESSED, SuppressionList
from tailor.errors import BadInputError
from tailor.pipelines.update import nodes
from tailor.pipelines.update.nodes import fold_in, gather_new, read_events, read_new
from tailor.serving.items import ItemStore
from tailor.serving.schema import Request
from tests.unit.serving.conftest import hybrid, listed, recommender_of, weights

OPTIONS = {"sweeps": 1, "sample_users": 20, "k": 5}
NOTHING = pd.DataFrame({"user_id": [], "item_id": [], "timestamp": []})


@pytest.fixture(scope="module")
def recommender(tables):
    return recommender_of(tables, hybrid(weights(ials=0.6, popular=0.4)).fit(tables.train_set))


def champion_of(recommender):
    model = SimpleNamespace(recommender=recommender)
    return SimpleNamespace(unwrap_python_model=lambda: model)


@pytest.fixture
def store(tmp_path):
    return ItemStore.open(tmp_path / "shop.json")


def test_a_table_that_is_not_there_has_no_rows(recommender):
    rows, quality, _ = read_new(pd.DataFrame(), champion_of(recommender), NOBODY, {})
    assert rows.columns.tolist() == ["user_id", "item_id"]
    assert rows.empty
    assert quality.empty


def test_without_a_state_there_are_no_events(recommender):
    rows, read = read_events(None, champion_of(recommender))
    assert rows.empty
    assert (read["since"], read["until"]) == (0, 0)


def test_events_join_the_champion_and_are_read_once(recommender, store, caplog):
    caplog.set_level("INFO")
    events = store.events.store
    events.append([{"kind": "buy", "user_id": "newer", "item_id": item} for item in ("i3", "i7", "ghost")])
    rows, read = read_events(store, champion_of(recommender))
    assert rows["item_id"].tolist() == ["i3", "i7"]
    assert read == {"since": 0, "until": 3, "counts": {"that say something": 2, "on unknown items": 1}}
    assert "Events 1 to 3: 2 that say something, 1 on unknown items" in caplog.text
    update, drift, _ = fold_in(champion_of(recommender), gather_new(NOTHING, rows, NOBODY), read, NOBODY, OPTIONS, 0)
    assert (update.counts["interactions"], update.recommender.about["events_until"]) == (2, 3)
    assert set(drift["distribution"]) >= {"popularity", "scores"}
    assert listed(update.recommender, Request("newer")).path == "known_user"
    events.append([{"kind": "like", "user_id": "newer", "item_id": "i11"}])
    rows, read = read_events(store, champion_of(update.recommender))
    assert (rows["item_id"].tolist(), read["since"], read["until"]) == (["i11"], 3, 4)


def test_events_of_people_who_are_suppressed_are_left_out():
    events = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["i1", "i1"], "timestamp": [1.0, 2.0]})
    left = gather_new(NOTHING, events, SuppressionList.of(["a"], b"k" * 32))
    assert left["user_id"].tolist() == ["b"]


def test_neither_is_refused():
    with pytest.raises(BadInputError, match="There is nothing to take in"):
        gather_new(NOTHING, NOTHING, NOBODY)


def test_new_rows_are_later_than_the_date_of_the_catalogue(monkeypatch):
    champion = SimpleNamespace(item_ids=np.array(["a", "b"]), people=ALL_PEOPLE)
    monkeypatch.setattr(nodes, "_recommender", lambda _: champion)
    raw = pd.DataFrame({"user_id": ["1", "2", "3"], "item_id": ["a", "b", "c"], "timestamp": [900, 910, 920]})
    params = {
        "columns": {"interactions": {name: name for name in raw}},
        "cleaning": {"until": "1970-01-01T00:10:00", "max_dropped_fraction": 0.5},
    }
    interactions, quality, accounts = nodes.read_new(raw, None, SuppressionList.of(["2"], b"k" * 32), params)
    assert interactions["timestamp"].tolist() == [900.0]
    assert quality["problem"].tolist() == [SUPPRESSED, "item_id not in the items table"]
    assert accounts["kept"].tolist() == [1]
