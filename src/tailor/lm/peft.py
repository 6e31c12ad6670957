"""Adapters as plain data: a PEFT state dict and its config, with no live model between pipeline steps."""

import hashlib
import json
import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PeftConfig,
    PeftModel,
    PromptLearningConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tailor.errors import ConfigurationError
from tailor.lm.base_model import read_tokenizer
from tailor.lm.config import FROZEN, FULL, EncoderOptions, PeftOptions
from tailor.lm.encoder import load_base
from tailor.types import JsonObject, Parameters

Tensors = dict[str, torch.Tensor]

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
#: Folder of the adapters of domains; their names are in their provenance.
_DOMAINS = "domains"
#: Keys of a config that say nothing of what the weights do.
_MAY_DIFFER = ("base_model_name_or_path", "inference_mode", "lora_dropout", "init_lora_weights", "revision")
#: Types whose files hold less than training needs: the prompt and not its network, ranks that were pruned.
_NOT_CONTINUED = ("ADALORA", "P_TUNING", "PREFIX_TUNING")
#: Linear layers of BERT's kin, and those of attention in decoders of Llama's kin.
_TARGETS, _OF_DECODERS = ["query", "key", "value", "dense"], ["q_proj", "k_proj", "v_proj", "o_proj"]
_LOW_RANK: JsonObject = {"lora_alpha": 16, "lora_dropout": 0.05}


@dataclass(frozen=True)
class Adapter:
    """A tuned adapter, in PEFT's format when saved."""

    weights: Tensors
    """PEFT state dict; the whole state dict for full tuning; empty for a frozen encoder."""
    config: Parameters
    """PEFT adapter config; of full tuning and frozen encoders, ``peft_type`` alone."""
    head: Tensors
    """Linear head of the training objective: weight (d, m + 1), last column the bias."""
    provenance: JsonObject = field(default_factory=dict)
    """What it was tuned from and how."""
    domains: "dict[str, Adapter]" = field(default_factory=dict)
    """Of several domains, the adapter that is put on this one for the items of each, by name; a domain that is not
    named has none."""

    @classmethod
    def none(cls) -> "Adapter":
        """Return what stands for an adapter where nothing is tuned."""
        return cls({}, {}, {})

    @classmethod
    def read(cls, folder: Path) -> "Adapter":
        """Read what :meth:`write` wrote."""
        parts = [cls.read(path) for path in sorted((folder / _DOMAINS).glob("*"))]
        return cls(
            domains={part.provenance["domain"]: part for part in parts},
            weights=load_file(folder / _WEIGHTS),
            config=json.loads((folder / _CONFIG).read_text()),
            head=load_file(folder / "head.safetensors"),
            provenance=json.loads((folder / "provenance.json").read_text()),
        )

    def write(self, folder: Path) -> None:
        """Write a folder that ``PeftModel.from_pretrained`` loads, with head and provenance beside it."""
        folder.mkdir()
        save_file(self.weights, folder / _WEIGHTS, metadata={"format": "pt"})
        save_file(self.head, folder / "head.safetensors", metadata={"format": "pt"})
        (folder / _CONFIG).write_text(json.dumps(self.config, indent=2, default=str))
        (folder / "provenance.json").write_text(json.dumps(self.provenance, indent=2))
        if self.domains:
            (folder / _DOMAINS).mkdir()
        for number, adapter in enumerate(self.domains.values()):
            adapter.write(folder / _DOMAINS / f"{number:03d}")

    @property
    def is_tuned(self) -> bool:
        """Whether there is one: every tuning leaves a head."""
        return bool(self.head)


def peft_config(options: PeftOptions, steps: int, linear: Collection[str] = ()) -> PeftConfig:
    """Build PEFT's configuration; what ``options`` leaves out is PEFT's default, but for the following.

    * LORA (Hu et al. 2021): rank 8, scaling 16 / rank, dropout .05, on query, key, value and dense layers; in decoders
      of Llama's kin on q_proj, k_proj, v_proj and o_proj.
    * ADALORA (Zhang et al. 2023): the same with rank 12 pruned to 8 on average, between the tenth and the last third of
      the ``steps``.
    * IA3 (Liu et al. 2022): the same layers, of which the dense ones are scaled at their input.
    * Virtual tokens (PROMPT_TUNING, PREFIX_TUNING, P_TUNING, ...): 8 of them, for feature extraction.

    Args:
        options: type and keys.
        steps: optimisation steps to come.
        linear: last parts of the names of the base model's linear layers, which say what kin it is of.

    Raises:
        ConfigurationError: PEFT refuses a value.
    """
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[options.peft_type]
    targets = _OF_DECODERS if set(_OF_DECODERS) <= set(linear) else _TARGETS
    settings = _defaults(options.peft_type, steps, targets) | options.settings
    if options.peft_type == "IA3" and isinstance(settings["target_modules"], list):
        settings = {"feedforward_modules": [name for name in settings["target_modules"] if name == "dense"]} | settings
    if issubclass(config_class, PromptLearningConfig):
        settings = {"task_type": "FEATURE_EXTRACTION", "num_virtual_tokens": 8} | settings
    try:
        return config_class(**settings)
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(f"lm_finetuning.peft = {options.model_dump()}: {exc}") from None


