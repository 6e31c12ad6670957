"""Embeddings of a catalogue, on disk and joined with vectors of other kinds."""

import numpy as np
import pytest

from tailor.datasets import EmbeddingsDataset
from tailor.errors import BadInputError
from tailor.lm.embeddings import Embeddings
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
