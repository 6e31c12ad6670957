"""Datasets for local files, written aside and renamed: parquet, sparse matrices, engines, arrays, adapters."""

import json
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets.pandas import ParquetDataset as KedroParquetDataset
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from scipy import sparse

from tailor.files import write_aside
from tailor.hybrid import scorer as _  # noqa: F401  (registers the hybrid engine)
from tailor.lm.config import EncoderOptions
from tailor.lm.embeddings import Embeddings
from tailor.lm.peft import Adapter, export
from tailor.lm.whitening import Whitening
from tailor.models.base import Engine
from tailor.models.store import load_engines, save_engines

T = TypeVar("T")


class ParquetDataset(KedroParquetDataset):
    """kedro-datasets' ``pandas.ParquetDataset`` that never leaves a half-written file under its name."""

    def save(self, data: pd.DataFrame) -> None:
        """Write ``data`` aside and rename."""
        with write_aside(Path(str(self._get_save_path()))) as aside:
            data.to_parquet(aside, **self._save_args)
        self._invalidate_cache()


class AccumulatedDataset(ParquetDataset):
    """A table that grows: saving replaces the rows that agree with the new ones in ``keys``, and keeps all others."""

    def __init__(self, *, keys: list[str], **kwargs: Any) -> None:
        """Remember the keys.

        Args:
            keys: columns that say which rows are the same.
            kwargs: as of ``pandas.ParquetDataset``.
        """
        super().__init__(**kwargs)
        self._keys = keys

    def save(self, data: pd.DataFrame) -> None:
        """Merge, write aside and rename."""
        if self._exists():
            old = pd.read_parquet(str(self._get_load_path()))
            if set(old) == set(data):
                new = pd.MultiIndex.from_frame(data[self._keys])
                data = pd.concat([old[~pd.MultiIndex.from_frame(old[self._keys]).isin(new)], data], ignore_index=True)
        super().save(data)


class LocalFileDataset(AbstractDataset[T, T], Generic[T]):
    """Base: one local path, written aside; subclasses say how to read and write it."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Remember the path.

        Args:
            filepath: where the data are, relative to the project.
            metadata: for kedro-viz.
        """
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> T:
        """Read the file."""
        return self._read(self._filepath)

    def save(self, data: T) -> None:
        """Write aside and rename."""
        with write_aside(self._filepath) as aside:
            self._write(aside, data)

    def _read(self, path: Path) -> T:
        raise NotImplementedError

    def _write(self, path: Path, data: T) -> None:
        raise NotImplementedError

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class SparseMatrixDataset(LocalFileDataset[sparse.csr_matrix]):
    """A scipy CSR matrix as npz, without pickle."""

    def _read(self, path: Path) -> sparse.csr_matrix:
        return sparse.csr_matrix(sparse.load_npz(path))

    def _write(self, path: Path, data: sparse.csr_matrix) -> None:
        with path.open("wb") as file:
            sparse.save_npz(file, data)


class ArraysDataset(LocalFileDataset[dict[str, np.ndarray]]):
    """Named numpy arrays as safetensors."""

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        return load_file(path)

    def _write(self, path: Path, data: dict[str, np.ndarray]) -> None:
        save_file({key: np.ascontiguousarray(value) for key, value in data.items()}, path)


class EmbeddingsDataset(LocalFileDataset[Embeddings]):
    """Embeddings as safetensors, with ids and provenance in the file's metadata."""

    def _read(self, path: Path) -> Embeddings:
        with safe_open(path, framework="np") as file:
            return _embeddings({key: file.get_tensor(key) for key in file.keys()}, file.metadata())  # noqa: SIM118

    def _write(self, path: Path, data: Embeddings) -> None:
        arrays, metadata = _embedding_arrays(data)
        save_file(arrays, path, metadata=metadata)


def _embedding_arrays(data: Embeddings) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    arrays = {"embeddings": data.vectors, "centre": data.whitening.centre, "projection": data.whitening.projection}
    kept = {key: np.ascontiguousarray(value) for key, value in arrays.items() if value is not None}
    return kept, {"ids": json.dumps(data.ids.tolist()), "provenance": json.dumps(data.provenance)}


def _embeddings(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> Embeddings:
    return Embeddings(
        ids=np.array(json.loads(metadata["ids"]), dtype=object),
        vectors=arrays["embeddings"],
        whitening=Whitening(arrays["centre"], arrays.get("projection")),
        provenance=json.loads(metadata["provenance"]),
    )


class EncoderDataset(LocalFileDataset[tuple[Adapter, EncoderOptions]]):
    """A merged encoder with its tokenizer, as a plain transformers folder; written only."""

    def load(self) -> tuple[Adapter, EncoderOptions]:
        """Refuse: the folder is for other programs.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self._filepath} is an export: name it as lm_finetuning.encoder.base_model to use it.")

    def _write(self, path: Path, data: tuple[Adapter, EncoderOptions]) -> None:
        export(*data, path)


class EnginesDataset(LocalFileDataset[dict[str, Engine[Any]]]):
    """Fitted engines by model name (:mod:`tailor.models.store`)."""

    def _read(self, path: Path) -> dict[str, Engine[Any]]:
        return load_engines(path)

    def _write(self, path: Path, data: dict[str, Engine[Any]]) -> None:
        save_engines(path, data)


class AdapterDataset(LocalFileDataset[Adapter]):
    """A PEFT adapter folder (loadable by ``PeftModel.from_pretrained``) with the training head beside it."""

    def _read(self, path: Path) -> Adapter:
        return Adapter(
            weights=load_tensors(path / "adapter_model.safetensors"),
            config=json.loads((path / "adapter_config.json").read_text()),
            head=load_tensors(path / "head.safetensors"),
            provenance=json.loads((path / "provenance.json").read_text()),
        )

    def _write(self, path: Path, data: Adapter) -> None:
        path.mkdir()
        save_tensors(data.weights, path / "adapter_model.safetensors", metadata={"format": "pt"})
        save_tensors(data.head, path / "head.safetensors", metadata={"format": "pt"})
        (path / "adapter_config.json").write_text(json.dumps(data.config, indent=2, default=str))
        (path / "provenance.json").write_text(json.dumps(data.provenance, indent=2))
