"""Embeddings of a catalogue, on disk and joined with vectors of other kinds."""

import numpy as np
import pandas as pd
import pytest

from tailor.datasets import EmbeddingsDataset
from tailor.errors import BadInputError
from tailor.lm.embeddings import Embeddings, join_vectors
from tailor.lm.whitening import Whitening


def test_item_vectors_join_the_embedding():
    E = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert join_vectors(E, pd.DataFrame({"item_id": ["a", "b"]})) is E
    joined = join_vectors(E, pd.DataFrame({"vector_image": [[2.0], [4.0]]}))
    np.testing.assert_allclose(joined, np.array([[1, 0, -1], [0, 1, 1]]) / np.sqrt(2))


@pytest.mark.parametrize("projection", [None, np.eye(2, dtype=np.float32)])
def test_embeddings_keep_ids_and_provenance_on_disk(projection, tmp_path):
    whitening = Whitening(np.array([0.5, 0.5], np.float32), projection)
    given = Embeddings(np.array(["a", "ü"], object), np.eye(2, dtype=np.float32), whitening, {"base_hash": "1f"})
    dataset = EmbeddingsDataset(filepath=str(tmp_path / "e.safetensors"))
    dataset.save(given)
    loaded = dataset.load()
    assert loaded.ids.tolist() == ["a", "ü"]
    assert loaded.provenance == {"base_hash": "1f"}
    np.testing.assert_array_equal(loaded.vectors, given.vectors)
    np.testing.assert_array_equal(loaded.whitening.centre, whitening.centre)
    assert (loaded.whitening.projection is None) == (projection is None)
    with pytest.raises(BadInputError, match="1 ids, but 2 embeddings"):
        Embeddings(np.array(["a"], object), np.eye(2, dtype=np.float32), whitening)
