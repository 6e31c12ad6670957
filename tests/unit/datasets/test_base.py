"""What holds of every dataset on every file system: loaded as saved, whole or absent."""

import numpy as np
import pandas as pd
import pytest
import torch
from fsspec.implementations.memory import MemoryFile
from kedro.io import DatasetError
from scipy import sparse

from tailor.datasets import (
    AdapterDataset,
    ArraysDataset,
    EmbeddingsDataset,
    ModelsDataset,
    ParquetDataset,
    SparseMatrixDataset,
)
from tailor.lm.embeddings import Embeddings
from tailor.lm.peft import Adapter
from tailor.lm.whitening import Whitening
from tailor.models.base import Query, TrainSet
from tailor.models.registry import build


def a_model(seed):
    matrix = sparse.random(6, 8, 0.5, format="csr", random_state=seed, dtype=np.float32)
    data = TrainSet.of(sparse.csr_matrix(matrix > 0, dtype=np.float32), np.ones(8, bool))
    return {"popular": build("popular", {}, seed).fit(data)}


def an_adapter(seed):
    torch.manual_seed(seed)
    return Adapter(
        {"a": torch.randn(2, 3)}, {"peft_type": "LORA", "r": seed}, {"weight": torch.randn(2)}, {"seed": seed}
    )


def embeddings(seed):
    rng = np.random.default_rng(seed)
    whitening = Whitening(rng.normal(size=3).astype(np.float32), None)
    return Embeddings(
        np.array(["a", "b"], object), rng.normal(size=(2, 3)).astype(np.float32), whitening, {"seed": seed}
    )


def table(seed):
    return pd.DataFrame({"x": [seed, seed + 1]})


def same_models(a, b):
    query = Query.of(sparse.csr_matrix(np.eye(8, dtype=np.float32)))
    np.testing.assert_array_equal(a["popular"].score(query), b["popular"].score(query))


def same_adapters(a, b):
    assert (a.config, a.provenance) == (b.config, b.provenance)
    assert torch.equal(a.weights["a"], b.weights["a"])
    assert torch.equal(a.head["weight"], b.head["weight"])


def same_embeddings(a, b):
    np.testing.assert_array_equal(a.vectors, b.vectors)
    np.testing.assert_array_equal(a.whitening.centre, b.whitening.centre)
    assert (a.ids.tolist(), a.provenance) == (b.ids.tolist(), b.provenance)


DATASETS = {
    "table.parquet": (ParquetDataset, table, pd.testing.assert_frame_equal),
    "matrix.npz": (
        SparseMatrixDataset,
        lambda seed: sparse.random(5, 7, 0.3, format="csr", random_state=seed),
        lambda a, b: np.testing.assert_array_equal(a.toarray(), b.toarray()),
    ),
    "arrays.safetensors": (
        ArraysDataset,
        lambda seed: {"x": np.arange(seed, seed + 6.0).reshape(2, 3).T},
        lambda a, b: np.testing.assert_array_equal(a["x"], b["x"]),
    ),
    "embeddings.safetensors": (EmbeddingsDataset, embeddings, same_embeddings),
    "models.safetensors": (ModelsDataset, a_model, same_models),
    "adapter": (AdapterDataset, an_adapter, same_adapters),
}

each_dataset = pytest.mark.parametrize("name", DATASETS)


@each_dataset
def test_what_is_saved_is_loaded_and_saved_over(root, name):
    kind, make, same = DATASETS[name]
    dataset = kind(filepath=f"{root}/deep/{name}")
    assert not dataset.exists()
    for seed in (1, 2):
        dataset.save(make(seed))
        assert dataset.exists()
        same(dataset.load(), make(seed))
        same(kind(filepath=f"{root}/deep/{name}").load(), make(seed))
    beside = dataset.location.siblings("*") + dataset.location.siblings(".*")
    assert {place.name for place in beside} == {name}


@each_dataset
def test_a_failure_while_writing_leaves_the_old_one(root, name, monkeypatch):
    kind, make, same = DATASETS[name]
    dataset = kind(filepath=f"{root}/{name}")
    dataset.save(make(1))
    write = kind._write

    def fail_at_the_end(self, path, data):
        write(self, path, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "_write", fail_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(make(2))
    same(dataset.load(), make(1))


@each_dataset
def test_a_failing_upload_leaves_the_old_one(name, monkeypatch):
    kind, make, same = DATASETS[name]
    dataset = kind(filepath=f"memory://upload/{name}")
    dataset.save(make(1))

    def fail_half_way(self, data):
        MemoryFile.__mro__[1].write(self, data[: len(data) // 2])
        raise OSError("the connection is gone")

    with monkeypatch.context() as broken:
        broken.setattr(MemoryFile, "write", fail_half_way, raising=False)
        with pytest.raises(DatasetError, match="the connection is gone"):
            dataset.save(make(2))
    same(dataset.load(), make(1))
    assert len(dataset.location.siblings("*") + dataset.location.siblings(".*")) == 1
    dataset.location.remove()
