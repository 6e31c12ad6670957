"""Matrices, arrays, embeddings, adapters and fitted models as npz and safetensors, without pickle.

The code of language models is imported where one is read or written: every command of Kedro imports this module, and
torch, transformers and PEFT take longer to import than most of these commands take.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy import sparse

from tailor.datasets.base import FileDataset
from tailor.hybrid import model as _  # noqa: F401  (makes the hybrid known to the loader)
from tailor.models.base import FittedModel
from tailor.models.store import load_models, save_models

if TYPE_CHECKING:
    from tailor.lm.config import EncoderOptions
    from tailor.lm.embeddings import Embeddings
    from tailor.lm.peft import Adapter

#: Before the name of a vector column, the array of its mean.
_CENTRE_OF = "centre_of/"


class SparseMatrixDataset(FileDataset[sparse.csr_matrix]):
    """A scipy CSR matrix as npz, without pickle."""

    def _read(self, path: Path) -> sparse.csr_matrix:
        return sparse.csr_matrix(sparse.load_npz(path))

    def _write(self, path: Path, data: sparse.csr_matrix) -> None:
        with path.open("wb") as file:
            sparse.save_npz(file, data)


class ArraysDataset(FileDataset[dict[str, np.ndarray]]):
    """Named numpy arrays as safetensors."""

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        return load_file(path)

    def _write(self, path: Path, data: dict[str, np.ndarray]) -> None:
        save_file({key: np.ascontiguousarray(value) for key, value in data.items()}, path)


class EmbeddingsDataset(FileDataset["Embeddings"]):
    """Embeddings as safetensors, with ids and provenance in the file's metadata."""

    def _read(self, path: Path) -> "Embeddings":
        with safe_open(path, framework="np") as file:
            return _embeddings({key: file.get_tensor(key) for key in file.keys()}, file.metadata())  # noqa: SIM118

    def _write(self, path: Path, data: "Embeddings") -> None:
        arrays, metadata = _embedding_arrays(data)
        save_file(arrays, path, metadata=metadata)


def _embedding_arrays(data: "Embeddings") -> tuple[dict[str, np.ndarray], dict[str, str]]:
    arrays = {"embeddings": data.vectors, "centre": data.whitening.centre, "projection": data.whitening.projection}
    arrays |= {f"{_CENTRE_OF}{name}": centre for name, centre in data.centres.items()}
    contiguous = {key: np.ascontiguousarray(value) for key, value in arrays.items() if value is not None}
    return contiguous, {"ids": json.dumps(data.ids.tolist()), "provenance": json.dumps(data.provenance)}


def _embeddings(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> "Embeddings":
    from tailor.lm.embeddings import Embeddings  # noqa: PLC0415
    from tailor.lm.whitening import Whitening  # noqa: PLC0415

    return Embeddings(
        ids=np.array(json.loads(metadata["ids"]), dtype=object),
        vectors=arrays["embeddings"],
        whitening=Whitening(arrays["centre"], arrays.get("projection")),
        provenance=json.loads(metadata["provenance"]),
        centres={key.removeprefix(_CENTRE_OF): arrays[key] for key in sorted(arrays) if key.startswith(_CENTRE_OF)},
    )


class EncoderDataset(FileDataset["tuple[Adapter, EncoderOptions]"]):
    """A merged encoder with its tokenizer, as a plain transformers folder; written only."""

    def load(self) -> "tuple[Adapter, EncoderOptions]":
        """Refuse: the folder is for other programs.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self.filepath} is an export: name it as lm_finetuning.encoder.base_model to use it.")

    def _write(self, path: Path, data: "tuple[Adapter, EncoderOptions]") -> None:
        from tailor.lm.peft import export  # noqa: PLC0415

        export(*data, path)


class ModelsDataset(FileDataset[dict[str, FittedModel]]):
    """Fitted models by name (:mod:`tailor.models.store`)."""

    def _read(self, path: Path) -> dict[str, FittedModel]:
        return load_models(path)

    def _write(self, path: Path, data: dict[str, FittedModel]) -> None:
        save_models(path, data)

    def preview(self) -> TablePreview:
        """Return a row per model, for kedro-viz: its class, its items, the size of its state."""
        rows = [
            (name, type(model.recipe).__name__, model.n_items, round(sum(map(_mib, model.state().values())), 2))
            for name, model in self.load().items()
        ]
        columns = ["model", "class", "items", "MiB of its state"]
        return TablePreview(pd.DataFrame(rows, columns=columns).to_dict(orient="split"))


def _mib(array: Any) -> float:
    return float(np.asarray(array).nbytes / 2**20)


class AdapterDataset(FileDataset["Adapter"]):
    """A PEFT adapter folder (loadable by ``PeftModel.from_pretrained``) with the training head beside it."""

    def _read(self, path: Path) -> "Adapter":
        from tailor.lm.peft import Adapter  # noqa: PLC0415

        return Adapter.read(path)

    def _write(self, path: Path, data: "Adapter") -> None:
        data.write(path)
