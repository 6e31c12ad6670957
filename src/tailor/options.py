"""Every option of Tailor, as frozen pydantic models: one model per parameters file, extra keys refused.

Kedro hands nodes plain dictionaries (so that MLflow logs them flattened, docs/adr/0003); the first line of a node turns
its dictionary into one of these models. The project hook validates all of them before the first node runs.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tailor.config import Count, Fraction, Options, Positive
from tailor.lm.config import EncoderWeights, LMOptions


def _merge_pairs(columns: Any) -> Any:
    """Accept ``[{a: x}, {b: y}]`` for ``{a: x, b: y}``: an environment's list replaces the base list as a whole."""
    if isinstance(columns, list):
        return {key: value for pair in columns for key, value in pair.items()}
    return columns


Columns = Annotated[dict[str, str], BeforeValidator(_merge_pairs)]


class ColumnOptions(Options):
    """Which raw column feeds which of Tailor's columns: ``{ours: theirs}``, one mapping per raw table."""

    interactions: Columns = {"user_id": "user_id", "item_id": "item_id"}
    """user_id and item_id are required; value, timestamp, text, split, context_* are optional."""
    items: Columns = {"item_id": "item_id", "title": "title"}
    """item_id is required; any column may be named in a text template; vector_* columns hold item vectors."""
    users: Columns = {"user_id": "user_id"}
    """user_id is required; other columns are carried."""


class CleaningOptions(Options):
    """What makes a row usable, and how much may be lost before the run stops."""

    implicit_threshold: float | None = None
    """Keep interactions whose ``value`` is at least this (in the units of ``value``); null keeps all as positives."""
    max_dropped_fraction: Fraction = 0.5
    """Stop when more than this fraction of the interactions had to be dropped as defective (threshold not counted)."""


class SplitOptions(Options):
    """The split of DESIGN: 7:1:2 per user, with cold items, new users and pseudo-cold items held out."""

    strategy: Literal["per_user", "global_time", "random"] = "per_user"
    """per_user: each user's own order; global_time: two dates for everybody (needs timestamps); random: each user's
    rows in a seeded order, for comparison with figures published so (it lets models look into the future)."""
    train: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.7
    """Fraction of each user's interactions, the earliest, that models learn from."""
    validation: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Fraction that choices are made on; the rest is the test window."""
    cold_items: Fraction = 0.1
    """Fraction of the items with interactions that lose them all."""
    cold_strategy: Literal["stratified", "latest"] = "stratified"
    """stratified: random within popularity strata; latest: the items whose first interaction is the most recent."""
    new_users: Fraction = 0.1
    """Fraction of users that leave training whole."""
    pseudo_cold: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Fraction of the warm items in each of the two disjoint samples A and B that are treated as cold in tuning."""

    @model_validator(mode="after")
    def _leaves_a_test_window(self) -> Self:
        if self.train + self.validation >= 1.0:
            raise ValueError(
                f"train + validation = {self.train + self.validation:g} leaves no test window (< 1 needed)"
            )
        return self


class DataProcessingOptions(Options):
    """``parameters/data_processing.yml``."""

    columns: ColumnOptions = ColumnOptions()
    cleaning: CleaningOptions = CleaningOptions()
    split: SplitOptions = SplitOptions()
    head_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.8
    """Share of the train interactions that the head items hold together."""


class CategoryOptions(Options):
    """Where an item's categories are."""

    column: str | None = None
    """Column of the items table that lists categories; null where there are none."""
    separator: str = " "
    """What stands between two categories in a cell."""


class TextOptions(Options):
    """How the texts of items are written for the language model."""

    retired: ClassVar[dict[str, str]] = dict.fromkeys(
        ("user_template", "history_titles"),
        "is gone: no texts of users are written any more. What new users tell is feature_engineering.profile.columns.",
    )

    item_template: list[str] = ["{title}"]
    """Pieces joined by '. '; a piece with a missing value is left out, never printed as 'nan'."""
    missing: list[str] = ["", "nan", "none", "null", "unknown", "n/a"]
    """Cell values (case-insensitive) that count as missing."""
    categories: CategoryOptions = CategoryOptions()
    reviews_per_item: Annotated[int, Field(ge=0, le=100)] = 3
    """Texts that users wrote about an item (train rows only) that join its text, where interactions have a ``text``."""
    review_words: Count = 30
    """Words kept of each such text."""


