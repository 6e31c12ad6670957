"""An adapter as what it adds to weight matrices: products of two thin ones, which are packaged beside the base model.

Only PEFT's plain LoRA is kept so; what is packaged of every other type is the merged encoder. Nothing here needs PEFT.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file

from tailor.errors import BadInputError
from tailor.types import Parameters

Tensors = dict[str, torch.Tensor]
#: Names as PEFT writes them, so that the folder is an adapter to PEFT too.
_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_NAME = re.compile(r"base_model\.model\.(.+)\.lora_[AB]\.weight")
#: Largest difference between a weight that PEFT has merged and ours, as rounding of fp32 makes it.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class LowRank:
    """The weights of a plain LoRA adapter."""

    weights: Tensors
    """PEFT state dict: lora_A (r, in) and lora_B (out, r) of each linear layer."""
    config: Parameters
    """PEFT adapter config."""

    @classmethod
    def of(cls, weights: Tensors, config: Parameters, base: Tensors, merged: Tensors) -> Self | None:
        """Return the adapter if base and adapter make the merged weights, else None.

        Args:
            weights: PEFT state dict.
            config: PEFT adapter config.
            base: state dict of the encoder before PEFT has merged the adapter.
            merged: state dict after that.
        """
        if config.get("peft_type") != "LORA" or not all(_NAME.fullmatch(name) for name in weights):
            return None
        adapter = cls(weights, config)
        deltas = dict(adapter.deltas())
        if not deltas.keys() <= merged.keys() or merged.keys() != base.keys():
            return None
        sums = {name: base[name] + deltas[name].to(base[name]) if name in deltas else base[name] for name in base}
        equal = all(torch.allclose(sums[name], merged[name], rtol=_ROUNDING, atol=_ROUNDING) for name in base)
        return adapter if equal else None

    def deltas(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the name of a weight matrix and what the adapter adds to it, (out, in)."""
        rank = float(self.config["r"])
        scale = self.config["lora_alpha"] / (rank**0.5 if self.config.get("use_rslora") else rank)
        for name, down in self.weights.items():
            if name.endswith(_DOWN):
                up = self.weights[name.removesuffix(_DOWN) + _UP]
                matched = _NAME.fullmatch(name)
                yield f"{matched[1] if matched else name}.weight", (up @ down) * scale

    def merge(self, model: torch.nn.Module) -> None:
        """Add the adapter to a base model, in place.

        Raises:
            BadInputError: the model lacks a weight that the adapter names, or its shape is another.
        """
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, delta in self.deltas():
                if name not in parameters or parameters[name].shape != delta.shape:
                    raise BadInputError(f"The packaged adapter does not fit weight {name}. Register the model anew.")
                parameters[name].add_(delta.to(parameters[name]))

    def take_out(self, model: torch.nn.Module) -> None:
        """Take what :meth:`merge` added out of a model, in place."""
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, delta in self.deltas():
                parameters[name].sub_(delta.to(parameters[name]))

    def base_state(self, model: torch.nn.Module) -> Tensors:
        """Return the state dict of a model without what the adapter added to it."""
        deltas = dict(self.deltas())
        state = model.state_dict()
        return {name: value - deltas[name].to(value) if name in deltas else value for name, value in state.items()}

    def save(self, folder: Path) -> None:
        """Write the adapter as PEFT does."""
        folder.mkdir(parents=True)
        save_file(
            {name: value.contiguous() for name, value in self.weights.items()}, folder / _WEIGHTS, {"format": "pt"}
        )
        (folder / _CONFIG).write_text(json.dumps(self.config, indent=2, default=str))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        return cls(load_file(folder / _WEIGHTS), json.loads((folder / _CONFIG).read_text()))
