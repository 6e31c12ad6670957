"""Fitted engines in one safetensors file: arrays under ``name/key``, options as JSON in the metadata; no pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy import sparse

from tailor.config import parse
from tailor.errors import BadInputError
from tailor.models.base import Engine
from tailor.models.registry import engine_class

_META = "engines"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "I8": "i1", "BOOL": "?"}


def save_engines(path: Path, engines: dict[str, Engine[Any]]) -> None:
    """Write fitted engines to ``path``, keyed by model name."""
    meta = {
        name: {"engine": type(e).__name__, "options": e.options.model_dump(mode="json"), "seed": e.seed}
        for name, e in engines.items()
    }
    arrays = {
        f"{name}/{key}": np.ascontiguousarray(value) for name, e in engines.items() for key, value in e.state().items()
    }
    save_file(arrays, path, metadata={_META: json.dumps(meta)})


def load_engines(path: Path, mapped: bool = False) -> dict[str, Engine[Any]]:
    """Read engines back; their scores equal the saved ones'.

    Args:
        path: of the file.
        mapped: leave the arrays on disk, read-only, until they are read.

    Raises:
        BadInputError: the file was not written by :func:`save_engines`.
    """
    with safe_open(path, framework="numpy") as file:
        meta = (file.metadata() or {}).get(_META)
        if meta is None:
            raise BadInputError(f"{path} holds no engines. Rerun the pipeline that writes it.")
        arrays = {} if mapped else {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    arrays = map_arrays(path) if mapped else arrays
    engines = {}
    for name, entry in json.loads(meta).items():
        cls = engine_class(entry["engine"])
        own = {key.split("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
        engines[name] = cls.from_state(own, parse(cls.options_class, entry["options"], name), entry["seed"])
    return engines


def map_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Map the arrays of a safetensors file: 8 bytes of header length, the header in JSON, then the arrays' bytes."""
    whole = np.memmap(path, dtype=np.uint8, mode="r")
    size = int(whole[:8].view("<u8")[0])
    header = json.loads(whole[8 : 8 + size].tobytes())
    header.pop("__metadata__", None)
    found = {}
    for name, about in header.items():
        start, end = (8 + size + offset for offset in about["data_offsets"])
        found[name] = whole[start:end].view(_DTYPES[about["dtype"]]).reshape(about["shape"])
    return found


def save_sparse(path: Path, matrix: sparse.csr_matrix) -> None:
    """Write a sparse matrix as safetensors."""
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    save_file(parts | {"shape": np.array(matrix.shape)}, path)


def load_sparse(path: Path) -> sparse.csr_matrix:
    """Map what :func:`save_sparse` wrote."""
    parts = map_arrays(path)
    shape = (int(parts["shape"][0]), int(parts["shape"][1]))
    return sparse.csr_matrix((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