class IALSOptions(Options):
    """Text-prior implicit ALS (DESIGN §4; Hu et al. 2008; Rendle et al. 2021)."""

    engine: Literal["irspack", "torch"] = "irspack"
    """irspack (C++, conjugate gradients) on a CPU; torch (exact solves) on CUDA, or on a CPU at leisure."""
    factors: Count = 64
    """Latent dimension d."""
    alpha: Positive = 0.1
    """Weight of the unobserved cells."""
    regularization: Positive = 0.003
    """λ_u = λ_v, before the frequency scaling f = (n + α N)^ν."""
    nu: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    """Exponent ν of the frequency scaling."""
    lambda_item_feature: Annotated[float, Field(ge=0.0)] = 10.0
    """Ridge ρ on the text-to-factor map W; 0 together with no features is plain iALS."""
    iterations: Count = 16
    """Alternating sweeps."""
    n_threads: Count = 1
    """CPU threads of irspack; more than one is faster and no longer bit-identical between runs."""


class SideFeatureOptions(Options):
    """What is told of users (evidence for newcomers), or of the moment of an interaction."""

    columns: list[str] = []
    """Columns of the users; of the interactions (``context_*``)."""
    bins: Annotated[int, Field(ge=2, le=100)] = 8
    """Intervals of equal share that a number of more distinct values is cut into."""
    min_rows: Count = 5
    """A value that fewer train rows (users, interactions) have counts as missing."""


class FeatureEngineeringOptions(Options):
    """``parameters/feature_engineering.yml``."""

    text: TextOptions = TextOptions()
    profile: SideFeatureOptions = SideFeatureOptions()
    context: SideFeatureOptions = SideFeatureOptions()
    teacher: IALSOptions = IALSOptions()


class EASEOptions(Options):
    """EASE (Steck 2019) pulled toward a text EASE (L3AE 2025)."""

    regularization: Positive = 200.0
    """λ on B."""
    dropout: Fraction = 0.0
    """Chance p of an item to be missing from the history it is predicted from (Steck 2020): adds p/(1-p) n_i to λ."""
    user_weight_power: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """A user's row weighs (mean length / n_u)^this: 0 treats interactions alike, 1 treats users alike."""
    text_pull: Annotated[float, Field(ge=0.0)] = 0.0
    """κ on the distance between B and the text EASE; 0 is plain EASE."""
    text_regularization: Positive = 1.0
    """λ of the text EASE itself."""
    max_items: Count = 20_000
    """Refuse larger catalogues: B holds n_items² floats."""


class SequenceOptions(Options):
    """What follows on the latest items (SLIT, Choi et al. 2021); nothing where the catalogue has no time order."""

    regularization: Positive = 1000.0
    """λ on B."""
    half_life: Positive = 5.0
    """Items of a history after which a weight has halved, in scoring."""
    fit_half_life: Positive = 20.0
    """The same in the fit."""
    window: Annotated[int, Field(ge=1, le=1000)] = 30
    """Items before the one to predict that the fit looks at."""
    max_items: Count = 20_000
    """Refuse larger catalogues: B holds n_items² floats."""


class BoostScales(Options):
    """How far the boosts reach."""

    cold_boost_scale: Positive = 1.0
    """What ``cold_boost`` = 1 adds to cold items, in standard deviations of a user's warm scores."""
    tail_boost_scale: Positive = 1.0
    """What ``tail_boost`` = 1 adds to tail items, in the same unit."""
    head_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.8
    """Share of the train interactions that the head items hold together; the other warm items are the tail."""


class Boosts(BoostScales):
    """Where a hybrid scorer stands between accuracy and exposure. At 0 a boost touches no score."""

    cold_boost: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """How readily items without train interactions enter mixed lists."""
    tail_boost: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """How far tail items are lifted over the head's."""
    popularity_debias: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of what everybody gets that is taken off the scores of users with a history."""

    def off(self) -> Self:
        """Return boosts that reach as far and touch nothing."""
        return self.model_copy(update={"cold_boost": 0.0, "tail_boost": 0.0, "popularity_debias": 0.0})


class ClickOptions(Options):
    """The click-probability head. What is drawn or weighted is taken out of the log odds again."""

    negatives: Count = 200
    """Unobserved cells expected to be drawn per user (resampling)."""
    popularity_power: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Negatives are drawn in proportion to exp(this x standardised log popularity); 0: uniformly (logQ correction)."""
    positive_weight: Positive = 1.0
    """Weight of a positive in the loss."""
    l2: Annotated[float, Field(ge=0.0)] = 1e-3
    """Ridge on the coefficients."""


