"""Adapters as plain data: a PEFT state dict and its config, with no live model between pipeline steps."""

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from tailor.errors import ConfigurationError
from tailor.options import EncoderOptions, LoraOptions


@dataclass(frozen=True)
class Adapter:
    """A tuned adapter, in PEFT's own format when saved."""

    weights: dict[str, torch.Tensor]
    """PEFT state dict."""
    config: dict[str, Any]
    """PEFT adapter config."""
    head: dict[str, torch.Tensor]
    """Linear head of the training objective: weight (d, m + 1), last column the bias."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """What it was tuned from and how."""


def add_lora(base: torch.nn.Module, options: LoraOptions) -> PeftModel:
    """Wrap ``base`` with LoRA (Hu et al. 2021); only adapter weights require gradients.

    Raises:
        ConfigurationError: no module of the base model has one of the target names.
    """
    names = {name.rsplit(".", 1)[-1] for name, module in base.named_modules() if isinstance(module, torch.nn.Linear)}
    if not names & set(options.target_modules):
        raise ConfigurationError(
            f"lm_finetuning.lora.target_modules = {options.target_modules}: no module matched. "
            f"Linear modules of this base model: {', '.join(sorted(names))}."
        )
    config = LoraConfig(
        r=options.r,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=options.target_modules,
        bias="none",
    )
    return get_peft_model(base, config)  # type: ignore[no-any-return]


def extract(model: PeftModel) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the adapter's state dict (detached, CPU) and config (JSON-able)."""
    weights = {key: value.detach().cpu().clone() for key, value in get_peft_model_state_dict(model).items()}
    with tempfile.TemporaryDirectory() as folder:
        model.peft_config["default"].save_pretrained(folder)
        config: dict[str, Any] = json.loads((Path(folder) / "adapter_config.json").read_text())
    return weights, config


def attach(base: torch.nn.Module, adapter: Adapter, options: EncoderOptions) -> torch.nn.Module:
    """Merge a saved adapter into ``base`` and return the merged encoder, in eval mode."""
    config = {key: adapter.config[key] for key in ("r", "lora_alpha", "lora_dropout", "target_modules", "bias")}
    model = get_peft_model(base, LoraConfig(**config))
    outcome = set_peft_model_state_dict(model, adapter.weights)
    if outcome.unexpected_keys:
        raise ConfigurationError(
            f"The adapter does not fit base model '{options.base_model}': unexpected weights "
            f"{outcome.unexpected_keys[:3]}. Rerun `kedro run --pipelines=lm_finetuning`."
        )
    return model.merge_and_unload().eval()  # type: ignore[no-any-return,operator]
