"""Fitted engines in one safetensors file: arrays under ``name/key``, options as JSON in the metadata; no pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from tailor.cf.base import Engine
from tailor.cf.registry import engine_class
from tailor.errors import BadInputError
from tailor.options import parse

_META = "engines"


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


def load_engines(path: Path) -> dict[str, Engine[Any]]:
    """Read engines back; their scores equal the saved ones'.

    Raises:
        BadInputError: the file was not written by :func:`save_engines`.
    """
    with safe_open(path, framework="numpy") as file:
        meta = (file.metadata() or {}).get(_META)
        if meta is None:
            raise BadInputError(f"{path} holds no engines. Rerun the pipeline that writes it.")
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    engines = {}
    for name, entry in json.loads(meta).items():
        cls = engine_class(entry["engine"])
        own = {key.split("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
        engines[name] = cls.from_state(own, parse(cls.options_class, entry["options"], name), entry["seed"])
    return engines
