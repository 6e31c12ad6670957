"""Adapters as plain data: a PEFT state dict and its config, with no live model between pipeline steps."""

import hashlib
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from transformers import AutoTokenizer

from tailor.errors import ConfigurationError
from tailor.lm.encoder import load_base, model_path
from tailor.options import EncoderOptions, PeftOptions

#: Methods that PEFT has no name for: every weight is tuned, or none.
FULL, FROZEN = "FULL", "FROZEN"
_PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING")


@dataclass(frozen=True)
class Adapter:
    """A tuned adapter, in PEFT's own format when saved."""

    weights: dict[str, torch.Tensor]
    """PEFT state dict; the whole state dict for full tuning; empty for a frozen encoder."""
    config: dict[str, Any]
    """PEFT adapter config; of full tuning and frozen encoders, the method's name as ``peft_type``."""
    head: dict[str, torch.Tensor]
    """Linear head of the training objective: weight (d, m + 1), last column the bias."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """What it was tuned from and how."""


def prepare(base: torch.nn.Module, options: PeftOptions, steps: int) -> torch.nn.Module:
    """Make the weights that ``options.method`` tunes trainable, and no other.

    Args:
        base: the encoder; wrapped or changed in place.
        options: the method.
        steps: optimisation steps to come (AdaLoRA prunes its ranks along them).

    Raises:
        ConfigurationError: no module of the base model has one of the target names.
    """
    if options.method in ("full", "frozen"):
        return base.requires_grad_(options.method == "full")
    if options.method not in ("prompt", "prefix"):
        _check_targets(base, options)
    return get_peft_model(base, _config(options, steps))  # type: ignore[no-any-return,arg-type]


def _check_targets(base: torch.nn.Module, options: PeftOptions) -> None:
    names = {name.rsplit(".", 1)[-1] for name, module in base.named_modules() if isinstance(module, torch.nn.Linear)}
    if not names & set(options.target_modules):
        raise ConfigurationError(
            f"lm_finetuning.peft.target_modules = {options.target_modules}: no module matched. "
            f"Linear modules of this base model: {', '.join(sorted(names))}."
        )


def _config(o: PeftOptions, steps: int) -> PeftConfig:
    low_rank: dict[str, Any] = {
        "lora_alpha": o.alpha,
        "lora_dropout": o.dropout,
        "target_modules": o.target_modules,
        "bias": "none",
    }
    prompt: dict[str, Any] = {"task_type": "FEATURE_EXTRACTION", "num_virtual_tokens": o.n_virtual_tokens}
    match o.method:
        case "adalora":
            schedule = {"total_step": max(steps, 3), "tinit": steps // 10, "tfinal": steps // 3}
            return AdaLoraConfig(init_r=round(1.5 * o.r), target_r=o.r, deltaT=1, **schedule, **low_rank)
        case "ia3":
            inner = [name for name in o.feedforward_modules if name in o.target_modules]
            return IA3Config(target_modules=o.target_modules, feedforward_modules=inner)
        case "prompt":
            return PromptTuningConfig(**prompt)
        case "prefix":
            return PrefixTuningConfig(**prompt)
    return LoraConfig(r=o.r, use_dora=o.method == "dora", **low_rank)


def extract(model: torch.nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tuned weights (detached, CPU) and the config (JSON-able)."""
    if not isinstance(model, PeftModel):
        tuned = any(p.requires_grad for p in model.parameters())
        found = model.state_dict() if tuned else {}
        config: dict[str, Any] = {"peft_type": FULL if tuned else FROZEN}
    else:
        found = get_peft_model_state_dict(model)
        with tempfile.TemporaryDirectory() as folder:
            model.peft_config["default"].save_pretrained(folder)
            config = json.loads((Path(folder) / "adapter_config.json").read_text())
    return {key: value.detach().cpu().clone() for key, value in found.items()}, config


def attach(base: torch.nn.Module, adapter: Adapter, options: EncoderOptions) -> torch.nn.Module:
    """Return the tuned encoder in eval mode, merged into plain weights where the method allows it.

    Raises:
        ConfigurationError: the adapter belongs to another base model.
    """
    if adapter.config["peft_type"] == FROZEN:
        return base.eval()
    if adapter.config["peft_type"] == FULL:
        strange = list(base.load_state_dict(adapter.weights, strict=False).unexpected_keys)
        model = base
    else:
        config = {key: value for key, value in adapter.config.items() if value is not None}
        wrapped = get_peft_model(base, PeftConfig.from_peft_type(**config))  # type: ignore[arg-type]
        # PEFT loads a prompt into its own encoder, then reports it as unexpected in the model.
        unexpected = set_peft_model_state_dict(wrapped, adapter.weights).unexpected_keys
        strange = [key for key in unexpected if key != "prompt_embeddings"]
        model = wrapped  # type: ignore[assignment]
    if strange:
        raise ConfigurationError(
            f"The adapter does not fit base model '{options.base_model}': unexpected weights {strange[:3]}. "
            "Rerun `kedro run --pipelines=lm_finetuning`."
        )
    if isinstance(model, PeftModel) and adapter.config["peft_type"] not in _PROMPTS:
        model = model.merge_and_unload()
    return model.eval()


def mergeable(adapter: Adapter) -> bool:
    """Whether the tuned encoder is plain weights: virtual tokens are not."""
    return adapter.config["peft_type"] not in _PROMPTS


def export(adapter: Adapter, options: EncoderOptions, folder: Path) -> None:
    """Write the merged encoder and its tokenizer as a plain transformers folder, usable as ``encoder.base_model``.

    Raises:
        ConfigurationError: prompt and prefix tuning have no weights to merge into.
    """
    if not mergeable(adapter):
        raise ConfigurationError(
            f"{adapter.config['peft_type']} cannot be merged: its virtual tokens are no weights of the encoder. "
            "Deploy the adapter folder with PEFT, or tune with lora, dora, adalora, ia3 or full."
        )
    attach(load_base(options), adapter, options).save_pretrained(folder)  # type: ignore[operator]
    AutoTokenizer.from_pretrained(model_path(options.base_model)).save_pretrained(folder)


def weights_hash(model: torch.nn.Module) -> str:
    """Return a SHA-256 over names and values of all weights, 16 hex digits: which base an adapter belongs to."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if value.dim() else b"")
    return digest.hexdigest()[:16]
