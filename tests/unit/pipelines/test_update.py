"""The nodes of `update`: a table, events, both, or neither."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.pipelines.update.nodes import fold_in, read_events, read_new
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
    rows, quality, _ = read_new(pd.DataFrame(), champion_of(recommender), {})
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
    update, drift, _ = fold_in(champion_of(recommender), NOTHING, rows, read, OPTIONS, 0)
    assert (update.counts["interactions"], update.recommender.about["events_until"]) == (2, 3)
    assert set(drift["distribution"]) >= {"popularity", "scores"}
    assert listed(update.recommender, Request("newer")).path == "known_user"
    events.append([{"kind": "like", "user_id": "newer", "item_id": "i11"}])
    rows, read = read_events(store, champion_of(update.recommender))
    assert (rows["item_id"].tolist(), read["since"], read["until"]) == (["i11"], 3, 4)


def test_neither_is_refused(recommender):
    with pytest.raises(BadInputError, match="There is nothing to take in"):
        fold_in(champion_of(recommender), NOTHING, NOTHING, {"until": 0}, OPTIONS, 0)
