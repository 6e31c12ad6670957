"""The champion of a registry, followed while it moves, without a registry."""

from dataclasses import replace
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest

import tailor
from tailor.errors import BadInputError
from tailor.serving import champion as module
from tailor.serving.champion import Champion, load_version, open_champion
from tailor.serving.items import ItemStore
from tailor.serving.package import write_code_hashes
from tailor.serving.schema import Request
from tailor.serving.word_reader import WordReader
from tests.unit.serving.conftest import Planted, listed


@pytest.fixture
def registry(monkeypatch, served):
    """An alias that may point anywhere; every version loads the same recommender, unless it is called bad."""
    pointed = {"champion": "1"}

    class Client:
        def get_model_version_by_alias(self, name, alias):
            assert name == "shop"
            return SimpleNamespace(version=pointed[alias])

        def search_registered_models(self):
            return [SimpleNamespace(name=name) for name in pointed.get("registered", [])]

    def load(name, version):
        if version == "bad":
            raise BadInputError("Damaged package: model.safetensors")
        return served.without_items([])

    monkeypatch.setattr(mlflow, "MlflowClient", Client)
    monkeypatch.setattr(module, "load_version", load)
    return pointed


def test_it_follows_the_alias_with_the_items_that_were_added(registry, names, tmp_path):
    champion = open_champion("shop", "champion", tmp_path / "items.json")
    assert champion.version == "1"
    assert not champion.refresh()
    assert champion.put([{"item_id": "fresh", "title": "Fresh", "genre": names[0]}]) == 161
    assert champion.remove(["i1"]) == 1
    registry["champion"] = "2"
    first = champion.model
    assert champion.refresh()
    assert champion.version == "2"
    assert champion.model is not first
    item_ids = listed(champion.model, Request(), k=1000).item_ids
    assert "fresh" in item_ids
    assert "i1" not in item_ids


def test_one_that_cannot_be_loaded_leaves_the_old_one_answering(registry, tmp_path):
    champion = open_champion("shop", "champion", tmp_path / "items.json")
    model, registry["champion"] = champion.model, "bad"
    assert not champion.refresh()
    assert champion.current() == (model, "1")
    assert champion.last_error == "BadInputError: Damaged package: model.safetensors"
    registry["champion"] = "1"
    assert not champion.refresh()
    assert champion.last_error == ""
    del registry["champion"]
    assert not champion.refresh()
    assert champion.model is model


def test_none_that_can_be_loaded_is_refused(registry, tmp_path):
    registry["champion"] = "bad"
    with pytest.raises(BadInputError, match=r"models:/shop@champion cannot be served \(BadInputError: Damaged package"):
        open_champion("shop", "champion", tmp_path / "items.json")
    with pytest.raises(BadInputError, match="No model is loaded: refresh has not run"):
        Champion("shop", "champion", ItemStore(tmp_path / "items.json")).current()


def test_what_is_registered_is_named_where_something_else_is_asked_for(registry, tmp_path):
    """`make serve` without the ENV of the model that was made."""
    registry |= {"champion": "bad", "registered": ["tailor-myshop", "tailor-other"]}
    with pytest.raises(BadInputError, match=r"Registered here: tailor-myshop, tailor-other\. Name one \("):
        open_champion("shop", "champion", tmp_path / "items.json")
    registry["registered"] = []
    with pytest.raises(BadInputError, match=r"Run `make run` first, with the same ENV\.$"):
        open_champion("shop", "champion", tmp_path / "items.json")


def test_the_encoder_is_in_memory_before_the_model_answers(registry, tmp_path, monkeypatch):
    encoded = []
    encode = Planted.encode
    monkeypatch.setattr(Planted, "encode", lambda self, texts: encoded.append(texts) or encode(self, texts))
    champion = open_champion("shop", "champion", tmp_path / "items.json")
    assert encoded == [["warm up"]]
    assert "encoder" in champion.model.__dict__


def test_another_encoder_for_words_is_in_memory_as_well(served, tmp_path):
    encoded = []

    class Other(Planted):
        def encode(self, texts):
            encoded.append(texts)
            return np.zeros((len(texts), 1), np.float32)

    items = np.zeros((len(served.items), 1), np.float16)
    reader = WordReader({"encoder": "other"}, items, lambda: Other({}))
    champion = Champion("shop", "champion", ItemStore(tmp_path / "items.json"))
    champion._take(replace(served, word_reader=reader), "1")
    assert encoded == [["warm up"]]
    encoded.clear()
    champion._take(replace(served, word_reader=replace(reader, refused="not installed")), "2")
    assert encoded == []


def test_what_a_uri_names_is_loaded(registry, monkeypatch):
    loaded = []
    monkeypatch.setattr(module, "load_version", lambda name, version: loaded.append((name, version)))
    tailor.load("models:/shop@champion")
    tailor.load("models:/shop/7")
    assert loaded == [("shop", "1"), ("shop", "7")]

    def missing(*_):
        raise mlflow.exceptions.MlflowException("Registered Model with name=shop not found")

    monkeypatch.setattr(module, "load_version", missing)
    with pytest.raises(
        BadInputError, match="models:/shop/7 cannot be loaded: Registered Model with name=shop not found"
    ):
        tailor.load("models:/shop/7")


def test_a_version_without_a_package_is_refused(monkeypatch):
    info = SimpleNamespace(flavors={"python_function": {"loader_module": "mlflow.sklearn"}})
    monkeypatch.setattr(mlflow.models, "get_model_info", lambda _: info)
    with pytest.raises(BadInputError, match="models:/shop/3 is no Tailor package: it has no artifact 'recommender'"):
        load_version("shop", "3")


