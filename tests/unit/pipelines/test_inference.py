"""The batch lists what the server lists."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tailor.data.people import ALL_PEOPLE, People, SuppressionList
from tailor.pipelines.inference.nodes import _listed, with_state
from tailor.serving.items import ItemStore
from tailor.serving.mlflow_model import TailorModel
from tailor.state.store import StateStore


class Model:
    """Stands for a recommender."""

    about: dict[str, object] = {}
    people = ALL_PEOPLE


@pytest.fixture
def champion():
    model = TailorModel()
    model.recommender = Model()
    return SimpleNamespace(unwrap_python_model=lambda: model)


def test_without_a_state_it_is_none(champion):
    assert with_state(champion, None) == "none"
    assert champion.unwrap_python_model().state is None


def test_who_was_suppressed_since_the_tables_were_made_gets_no_list(champion):
    users = pd.DataFrame({"user_id": ["u1", "u7", "u2"]})
    assert _listed(champion, users)["user_id"].tolist() == ["u1", "u7", "u2"]
    champion.unwrap_python_model().recommender.people = People(SuppressionList.of(["u7"], b"k" * 32))
    assert _listed(champion, users)["user_id"].tolist() == ["u1", "u2"]
    assert _listed(champion, users).index.tolist() == [0, 1]


def test_the_champion_answers_with_what_is_stored(champion, tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    store = ItemStore.open(tmp_path / "shop.json", "shop")
    StateStore.open(f"sqlite:///{tmp_path}/shop.db", "shop").remove(["a"])
    applied, own = Model(), champion.unwrap_python_model().recommender

    def apply(self, model):
        assert model is own
        self.notes, self._seen = ["1 stored items: …"], 1
        return applied

    monkeypatch.setattr(ItemStore, "apply", apply)
    assert with_state(champion, store) == f"change 1, event 0 of sqlite:///{tmp_path}/shop.db"
    assert champion.unwrap_python_model().recommender is applied
    assert "1 stored items: …" in caplog.text
