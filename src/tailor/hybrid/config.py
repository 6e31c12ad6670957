"""Options of the hybrid: its sources, how they are blended, and how far its boosts reach."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tailor.config import Count, Fraction, Options, Positive, parse
from tailor.errors import ConfigurationError
from tailor.hybrid.sources import SOURCES, check_sources
from tailor.types import JsonObject, Parameters

BlendKind = Literal["linear", "gated", "bilinear", "deep"]
#: Baselines of which one option set is enough: a fit takes minutes.
_MAY_BE_TRIED_ONCE = ("sasrec",)
#: How far weights may be from summing to 1.
_ROUNDING = 1e-6
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Loss = Annotated[float, Field(ge=0.0, lt=1.0)]
#: Share of the users that are in no fit of choices, unless ``hybrid_cf.blend.few_shot_share`` says otherwise.
FEW_SHOT_SHARE = 0.1


def all_sources() -> dict[str, JsonObject]:
    """Return every source there is, with its default options."""
    return {name: {} for name in SOURCES}


def _all_or_none() -> dict[str, JsonObject | None]:
    return dict(all_sources())


class ColdItemOptions(Options):
    """How an item without interactions is imputed from items with similar texts (kernel ridge regression)."""

    width: Positive = 2.0
    """γ of exp(-γ|e - e'|²); embeddings have length 1, so squared distances lie between 0 and 4."""
    ridge: Positive = 1.0
    """ρ: how much what is known of single items is smoothed."""
    max_items: Count = 10_000
    """Of more items than this, those with most interactions speak for all: memory 8 n² bytes, time n³/3."""
    dimensions: dict[str, Count] = {}
    """Numbers of each part of an embedding (``text``, ``vector_*``); the run writes them where items have vectors."""
    weights: dict[str, Share] = {}
    """w of each part's kernel; they sum to 1. None: validation chooses them, and without a choice they are equal."""

    @model_validator(mode="after")
    def _weights_are_of_parts(self) -> Self:
        total = sum(self.weights.values())
        if self.weights and abs(total - 1) > _ROUNDING:
            raise ValueError(f"weights sum to {total:.6g}; they must sum to 1")
        if self.weights and self.dimensions and set(self.weights) != set(self.dimensions):
            raise ValueError(f"weights are needed of {', '.join(self.dimensions)}, found {', '.join(self.weights)}")
        return self

    @property
    def weight_of(self) -> dict[str, float]:
        """The weight of each part: as chosen, else equal ones; none where embeddings have one part."""
        return self.weights or {name: 1 / len(self.dimensions) for name in self.dimensions}


class BoostScales(Options):
    """How far the boosts reach."""

    renamed: ClassVar[dict[str, str]] = {
        "cold_span": "cold_boost_scale",
        "tail_span": "tail_boost_scale",
    }
    retired: ClassVar[dict[str, str]] = {
        "head_share": "is gone: data_processing.head_share is the one definition of head and tail."
    }

    cold_boost_scale: Positive = 1.0
    """What ``cold_boost`` = 1 adds to cold items at least, in standard deviations of a user's warm scores; see
    ``reach``."""
    tail_boost_scale: Positive = 1.0
    """What ``tail_boost`` = 1 adds to tail items at least, in the same unit."""
    reach: Annotated[int, Field(ge=0, le=20)] = 4
    """Of 20 items, how many new ones the list of every user of the fit holds at ``cold_boost`` = 1, and how many of the
    tail at ``tail_boost`` = 1: the scales grow in half units until they do. 0: they are taken as they are."""


class DomainBoosts(Options):
    """Where the scorer stands for the items of one of several domains."""

    cold_boost: Share = 0.0
    """How far its items without train interactions are lifted in mixed lists."""
    tail_boost: Share = 0.0
    """How far its tail items are lifted over its head's."""


class Boosts(BoostScales):
    """Where a hybrid scorer stands between accuracy and exposure, its operating point; at 0 a boost touches nothing."""

    cold_boost: Share = 0.0
    """How far items without train interactions are lifted in mixed lists."""
    tail_boost: Share = 0.0
    """How far tail items are lifted over the head's."""
    popularity_debias: Share = 0.0
    """Share of the population score that is taken off the scores of users with a history."""
    by_domain: list[DomainBoosts] = []
    """What holds for the items of each of several domains instead, in the order of their numbers; empty: the same for
    all."""

    renamed: ClassVar[dict[str, str]] = {
        **BoostScales.renamed,
        "cold_exposure": "cold_boost",
        "tail_weight": "tail_boost",
        "personal_weight": "popularity_debias",
    }

    def off(self) -> Self:
        """Return boosts of the same scales that touch nothing."""
        nothing = {"cold_boost": 0.0, "tail_boost": 0.0, "popularity_debias": 0.0}
        return self.model_copy(update=nothing | {"by_domain": []})

    def everywhere(self, **settings: float) -> Self:
        """Return boosts that stand at ``settings`` in every domain; those that are not named stay.

        Example:
            >>> point = Boosts(tail_boost=0.1, by_domain=[DomainBoosts(cold_boost=0.5, tail_boost=0.3)])
            >>> point.everywhere(tail_boost=0.0).by_domain
            [DomainBoosts(cold_boost=0.5, tail_boost=0.0)]
        """
        return self._changed(set(settings), lambda boost, _: settings[boost])

    def moved(self, steps: Mapping[str, float]) -> Self:
        """Return boosts of which those in ``steps`` go that share of the way to 1, in each domain from where it is.

        Example:
            >>> point = Boosts(tail_boost=0.2, by_domain=[DomainBoosts(tail_boost=0.6)]).moved({"tail_boost": 0.5})
            >>> point.tail_boost, point.by_domain[0].tail_boost
            (0.6, 0.8)
        """
        return self._changed(set(steps), lambda boost, value: value + steps[boost] * (1 - value))

    def rescaled(self, boost: str, scale: float) -> Self:
        """Return boosts that add what they did, one of them stated in another scale."""
        ratio = getattr(self, f"{boost}_scale") / scale
        changed = self._changed({boost}, lambda _, value: round(value * ratio, 6))
        return changed.model_copy(update={f"{boost}_scale": scale})

    def _changed(self, boosts: AbstractSet[str], change: Callable[[str, float], float]) -> Self:
        """Return boosts of which some are changed, for all domains and each."""
        shared = {boost: change(boost, getattr(self, boost)) for boost in boosts}
        of_domains = boosts & DomainBoosts.model_fields.keys()
        by_domain = [
            point.model_copy(update={boost: change(boost, getattr(point, boost)) for boost in of_domains})
            for point in self.by_domain
        ]
        return self.model_copy(update=shared | {"by_domain": by_domain})


class HybridConfig(Options):
    """The recipe of the hybrid: which sources with which options, how cold items are imputed, the operating point."""

    sources: dict[str, JsonObject] = Field(default_factory=all_sources, validate_default=True)
    """Options by source, in the order of the blend's weights; a source that is left out has no weight."""
    cold_items: ColdItemOptions = ColdItemOptions()
    boosts: Boosts = Boosts()

    @field_validator("sources")
    @classmethod
    def _sources_exist(cls, sources: dict[str, JsonObject]) -> dict[str, JsonObject]:
        return check_sources(sources)


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


class BlendOptions(Options):
    """How the sources are blended, and what the boosts may cost."""

    renamed: ClassVar[dict[str, str]] = {
        "fusions": "models",
        "newcomer_history": "few_shot_lengths",
        "shifts": "cold_shifts",
        "max_price": "max_cold_boost_loss",
        "max_tail_price": "max_tail_boost_loss",
    }

    models: Annotated[list[BlendKind], Field(min_length=1)] = ["linear", "gated"]
    """Members of the family that are fitted, simplest first; a later one is taken if it is shown to be better on users
    it was not fitted on (paired bootstrap, 95 %)."""
    rank: Count = 8
    """Width h of ``bilinear`` and ``deep``."""
    l2: Annotated[float, Field(ge=0.0)] = 1e-4
    """Weight of the squared weights in the loss."""
    cold_l2: Annotated[float, Field(ge=0.0)] = 1e-3
    """The same for the weights of cold items, which are fitted on the few pseudo-cold ones."""
    epochs: Count = 10
    """Passes over the users when ``bilinear`` or ``deep`` are fitted."""
    max_cells: Count = 20_000_000
    """Cells (users x items) that the blend is fitted on; 4 bytes each per source. More users are sampled down."""
    few_shot_share: Fraction = FEW_SHOT_SHARE
    """Share of the users with train rows that are in no fit of choices and play new ones; 0: no weights of short
    histories are fitted. Short histories then take the weights of long ones; users without one get popular items."""
    few_shot_lengths: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [0, 1, 3, 5, 10, 20]
    """History lengths that weights of short histories are fitted at; between them they are a smooth function."""
    few_shot_users: Count = 250
    """Users in no fit that these weights are fitted on. Where the share that is left out of every fit is fewer, the
    sources are fitted again without others, ten times at most."""
    max_few_shot_loss: Loss = 0.01
    """Share of popularity's NDCG that lists may lose to it after a user's first items in time."""
    domain_shares: Annotated[list[Fraction], Field(min_length=1)] = [0.0, 0.25, 0.5, 0.75]
    """Of several domains, how far the weights of one may go from those of all lists to those of its lists alone; its
    validation lists choose, each half judged by weights of the other. 0 alone: all domains have the same weights."""
    boosts_by_domain: bool = True
    """Of several domains, each one's validation lists move the operating point as far as they speak against that of all
    lists by more than a standard error (:mod:`tailor.hybrid.domain_boosts`). False: all domains have the same one."""
    cold_shifts: list[float] = [
        *(-3.0, -2.0, -1.5, -1.25, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    ]
    """Shifts of cold items tried, in standard deviations of a user's warm scores. The one with the best mixed NDCG is
    taken, of equally good ones the largest; without pseudo-cold items 0 is."""
    steps: Count = 10
    """Settings per boost in the trade-off curves, beside 0; of cold and tail boost per standard deviation that they
    reach."""
    max_cold_boost_loss: Loss = 0.01
    """``cold_boost`` stands at the largest setting that loses at most this share of mixed NDCG; without pseudo-cold
    items it stands at 0."""
    max_tail_boost_loss: Loss = 0.01
    """``tail_boost`` stands at the largest setting that loses at most this share of warm NDCG."""
    click: ClickOptions = ClickOptions()

    @property
    def reads_vectors(self) -> bool:
        """Whether a member of the family reads where users and items lie."""
        return bool({"bilinear", "deep"} & set(self.models))


class HybridOptions(Options):
    """``parameters/hybrid_cf.yml``: our model's search space, the blend, and the baselines' search spaces."""

    renamed: ClassVar[dict[str, str]] = {
        "ials": "sources.ials",
        "ease": "sources.ease",
        "sequence": "sources.slit",
        "profile": "sources.demographic",
        "context": "sources.contextual",
        "kernel": "cold_items",
        "mixture": "blend",
        "dials": "boosts",
    }
    retired: ClassVar[dict[str, str]] = {
        "without": "is gone: set the source to null in hybrid_cf.sources, and leave it out of hybrid_cf.baselines."
    }

    cold_weight: Share = 0.25
    """Weight of cold NDCG (pseudo-cold B) against warm NDCG (validation) in every model's selection criterion; without
    pseudo-cold items the criterion is warm NDCG alone."""
    k: Count = 20
    """Cut-off of the selection criterion."""
    sources: dict[str, JsonObject | None] = Field(default_factory=_all_or_none)
    """The hybrid's sources, each with its options that are not searched; null, or left out: the source is not used."""
    baselines: list[str] | None = None
    """Names of the baselines, from the simplest on; null: all that Tailor has."""
    max_users: Count | None = None
    """Users that a trial is measured on, at most; drawn by seed. None: all that have validation rows."""
    cold_items: ColdItemOptions = ColdItemOptions()
    """How cold items are imputed, where a trial does not say otherwise."""
    trials: dict[str, list[Parameters]] = {}
    """Per model the option sets tried on validation, the same number for each. Of ``hybrid``: options by source, and
    ``cold_items``."""
    checkpoints: str | None = None
    """Folder in which fits that take minutes leave their state after every epoch; an interrupted one goes on there."""
    blend: BlendOptions = BlendOptions()
    boosts: BoostScales = BoostScales()
    """How far the boosts reach at least; where they stand comes from validation, or from a request."""

    @field_validator("sources")
    @classmethod
    def _sources_exist(cls, sources: dict[str, JsonObject | None]) -> dict[str, JsonObject | None]:
        check_sources({name: options or {} for name, options in sources.items()})
        return sources

    @field_validator("trials")
    @classmethod
    def _same_budget(cls, trials: dict[str, list[Parameters]], info: ValidationInfo) -> dict[str, list[Parameters]]:
        """Compare the models of the run; option sets of a baseline that it leaves out wait for another run."""
        left_in = info.data.get("baselines")
        budgets = {
            name: len(sets)
            for name, sets in trials.items()
            if (left_in is None or name in left_in or name == "hybrid")
            and (name not in _MAY_BE_TRIED_ONCE or len(sets) > 1)
        }
        if len(set(budgets.values())) > 1:
            raise ValueError(f"every model gets the same number of trials, found {budgets}")
        return trials

    def hybrid_config(self, trial: Parameters) -> HybridConfig:
        """Join the options that are not searched with those of one trial, which win.

        Options of a source that is left out are left out too, and so are sources that are computed from it.

        Raises:
            ConfigurationError: the trial names no source, or an option that the source does not have.
        """
        if "kernel" in trial:
            raise ConfigurationError("hybrid_cf.trials.hybrid: 'kernel' is called 'cold_items' now.")
        sources = {
            name: options | trial.get(name, {})
            for name, options in self.sources.items()
            if options is not None and self._has_base(name)
        }
        check_sources({name: {} for name in trial if name not in (*self.sources, "cold_items")})
        cold_items = self.cold_items.model_dump() | trial.get("cold_items", {})
        config = {"sources": sources, "cold_items": cold_items, "boosts": self.boosts.model_dump()}
        return parse(HybridConfig, config, "hybrid_cf.trials.hybrid")

    def with_parts(self, dimensions: dict[str, int]) -> Self:
        """Return the options for embeddings of these parts; none: texts alone.

        Args:
            dimensions: numbers of each part, by name.

        Raises:
            ConfigurationError: ``cold_items.weights`` are not those of these parts.
        """
        if not dimensions:
            return self
        values = self.cold_items.model_dump() | {"dimensions": dimensions}
        return self.model_copy(update={"cold_items": parse(ColdItemOptions, values, "hybrid_cf.cold_items")})

    def _has_base(self, name: str) -> bool:
        base = SOURCES[name].derived_from
        return base is None or self.sources.get(base) is not None
