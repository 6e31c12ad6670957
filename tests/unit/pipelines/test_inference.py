"""The batch lists what the server lists, and knows which parts it need not make again."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tailor.data.people import ALL_PEOPLE, People, SuppressionList
from tailor.options import InferenceOptions
from tailor.pipelines.inference import nodes
from tailor.pipelines.inference.nodes import fingerprint, listed, recommend_to_all_users, state_of
from tailor.serving.batch import BatchLister
from tailor.serving.items import ItemStore
from tailor.state.store import StateStore

USERS = pd.DataFrame({"user_id": ["u1", "u7", "u2"]})


class Model:
    """Stands for a recommender."""

    about: dict[str, object] = {}
    people = ALL_PEOPLE
    domains: list[str] = []
    gone = np.zeros(3, dtype=bool)

    def __init__(self, folder):
        self.folder = folder


@pytest.fixture
def model(tmp_path):
    return Model(tmp_path / "package")


@pytest.fixture
def champion(model):
    loaded = SimpleNamespace(recommender=model)
    return SimpleNamespace(unwrap_python_model=lambda: loaded, metadata=SimpleNamespace(model_uuid="m-1"))


def lister_of(model, store=None):
    return BatchLister.of(model, store, 20)[0]


def parts_of(champion, users=USERS, **options):
    return recommend_to_all_users(champion, None, users, {"name": "shop"}, options)


def test_without_a_state_it_is_none(model):
    assert state_of(lister_of(model), None) == "none"


def test_who_was_suppressed_since_the_tables_were_made_gets_no_list(model):
    assert listed(lister_of(model), USERS).tolist() == ["u1", "u7", "u2"]
    model.people = People(SuppressionList.of(["u7"], b"k" * 32))
    assert listed(lister_of(model), USERS).tolist() == ["u1", "u2"]


def test_the_champion_answers_with_what_is_stored(champion, model, tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    store = ItemStore.open(tmp_path / "shop.json", "shop")
    StateStore.open(f"sqlite:///{tmp_path}/shop.db", "shop").remove(["a"])
    applied = Model(model.folder)

    def apply(self, before, stored, suppressed):
        assert before is model
        assert stored.removed == {"a"}
        self.notes = ["1 stored items: …"]
        return applied

    monkeypatch.setattr(ItemStore, "apply", apply)
    parts = recommend_to_all_users(champion, store, USERS, {"name": "shop"}, {})
    assert parts.key["state"] == f"change 1, event 0 of sqlite:///{tmp_path}/shop.db"
    assert parts.make.recommender is applied
    assert "1 stored items: …" in caplog.text


def test_users_are_cut_into_blocks(champion):
    parts = parts_of(champion, block_users=2, workers=3)
    assert [block.tolist() for block in parts.of] == [["u1", "u7"], ["u2"]]
    assert (parts.workers, parts.option) == (3, "inference.workers")


@pytest.mark.parametrize("options", [{"k": 21}, {"block_users": 2}])
def test_a_changed_option_makes_all_parts_anew(champion, options):
    assert parts_of(champion, **options).key != parts_of(champion).key


def test_more_processes_go_on_from_the_parts_of_fewer(champion):
    assert parts_of(champion, workers=4).key == parts_of(champion).key


@pytest.mark.parametrize("ids", [["u1", "u7"], ["u7", "u1", "u2"], ["u1", "u7", "u3"]])
def test_other_users_or_another_order_make_all_parts_anew(champion, ids):
    assert parts_of(champion, pd.DataFrame({"user_id": ids})).key != parts_of(champion).key


def test_another_model_other_code_and_items_that_have_ended_make_all_parts_anew(champion, model, monkeypatch):
    keys = [parts_of(champion).key]
    model.gone = np.array([False, True, False])
    keys.append(parts_of(champion).key)
    monkeypatch.setattr(nodes, "source_hash", lambda module: f"another {module}")
    keys.append(parts_of(champion).key)
    champion.metadata.model_uuid = "m-2"
    keys.append(parts_of(champion).key)
    assert len({str(key) for key in keys}) == 4
    assert fingerprint(lister_of(model), np.array(["u1"]), InferenceOptions())["code"] == "another tailor.serving.batch"