BlendKind = Literal["linear", "gated", "bilinear", "deep"]


class MixtureOptions(Options):
    """The gate that mixes the sources, and the boosts' price lists."""

    fusions: Annotated[list[BlendKind], Field(min_length=1)] = ["linear", "gated"]
    """Members of the family that are fitted, simplest first; a later one is taken if it is shown to be better on users
    it was not fitted on (paired bootstrap, 95 %)."""
    rank: Count = 8
    """Width h of ``bilinear`` and ``deep``."""
    l2: Annotated[float, Field(ge=0.0)] = 1e-4
    """Weight of the squared weights in the loss."""
    epochs: Count = 10
    """Passes over the users when ``bilinear`` or ``deep`` are fitted."""
    max_cells: Count = 20_000_000
    """Cells (users x items) that the gate is fitted on; 4 bytes each per source. More users are sampled down."""
    few_shot_lengths: list[Annotated[int, Field(ge=0)]] = [0, 1, 3, 5, 10]
    """History lengths that get weights of their own, each for histories up to that long."""
    shifts: list[float] = [-3.0, -2.0, -1.5, -1.25, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
    """Cold shifts tried, in standard deviations of a user's warm scores. The one with the best mixed NDCG is taken, of
    equally good ones the largest."""
    steps: Count = 10
    """Settings per boost in the price lists, beside 0."""
    max_price: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """``cold_boost`` stands at the largest setting whose mixed NDCG stays within this fraction of its value at 0."""
    max_tail_price: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.005
    """``tail_boost`` stands at the largest setting whose warm NDCG stays within this fraction of its value at 0."""
    click: ClickOptions = ClickOptions()


Quadratic = Literal["ease", "sequence"]


class ProfileRidgeOptions(Options):
    """Ridge regression from profiles to items."""

    regularization: Positive = 100.0
    """λ."""


class ContextRidgeOptions(Options):
    """Ridge regression from contexts to items."""

    regularization: Positive = 100.0
    """λ, in interactions."""


class KernelOptions(Options):
    """How items without interactions take after items with a similar text (kernel ridge regression)."""

    width: Positive = 1.0
    """γ of exp(-γ|e - e'|²); embeddings have length 1, so squared distances lie between 0 and 4."""
    ridge: Positive = 0.3
    """ρ: how much what is known of single items is smoothed."""
    max_items: Count = 10_000
    """Of more items than this, those with most interactions speak for all: memory 8 n² bytes, time n³/3."""


class HybridOptions(Options):
    """``parameters/hybrid_cf.yml``: our model's search space, the mixture, and the baselines' search spaces."""

    cold_weight: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """Weight of cold NDCG (pseudo-cold B) against warm NDCG (validation) in every model's selection criterion."""
    k: Count = 20
    """Cut-off of the selection criterion."""
    ials: dict[str, Any] = {}
    """Options of the iALS arm that are not searched."""
    ease: dict[str, Any] = {}
    """Options of the EASE arm that are not searched."""
    sequence: dict[str, Any] = {}
    """Options of the arm that reads the order, likewise."""
    profile: dict[str, Any] = {}
    """Options of the arm that reads profiles, likewise."""
    context: dict[str, Any] = {}
    """Options of the arm that reads contexts, likewise."""
    kernel: dict[str, Any] = {}
    """Options of how cold items take after warm ones, likewise."""
    without: list[Quadratic] = []
    """Models of n_items² weights that a large catalogue does without, in the hybrid and (ease: text_ease too) on the
    ladder."""
    trials: dict[str, list[dict[str, Any]]] = {}
    """Per engine the option sets tried on validation; every entry has the same number of them."""
    mixture: MixtureOptions = MixtureOptions()
    boosts: BoostScales = BoostScales()
    """How far the boosts reach; where they stand comes from validation, or from a request."""

    @model_validator(mode="after")
    def _same_budget(self) -> Self:
        budgets = {name: len(trials) for name, trials in self.trials.items()}
        if len(set(budgets.values())) > 1:
            raise ValueError(f"every engine gets the same number of trials, found {budgets}")
        return self


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


RerankMethod = Literal["none", "mmr", "dpp", "calibrated", "tail", "caps"]


class RerankOptions(Options):
    """How a pool of candidates becomes a list."""

    method: RerankMethod = "none"
    """Maximal marginal relevance (Carbonell & Goldstein 1998), greedy MAP of a determinantal point process (Chen et al.
    2018), calibration to the history's categories (Steck 2018), a lift for tail items, caps per category."""
    strength: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """0: the list as it is, bit for bit; 1: relevance no longer counts (``caps``: one item per category)."""
    pool: Count = 200
    """Candidates that a list is chosen from, the best by score."""
    min_score: float | None = None
    """Threshold mode: items below this score are not listed; null lists k items."""


class FrontierOptions(Options):
    """Relevance against diversity, coverage and tail: what is tried, and how the ``balance`` preset is chosen."""

    methods: list[RerankMethod] = ["mmr", "dpp", "calibrated", "tail", "caps"]
    """Methods of re-ranking."""
    strengths: list[Annotated[float, Field(gt=0.0, le=1.0)]] = [0.1, 0.2, 0.3, 0.5, 0.7]
    """Strengths tried of each, beside 0."""
    pool: Count = 200
    """Candidates that a list is chosen from."""
    max_users: Count = 2000
    """Users (drawn by seed) that are traced; coverage is of their lists."""
    max_price: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.02
    """Of the settings whose NDCG stays within this fraction of the list as it is (validation), ``balance`` is the one
    with the highest mean gain in intra-list diversity, catalog coverage and tail NDCG, each relative to the largest."""


class PromotionOptions(Options):
    """When a challenger becomes champion: every rule must hold."""

    max_mixed_loss: Annotated[float, Field(ge=0.0)] = 0.002
    """The 95 % lower bound of the difference in mixed NDCG must not lie further below 0."""
    min_tail_gain: float = 0.0
    """The difference in tail NDCG must be larger."""
    max_coverage_loss: Annotated[float, Field(ge=0.0)] = 0.0
    """Catalog coverage may fall by this much."""
    max_p99_ms: Positive = 250.0
    """Budget for the 99th percentile of single requests, in process, in milliseconds."""


class ScenarioOptions(Options):
    """Settings of one scenario; what a request sets itself comes before them."""

    tail_boost: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Lift of tail items; null: where the model stands."""
    popularity_debias: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Share of what everybody gets that is taken off; null: where the model stands."""
    cold_boost: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Lift of items without train interactions; null: where the model stands."""
    diversity: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Strength of re-ranking by maximal marginal relevance."""
    half_life: Positive | None = None
    """Items of a request's history after which a weight has halved."""
    min_score: float | None = None
    """List nothing that scores less."""
    filters: dict[str, Any] = {}
    """As in a request: categories, and bounds of numeric columns."""


class EvaluationOptions(Options):
    """``parameters/evaluation.yml``."""

    k: list[Count] = [10, 20]
    """Cut-offs of the metrics; lists are as long as the largest, and at least 20."""
    new_user_history: list[Annotated[int, Field(ge=0)]] = [0, 1, 3, 5]
    """How many items of a new user are revealed."""
    block_users: Count = 512
    """Users scored at a time; memory grows with block_users x n_items x 4 bytes per source."""
    registered: Literal["hybrid_frozen", "hybrid_lora"] = "hybrid_lora"
    """The model that is logged and registered."""
    frontier: FrontierOptions = FrontierOptions()
    """Re-ranking of the registered model's lists."""
    promotion: PromotionOptions = PromotionOptions()
    """Rules by which a challenger replaces the champion."""
    scenarios: dict[str, ScenarioOptions] = {}
    """Packaged with the model: names that a request may give as its ``scenario``."""
    encoder_weights: EncoderWeights = "bf16"
    """How the packaged encoder's weights are written; int8 is half the size of bf16."""
    student_tokens: Annotated[int, Field(ge=0)] = 30_000
    """Tokens, the most frequent first, that the packaged table for machines without torch knows beside those of the
    catalogue's texts."""


class OffPolicyOptions(Options):
    """``parameters/offpolicy.yml``."""

    temperature: Positive = 1.0
    """Of the softmax over scores."""
    epsilon: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    """Share of the policy's actions that are drawn evenly."""
    max_weight: Annotated[float, Field(ge=1.0)] = 100.0
    """Importance weights are cut there: less variance for some bias."""
    block_users: Count = 512
    """Users scored at a time."""


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
