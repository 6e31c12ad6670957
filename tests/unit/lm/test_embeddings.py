"""Embeddings of a catalogue, on disk and joined with vectors of other kinds."""

import numpy as np
import pandas as pd
import pytest
import torch

from tailor.datasets import EmbeddingsDataset
from tailor.errors import BadInputError
from tailor.lm.config import LMOptions
from tailor.lm.embeddings import Embeddings, embed_catalogue
from tailor.lm.whitening import Whitening


@pytest.mark.parametrize("projection", [None, np.eye(2, dtype=np.float32)])
def test_embeddings_keep_ids_and_provenance_on_disk(projection, tmp_path):
    whitening = Whitening(np.array([0.5, 0.5], np.float32), projection)
    centres = {"vector_image": np.array([0.5], np.float32)}
    ids = np.array(["a", "ü"], object)
    given = Embeddings(ids, np.eye(2, dtype=np.float32), whitening, {"base_hash": "1f"}, centres)
    dataset = EmbeddingsDataset(filepath=str(tmp_path / "e.safetensors"))
    dataset.save(given)
    loaded = dataset.load()
    assert loaded.ids.tolist() == ["a", "ü"]
    assert loaded.provenance == {"base_hash": "1f"}
    assert loaded.centres == centres
    assert loaded.dimensions == {"text": 1, "vector_image": 1}
    assert Embeddings(ids, given.vectors, whitening).dimensions == {}
    np.testing.assert_array_equal(loaded.vectors, given.vectors)
    np.testing.assert_array_equal(loaded.whitening.centre, whitening.centre)
    assert (loaded.whitening.projection is None) == (projection is None)
    with pytest.raises(BadInputError, match="1 ids, but 2 embeddings"):
        Embeddings(np.array(["a"], object), np.eye(2, dtype=np.float32), whitening)


@pytest.fixture
def pooled(monkeypatch):
    """States that an encoder would return, of three items."""
    states = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], np.float32)
    monkeypatch.setattr("tailor.lm.embeddings.encode", lambda *_: states)
    return states


def embedded(items):
    everything = np.ones(len(items), dtype=bool)
    return embed_catalogue(torch.nn.Identity(), [], items, everything, LMOptions(), {}, "encode")


def test_items_without_a_vector_are_known_by_their_text_and_told(pooled, caplog):
    items = pd.DataFrame({"item_id": ["a", "b", "c"]})
    texts = embedded(items)
    assert texts.dimensions == {}
    assert not caplog.messages
    found = embedded(items.assign(vector_image=[[2.0], None, [4.0]]))
    assert found.centres["vector_image"].tolist() == [(2 + 4) / 2]
    assert found.dimensions == {"text": 2, "vector_image": 1}
    expected = np.hstack([texts.vectors, [[-1], [0], [1]]]) / np.sqrt([[2], [1], [2]])
    np.testing.assert_allclose(found.vectors, expected, rtol=1e-6)
    assert caplog.messages == ["vector_image: 1 of 3 items have no vector; they are known by their other parts"]


def test_texts_alone_are_what_the_encoder_says(pooled):
    found = embedded(pd.DataFrame({"item_id": ["a", "b", "c"]}))
    np.testing.assert_array_equal(found.vectors, found.whitening.apply(pooled))
