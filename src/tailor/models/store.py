"""Fitted models in one safetensors file: arrays under ``name/key``, recipes as JSON in the metadata; no pickle."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy import sparse

from tailor._version import __version__
from tailor.config import parse
from tailor.errors import BadInputError, ConfigurationError
from tailor.models import legacy
from tailor.models.base import Csr, FittedModel, State, part_of_state
from tailor.models.registry import model_class
from tailor.types import AnyArray, JsonObject

_META, _VERSION = "models", "tailor_version"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "I8": "i1", "BOOL": "?"}


def save_models(path: Path, models: Mapping[str, FittedModel]) -> None:
    """Write fitted models to ``path``, by name.

    Raises:
        ConfigurationError: the class of a recipe is not registered, so that no file could name it.
    """
    for recipe in (model.recipe for model in models.values()):
        if "name" not in vars(type(recipe)):
            raise ConfigurationError(
                f"{type(recipe).__name__} cannot be saved: it has no name. Decorate it with @register_model('a_name')."
            )
    recipes = {
        name: {
            "model": model.recipe.name,
            "config": model.recipe.config.model_dump(mode="json"),
            "seed": model.recipe.seed,
        }
        for name, model in models.items()
    }
    arrays = {
        # Not ascontiguousarray: it makes rows of single numbers.
        f"{name}/{key}": np.asarray(value, order="C")
        for name, model in models.items()
        for key, value in model.state().items()
    }
    save_file(arrays, path, metadata={_META: json.dumps(recipes), _VERSION: __version__})


def load_models(path: Path, mapped: bool = False) -> dict[str, FittedModel]:
    """Read models back; their scores equal the saved ones'. Files of 0.1 are read too.

    Args:
        path: of the file.
        mapped: leave the arrays on disk, read-only, until they are read.

    Raises:
        BadInputError: the file was not written by :func:`save_models`, or names what this version does not know.
    """
    metadata = _metadata(path)
    if legacy.META not in metadata and _META not in metadata:
        raise BadInputError(f"{path.name} holds no models. Rerun the pipeline that writes it.")
    version = legacy.VERSION if legacy.META in metadata else metadata.get(_VERSION, "unknown")
    try:
        recipes, state = _converted(metadata, map_arrays(path) if mapped else _arrays(path))
        return {name: _load(name, recipe, part_of_state(state, name)) for name, recipe in recipes.items()}
    except (ConfigurationError, KeyError) as problem:
        message = f"no array {problem}" if isinstance(problem, KeyError) else str(problem)
        raise BadInputError(
            f"{path.name} was written by Tailor {version} and cannot be read by {__version__}: {message}"
        ) from None


def _converted(metadata: Mapping[str, str], state: State) -> tuple[JsonObject, State]:
    """Return recipes and arrays as this version names them."""
    if legacy.META in metadata:
        return legacy.convert(json.loads(metadata[legacy.META]), state)
    return json.loads(metadata[_META]), state


def _load(name: str, recipe: JsonObject, state: State) -> FittedModel:
    model = model_class(recipe["model"])
    return model(parse(model.config_class, recipe["config"], name), recipe["seed"]).load(state)


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata() or {})


def _arrays(path: Path) -> State:
    with safe_open(path, framework="numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)


def map_arrays(path: Path) -> dict[str, AnyArray]:
    """Map the arrays of a safetensors file: 8 bytes of header length, the header in JSON, then the arrays' bytes."""
    whole = np.memmap(path, dtype=np.uint8, mode="r")
    size = int(whole[:8].view("<u8")[0])
    header = json.loads(whole[8 : 8 + size].tobytes())
    header.pop("__metadata__", None)
    arrays = {}
    for name, entry in header.items():
        start, end = (8 + size + offset for offset in entry["data_offsets"])
        arrays[name] = whole[start:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def sparse_state(name: str, matrix: Csr) -> State:
    """Return a sparse matrix as arrays under ``name/``."""
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": np.array(matrix.shape)}
    return {f"{name}/{key}": value for key, value in parts.items()}


def sparse_from_state(state: State, name: str) -> Csr:
    """Undo :func:`sparse_state`."""
    parts = part_of_state(state, name)
    shape = (int(parts["shape"][0]), int(parts["shape"][1]))
    return sparse.csr_matrix((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