def test_a_version_whose_artifacts_are_gone_names_the_path_and_the_repair(monkeypatch, tmp_path):
    places = {"1": str(tmp_path / "old/m"), "2": str(tmp_path), "3": "s3://bucket/m"}
    client = SimpleNamespace(get_model_version_download_uri=lambda name, version: places[version])
    monkeypatch.setattr(mlflow, "MlflowClient", lambda: client)

    def missing(uri):
        raise mlflow.exceptions.MlflowException("No such artifact: 'MLmodel'")

    monkeypatch.setattr(mlflow.models, "get_model_info", missing)
    said = rf"models:/shop/1: {tmp_path}/old/m does not exist; .* `python -m tailor\.registry\.relocate OLD NEW"
    with pytest.raises(BadInputError, match=said):
        load_version("shop", "1")
    for version in ("2", "3"):
        with pytest.raises(mlflow.exceptions.MlflowException, match="No such artifact"):
            load_version("shop", version)


def test_what_went_wrong_is_kept_in_300_characters(registry, tmp_path, monkeypatch):
    champion = open_champion("shop", "champion", tmp_path / "items.json")

    def load(name, version):
        raise ValueError("x" * 1000)

    monkeypatch.setattr(module, "load_version", load)
    registry["champion"] = "2"
    assert not champion.refresh()
    assert champion.last_error == "ValueError: " + "x" * 288
    assert champion.version == "1"


def test_a_version_whose_code_was_changed_is_refused(monkeypatch, tmp_path, served):
    uri = "models:/shop/1"
    replace(served, encoder_of=None).save(tmp_path / "artifacts/recommender")
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text("a = 1")
    (tmp_path / "model.py").touch()
    write_code_hashes(tmp_path / "artifacts/recommender", tmp_path / "code", tmp_path / "model.py")
    flavor = {"artifacts": {"recommender": {"path": "artifacts/recommender"}}}
    monkeypatch.setattr(
        mlflow.models, "get_model_info", lambda asked: SimpleNamespace(flavors={"python_function": flavor})
    )
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lambda asked: str(existing(tmp_path, asked, uri)))
    assert len(load_version("shop", "1").item_ids) == len(served.item_ids)
    (tmp_path / "code/a.py").write_text("a = 2")
    with pytest.raises(BadInputError, match=r"Damaged package: code/a\.py is not what was registered"):
        load_version("shop", "1")
    (tmp_path / "model.py").unlink()
    with pytest.raises(BadInputError, match=r"models:/shop/1: model\.py cannot be read: No such artifact"):
        load_version("shop", "1")


def existing(folder, asked, uri):
    """The path of an artifact below a folder, as MLflow finds it."""
    path = folder / asked.removeprefix(f"{uri}/")
    if not path.exists():
        raise mlflow.exceptions.MlflowException(f"No such artifact: {asked}")
    return path


def test_what_another_process_changed_answers_after_the_next_look(registry, names, tmp_path):
    one, two = (open_champion("shop", "champion", tmp_path / "items.json") for _ in range(2))
    one.put([{"item_id": "fresh", "title": "Fresh", "genre": names[0]}])
    two.remove(["i1"])
    before = two.model
    for champion in (one, two):
        assert not champion.refresh()
        assert champion.last_error == ""
        item_ids = listed(champion.model, Request(), k=1000).item_ids
        assert "fresh" in item_ids
        assert "i1" not in item_ids
    assert two.model is not before
    again = two.model
    two.refresh()
    assert two.model is again


def test_what_a_new_version_cannot_use_blocks_nothing_and_is_told(registry, names, tmp_path):
    champion = open_champion("shop", "champion", tmp_path / "items.json")
    champion.items.state.put([{"item_id": "fresh", "title": "Fresh", "genre": names[0], "studio": "A"}], 10)
    registry["champion"] = "2"
    assert champion.refresh()
    assert champion.version == "2"
    assert champion.notes == ("1 stored items: column 'studio' is set aside, the model has none",)
    assert "fresh" in listed(champion.model, Request(), k=1000).item_ids


def test_what_another_process_changes_is_in_the_next_answer(registry, names, tmp_path):
    champion = open_champion("shop", "champion", tmp_path / "items.json")
    other = open_champion("shop", "champion", tmp_path / "items.json")
    before = champion.up_to_date()
    assert champion.up_to_date() == before  # nothing is built anew where nothing changed
    other.put([{"item_id": "fresh", "title": "Fresh", "genre": names[0]}])
    model, version = champion.up_to_date()
    assert (version, "fresh" in model.items) == ("1", True)
    assert champion.current()[0] is model


def test_a_database_that_does_not_answer_is_left_alone_for_a_while(registry, tmp_path, monkeypatch, caplog):
    champion, asked = open_champion("shop", "champion", tmp_path / "items.json"), []

    def fails(self):
        asked.append(1)
        raise BadInputError("The state could not be read.")

    monkeypatch.setattr(ItemStore, "has_changed", property(fails))
    before = champion.current()
    assert champion.up_to_date() == champion.up_to_date() == before
    assert len(asked) == 1
    assert "The state could not be read." in caplog.text
    monkeypatch.setattr(module, "_AFTER_FAILURE_S", 0.0)
    champion._next_look = 0.0
    assert champion.up_to_date() == champion.up_to_date() == before
    assert len(asked) == 3
