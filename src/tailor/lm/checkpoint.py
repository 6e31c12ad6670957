"""Where an interrupted training goes on: one safetensors file, replaced whole after every epoch."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tailor.files import write_aside
from tailor.types import JsonObject

log = logging.getLogger(__name__)
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch; what is random in the next one is seeded by its number, so no generator is kept."""

    fingerprint: str
    """Of options, data, base model and seed: another training's checkpoint is not taken up."""
    progress: JsonObject
    """JSON-able: epoch, history, best value."""
    tensors: Tensors
    """Weights, optimizer moments, averages, the best adapter so far; contiguous, on the CPU."""

    def save(self, path: Path) -> None:
        """Write aside and rename."""
        meta = {"fingerprint": self.fingerprint, "progress": json.dumps(self.progress)}
        with write_aside(path) as aside:
            save_file({key: value.contiguous() for key, value in self.tensors.items()}, aside, metadata=meta)

    @classmethod
    def load(cls, path: Path, fingerprint: str) -> "Checkpoint | None":
        """Return the checkpoint, or None when there is none, it is unreadable, or it belongs to another training."""
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                meta = file.metadata() or {}
                if meta.get("fingerprint") != fingerprint:
                    log.info("%s belongs to a training with other options or data: starting from the beginning", path)
                    return None
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no mapping)
        except (SafetensorError, OSError) as exc:
            log.warning("%s cannot be read (%s): starting from the beginning", path, exc)
            return None
        return cls(fingerprint, json.loads(meta["progress"]), tensors)


def flatten(prefix: str, tensors: Tensors) -> Tensors:
    """Prefix the keys and detach the values."""
    return {f"{prefix}/{key}": value.detach().cpu().clone() for key, value in tensors.items()}


def part(prefix: str, tensors: Tensors) -> Tensors:
    """Undo :func:`flatten` for one prefix."""
    start = f"{prefix}/"
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Return the optimizer's moments under ``<parameter number>/<name>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{name}": torch.as_tensor(value) for index, entry in state.items() for name, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Put moments saved by :func:`optimizer_tensors` back."""
    state: dict[int, Any] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