def _defaults(peft_type: str, steps: int, targets: list[str]) -> JsonObject:
    low_rank = _LOW_RANK | {"target_modules": targets}
    if peft_type == "ADALORA":
        schedule = {"total_step": max(steps, 3), "tinit": steps // 10, "tfinal": steps // 3}
        return {"init_r": 12, "target_r": 8, "deltaT": 1} | schedule | low_rank
    if peft_type == "LORA":
        return {"r": 8} | low_rank
    return {"target_modules": targets} if peft_type == "IA3" else {}


def prepare(base: torch.nn.Module, options: PeftOptions, steps: int) -> torch.nn.Module:
    """Make the weights that ``options.peft_type`` tunes trainable, and no other.

    Args:
        base: the encoder; wrapped or changed in place.
        options: the type and its keys.
        steps: optimisation steps to come (AdaLoRA prunes its ranks along them).

    Raises:
        ConfigurationError: the type does not fit the base model, for example no module has one of the target names.
    """
    if options.peft_type in (FULL, FROZEN):
        return base.requires_grad_(options.peft_type == FULL)
    names = {name.rsplit(".", 1)[-1] for name, module in base.named_modules() if isinstance(module, torch.nn.Linear)}
    config = peft_config(options, steps, names)
    try:
        return get_peft_model(base, config)  # type: ignore[no-any-return,arg-type]
    except (NotImplementedError, TypeError, ValueError) as exc:
        raise ConfigurationError(
            f"lm_finetuning.peft = {options.model_dump()} does not fit this base model: {exc} "
            f"Its linear modules, for target_modules, are: {', '.join(sorted(names))}."
        ) from exc


def start_from(model: torch.nn.Module, folder: Path, base_hash: str) -> str:
    """Put the weights of an earlier adapter in place of fresh ones.

    Args:
        model: what :func:`prepare` returned.
        folder: of the adapter, as a run leaves it in ``06_models/adapter``.
        base_hash: :func:`weights_hash` of the base model.

    Returns:
        A SHA-256 over its weights, 16 hex digits.

    Raises:
        ConfigurationError: there is no adapter, or it belongs to another base model, type or rank.
    """
    where = f"lm_finetuning.adapter_from = '{folder}'"
    try:
        adapter = Adapter.read(folder)
    except (OSError, ValueError, SafetensorError):
        raise ConfigurationError(
            f"{where} holds no adapter that can be read. Name the folder 06_models/adapter of another run, or null."
        ) from None
    if adapter.provenance.get("base_hash") != base_hash:
        raise ConfigurationError(
            f"{where} was tuned from another base model ({adapter.config.get('base_model_name_or_path')}): set "
            "lm_finetuning.encoder.base_model to that one, or adapter_from to null."
        )
    (fresh, asked), weights, config = extract(model), adapter.weights, adapter.config
    shapes, expected = ({name: tuple(t.shape) for name, t in of.items()} for of in (weights, fresh))
    differs = next((key for key in asked if key not in _MAY_DIFFER and asked[key] != config.get(key)), "")
    if not weights or shapes != expected or differs:
        raise ConfigurationError(
            f"{where} is of another kind (peft_type {config.get('peft_type')}, r {config.get('r')}) than "
            f"lm_finetuning.peft asks for{f', by its {differs}' if differs else ''}: make them equal, or set "
            "adapter_from to null."
        )
    if config["peft_type"] in _NOT_CONTINUED:
        raise ConfigurationError(f"{where}: tuning of type {config['peft_type']} cannot go on from an adapter.")
    if isinstance(model, PeftModel):
        set_peft_model_state_dict(model, weights)
    else:
        model.load_state_dict(weights, strict=False)
    return tensors_hash(weights)


def rank_allocator(model: torch.nn.Module) -> Any | None:
    """Return the tuner of ``model`` that moves its ranks between layers after every step (AdaLoRA), or None."""
    tuner = getattr(model, "base_model", None)
    return tuner if hasattr(tuner, "update_and_allocate") else None


def extract(model: torch.nn.Module) -> tuple[Tensors, JsonObject]:
    """Return the tuned weights (detached, CPU) and the config (JSON-able)."""
    if isinstance(model, PeftModel):
        with warnings.catch_warnings():  # a GGUF file has no config beside it, and no vocabulary is changed here
            warnings.filterwarnings("ignore", message="Could not find a config file", category=UserWarning)
            state = get_peft_model_state_dict(model)
        config = _as_json(model.peft_config["default"])
    else:
        tuned = any(p.requires_grad for p in model.parameters())
        state, config = (model.state_dict(), {"peft_type": FULL}) if tuned else ({}, {"peft_type": FROZEN})
    return {key: value.detach().cpu().clone() for key, value in state.items()}, config


def _as_json(config: PeftConfig) -> Parameters:
    """Return plain values; sets become sorted lists."""

    def plain(value: Any) -> Any:
        return sorted(value) if isinstance(value, set) else str(value)

    return dict(json.loads(json.dumps(config.to_dict(), default=plain)))


def attach(base: torch.nn.Module, adapter: Adapter, options: EncoderOptions) -> torch.nn.Module:
    """Return the tuned encoder in eval mode, merged into plain weights where PEFT can.

    Raises:
        ConfigurationError: the adapter belongs to another base model.
    """
    if adapter.config["peft_type"] == FROZEN:
        return base.eval()
    if adapter.config["peft_type"] == FULL:
        _refuse_unexpected(base.load_state_dict(adapter.weights, strict=False).unexpected_keys, options)
        return base.eval()
    # For inference: P-tuning saves what its network makes of the prompt, not the network.
    config = {key: value for key, value in adapter.config.items() if value is not None} | {"inference_mode": True}
    model = get_peft_model(base, PeftConfig.from_peft_type(**config))  # type: ignore[arg-type]
    unexpected = set_peft_model_state_dict(model, adapter.weights).unexpected_keys
    # PEFT loads a prompt into its prompt encoder, then reports it as unexpected in the model.
    _refuse_unexpected([key for key in unexpected if key != "prompt_embeddings"], options)
    return _merge(model).eval()


def attach_domain(base: torch.nn.Module, adapter: Adapter, domain: str, options: EncoderOptions) -> torch.nn.Module:
    """Return the tuned encoder of one domain's items: with the shared adapter, and that of the domain where it has one.

    Raises:
        ConfigurationError: the adapter belongs to another base model.
    """
    shared = attach(base, adapter, options)
    return attach(shared, adapter.domains[domain], options) if domain in adapter.domains else shared


def _refuse_unexpected(names: list[str], options: EncoderOptions) -> None:
    if names:
        raise ConfigurationError(
            f"The adapter does not fit base model '{options.base_model}': unexpected weights {list(names)[:3]}. "
            "Rerun `kedro run --pipelines=lm_finetuning`."
        )


def _merge(model: PeftModel) -> torch.nn.Module:
    """Merge where PEFT can: virtual tokens are no weights of the encoder, and a few types do not implement it."""
    if model.active_peft_config.is_prompt_learning or not hasattr(model.base_model, "merge_and_unload"):
        return model  # type: ignore[no-any-return]
    try:
        return model.merge_and_unload()  # type: ignore[no-any-return]
    except NotImplementedError:
        return model  # type: ignore[no-any-return]


def mergeable(adapter: Adapter, options: EncoderOptions) -> bool:
    """Tell whether the tuned encoder is plain weights, by asking PEFT to merge it."""
    if adapter.config["peft_type"] in (FULL, FROZEN):
        return True
    return not isinstance(attach(load_base(options), adapter, options), PeftModel)


def export(adapter: Adapter, options: EncoderOptions, folder: Path) -> None:
    """Write the merged encoder and its tokenizer as a plain transformers folder, usable as ``encoder.base_model``.

    Raises:
        ConfigurationError: there are no weights to merge into, as with prompt tuning.
    """
    model = attach(load_base(options), adapter, options)
    if isinstance(model, PeftModel):
        raise ConfigurationError(
            f"An adapter of type {adapter.config['peft_type']} cannot be merged into the weights of the encoder. "
            "Deploy the adapter folder with PEFT, or tune with a type that can, such as LORA."
        )
    model.save_pretrained(folder)  # type: ignore[operator]
    read_tokenizer(options).save_pretrained(folder)


def weights_hash(model: torch.nn.Module) -> str:
    """Return a SHA-256 over names and values of all weights, 16 hex digits: which base an adapter belongs to."""
    return tensors_hash(model.state_dict())


def tensors_hash(tensors: Tensors) -> str:
    """Return a SHA-256 over names and values, 16 hex digits."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if value.dim() else b"")
    return digest.hexdigest()[:16]
