"""What a run will cost: minutes and memory of each pipeline, from the size of the catalogue and the options.

A model of a few constants, measured on 2 CPU cores (AVX-512 with bf16 units, no GPU, nothing else running); it is meant
to be right within a factor of two. Formulas and constants: docs/pipelines/data_processing.md, "What a run will cost".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from tailor.data.card import Card
from tailor.evaluation.config import ListOptions
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.selection import baseline_names
from tailor.lm.config import LMOptions
from tailor.models.dropoutnet import DropoutNetConfig
from tailor.models.ease import EASEConfig
from tailor.models.fitting import FEW
from tailor.models.ials import IALSConfig
from tailor.types import Parameters

#: What the constants were measured on.
MACHINE = "2 CPU cores with AVX-512 and bf16 units, no GPU, nothing else running"
#: Baselines that hold n_items² weights; those that factorize.
_ITEM_ITEM = ("ease", "slit", "text_ease", "marec")
_FACTORIZED = ("implicit_als", "ials", "text_ials", "dropoutnet")
#: Sources of the hybrid that hold n_items² weights.
_ITEM_ITEM_SOURCES = ("ease", "slit")
#: Sources that are transformers.
TRANSFORMERS = ("transformer", "sasrec")
#: Encoders that a hybrid is fitted on: frozen and tuned.
_ENCODERS = 2
#: Fits of a chosen option set beside its trial: on all of train.
_FINAL_FITS = 1
#: Candidate sets of lists (warm, cold, mixed); splits (validation, test).
_LIST_SETS = 3
_SPLITS = 2

#: Seconds per row that is read, cleaned, split and laid out.
_ROW = 2e-5
#: Seconds per interaction, factor and sweep; per row or column, factor² and sweep (iALS, one thread).
_FACTOR, _FACTOR_SQUARE = 2e-9, 5e-11
#: Seconds per token and epoch of tuning; per token that is encoded once.
_TUNED_TOKEN, _ENCODED_TOKEN = 2.8e-4, 5e-5
#: Seconds per n³ of inverting an n × n matrix in double precision.
_INVERSE = 3e-11
#: Seconds per item of fitting its weights from the nearest ones alone (200 of them, not pulled toward texts).
_NEAREST = 1e-3
#: Seconds per interaction and epoch of a transformer, and likewise per item of the catalogue (its softmax); epochs.
_TRANSFORMED, _SOFTMAX, _TRANSFORMER_EPOCHS = 7e-6, 2e-9, 22
#: Seconds per step of the training of a DropoutNet.
_NETWORK_STEP = 1.2e-2
#: Seconds per cell (user × item) that a model scores and lists are taken from.
_CELL = 5e-8
#: Seconds per cell of fitting a blend, its shift and its trade-off curves; and whatever the size.
_BLEND_CELL, _BLEND = 1e-6, 4.0
#: Seconds per row of a list that is written, read and measured.
_LIST_ROW = 8e-6
#: Seconds per user, setting of re-ranking and split.
_RERANKED = 1e-4
#: Seconds that do not depend on the catalogue: libraries and weights are loaded, the model is packaged and checked.
_LOAD, _PACKAGE = 10.0, 12.0
#: How often texts are encoded for the package: for the words of requests, and for the token table.
_PACKAGED_TIMES = 2

#: GiB of Python with its libraries and the language model.
_BASE_GIB = 1.2
#: GiB of a process that fits a transformer beside the run, and how many there are on two cores.
_PROCESS_GIB, _PROCESSES = 0.45, 2
#: Bytes per n² while a matrix is inverted (Gram matrix, inverse, weights); per n² that a fitted model holds.
_FIT_BYTES, _HELD_BYTES = 24, 4
#: Bytes of one weight of sparse ones: its value and its column.
_SPARSE_BYTES = 8
#: Bytes per row of a raw table, with ids as text, while tables are joined.
_ROW_BYTES = 200
#: Bytes per row of one model's lists of one split, while its candidate sets are put together and measured.
_LISTED_BYTES = 64
_GIB = 2**30


@dataclass(frozen=True)
class Workload:
    """What the cost of a run depends on."""

    users: int
    items: int
    interactions: int
    tokens: float
    """Tokens of the texts of all items."""
    epochs: int
    """Passes of tuning; fewer if it stops early."""
    encoders: int
    """Hybrids that are fitted: on the frozen encoder, and on the tuned one where there is one."""
    trained: bool
    """Whether the language model is tuned at all."""
    baselines: int
    trials: int
    """Option sets of each model."""
    sources: int
    """Of the hybrid."""
    factor_sets: list[int]
    """Factors of every factorization that is fitted."""
    sweeps: int
    inverses: int
    """Fits that invert an n_items² matrix."""
    item_item_models: int
    """Fitted models with n_items² weights that are held when lists are made."""
    full_items: int
    """Items up to which an item-item model holds weights for all pairs."""
    neighbours: int
    """Items that an item of larger catalogues is predicted from."""
    kernel_items: int
    """Items that cold items are imputed from, at most."""
    kernels: int
    """Fits that invert the kernel of texts."""
    transformers: int
    """Fits of transformers; option sets of a hybrid that differ in other sources share one."""
    refitted_transformers: int
    """Likewise, in the model that is handed over."""
    network_steps: int
    """Steps of the trainings of all fits of DropoutNet."""
    max_cells: int
    """Cells that a blend is fitted on, at most."""
    k: int
    """Length of lists."""
    block_users: int
    settings: int
    """Settings of re-ranking that are tried."""
    reranked_users: int
    """Users whose lists are re-ranked, at most."""
    listed_users: int
    """Users that lists are made for: all, or ``evaluation.max_users``."""
    validated_users: int
    """Users that validation's lists are made for: these, or ``evaluation.max_validation_users``."""
    tried_users: int
    """Users that a trial is measured on: all, or ``hybrid_cf.max_users``."""
    tuned_items: int
    """Items that the language model is tuned on: all, or ``lm_finetuning.max_items``."""
    lm_factor: float = 1.0
    """How many times as long the language model takes as on :data:`MACHINE`."""

    @classmethod
    def of(
        cls,
        card: Card,
        lm: LMOptions,
        hybrid: HybridOptions,
        lists: ListOptions,
        settings: int,
        users: int,
        lm_factor: float = 1.0,
    ) -> Self:
        """Gather it from the card and the options.

        Args:
            card: of the catalogue.
            lm: of tuning.
            hybrid: of hybrids and baselines.
            lists: of lists.
            settings: of re-ranking that are tried.
            users: whose lists are re-ranked, at most.
            lm_factor: how many times as long the language model takes as on :data:`MACHINE`
                (:func:`tailor.lm.encoder.slowness`).
        """
        names, sizes = baseline_names(hybrid), card.sizes
        sources = [name for name, options in hybrid.sources.items() if options is not None]
        encoders = _ENCODERS if lm.enabled else 1
        hybrid_fits = encoders * (len(_option_sets(hybrid, "hybrid")) + _FINAL_FITS)
        of_ease = {
            k: v for k, v in (hybrid.sources.get("ease") or {}).items() if k in ("max_dense_items", "neighbours")
        }
        ease = EASEConfig(**of_ease)
        of_baselines = [name for name in names if name in _used(_ITEM_ITEM, card)]
        of_sources = [name for name in sources if name in _used(_ITEM_ITEM_SOURCES, card)]
        return cls(
            users=sizes.users,
            items=sizes.items,
            interactions=sizes.interactions,
            tokens=card.texts.tokens * sizes.items,
            epochs=lm.epochs + lm.masked_lm.epochs + (0 if lm.domains is None else lm.domains.epochs),
            encoders=encoders,
            trained=lm.enabled and lm.peft.peft_type != "FROZEN",
            baselines=len(names),
            trials=max((len(option_sets) for option_sets in hybrid.trials.values()), default=1),
            sources=len(sources),
            factor_sets=_factor_sets(hybrid, names, encoders if "ials" in sources else 0),
            sweeps=int((hybrid.sources.get("ials") or {}).get("iterations", IALSConfig().iterations)),
            inverses=sum(_fits(hybrid, name) for name in of_baselines) + len(of_sources) * hybrid_fits,
            item_item_models=len(of_baselines) + encoders * len(of_sources),
            full_items=ease.max_dense_items,
            neighbours=ease.neighbours,
            kernel_items=min(sizes.items, hybrid.cold_items.max_items),
            kernels=hybrid_fits,
            transformers=_transformers(hybrid, names, sizes.users, encoders) if card.times.present else 0,
            refitted_transformers=card.times.present
            * sum(hybrid.sources.get(name) is not None for name in TRANSFORMERS),
            network_steps=_network_steps(hybrid) if "dropoutnet" in names else 0,
            max_cells=hybrid.blend.max_cells,
            k=max(20, *lists.k),
            block_users=lists.block_users,
            settings=settings,
            reranked_users=users,
            listed_users=min(sizes.users, lists.max_users or sizes.users),
            validated_users=min(sizes.users, lists.of_at_most(lists.max_validation_users).max_users or sizes.users),
            tried_users=min(sizes.users, hybrid.max_users or sizes.users),
            tuned_items=min(sizes.items, lm.max_items or sizes.items),
            lm_factor=lm_factor,
        )


@dataclass(frozen=True)
class Cost:
    """Of one pipeline, or of the whole run."""

    pipeline: str
    size: str
    """What there is to do, in numbers."""
    minutes: float
    gib: float
    """Peak of the process while it runs."""


def estimate(work: Workload) -> list[Cost]:
    """Return the cost of each pipeline of a run, the whole run last: sum of the minutes, peak of the memory."""
    costs = [
        _data(work),
        _language_model(work),
        _models(work),
        _lists(work),
        _handed_over(work),
    ]
    size = f"{work.users:,} users, {work.items:,} items, {work.interactions:,} interactions"
    return [*costs, Cost("all", size, sum(cost.minutes for cost in costs), max(cost.gib for cost in costs))]


def factorization_seconds(users: int, items: int, interactions: int, factors: int, sweeps: int) -> float:
    """Return seconds of one iALS: sweeps × (a N d + b (U + n) d²)."""
    return sweeps * (_FACTOR * interactions * factors + _FACTOR_SQUARE * (users + items) * factors**2)


def _data(work: Workload) -> Cost:
    teacher = factorization_seconds(work.users, work.items, work.interactions, 64, work.sweeps)
    gib = _BASE_GIB + _ROW_BYTES * work.interactions / _GIB
    rows = f"{work.interactions:,} rows"
    return Cost("data_processing, feature_engineering", rows, (_ROW * work.interactions + teacher) / 60, gib)


def _transformer_seconds(work: Workload) -> float:
    """Return seconds of one fit."""
    return _TRANSFORMER_EPOCHS * work.interactions * (_TRANSFORMED + _SOFTMAX * work.items)


def _language_model(work: Workload) -> Cost:
    passes = work.epochs if work.trained else 0
    tuned = work.tokens * work.tuned_items / work.items if work.items else 0.0
    of_tokens = tuned * passes * _TUNED_TOKEN + work.tokens * work.encoders * _ENCODED_TOKEN
    seconds = _LOAD + work.lm_factor * of_tokens
    size = f"{tuned:,.0f} tokens × {passes} epochs"
    return Cost("lm_finetuning", size, seconds / 60, _BASE_GIB + 0.3)


def _models(work: Workload) -> Cost:
    factorizations = sum(
        factorization_seconds(work.users, work.items, work.interactions, factors, work.sweeps)
        for factors in work.factor_sets
    )
    of_weights = _INVERSE * work.items**3 if work.items <= work.full_items else _NEAREST * work.items
    inverses = work.inverses * of_weights + work.kernels * _INVERSE * work.kernel_items**3
    trials = work.trials * (work.baselines + work.encoders * work.sources)
    cells = min(work.users * work.items, 2 * work.max_cells)
    blends = work.encoders * (_BLEND + _BLEND_CELL * cells)
    fitted = _FIT_BYTES * work.items**2 if work.inverses and work.items <= work.full_items else 0
    held = fitted + _weight_bytes(work)
    blended = 2 * 4 * work.sources * min(work.users * work.items, work.max_cells)
    of_items = f"{work.items:,}² cells" if work.items <= work.full_items else f"{work.items:,} times {work.neighbours}²"
    size = (
        f"{len(work.factor_sets)} factorizations, {work.inverses} inverses of {of_items}, "
        f"{work.kernels} of {work.kernel_items:,}², {work.transformers} transformers"
    )
    networks = work.transformers * _transformer_seconds(work) + work.network_steps * _NETWORK_STEP
    minutes = (factorizations + inverses + networks + _scored(work, trials, work.tried_users) + blends) / 60
    return Cost("hybrid_cf", size, minutes, _BASE_GIB + _processes_gib(work) + (held + blended) / _GIB)


def _processes_gib(work: Workload) -> float:
    """Return what processes take that fit transformers beside the run."""
    return _PROCESS_GIB * _PROCESSES if work.transformers and work.interactions >= FEW else 0.0


def _lists(work: Workload) -> Cost:
    models = work.baselines + work.encoders
    users = work.listed_users + work.validated_users
    rows = users * models * work.k * _LIST_SETS
    reranked = _RERANKED * _SPLITS * work.settings * min(work.users, work.reranked_users)
    scored = _scored(work, work.baselines + work.encoders * work.sources, users)
    held = _weight_bytes(work) + _LISTED_BYTES * work.listed_users * work.k * _LIST_SETS
    block = 4 * work.sources * min(work.block_users, work.listed_users) * work.items
    gib = _BASE_GIB + (held + block) / _GIB
    asked = f"({work.validated_users:,} + {work.listed_users:,}) users"
    size = f"{models} models × {asked} × {work.k} places × {_LIST_SETS} = {rows:,} rows"
    return Cost("evaluation, reranking", size, (scored + _LIST_ROW * rows + reranked) / 60, gib)


def _weight_bytes(work: Workload) -> int:
    """Return what fitted item-item models hold."""
    if work.items <= work.full_items:
        return _HELD_BYTES * work.items**2 * work.item_item_models
    return _SPARSE_BYTES * work.items * work.neighbours * work.item_item_models


def _handed_over(work: Workload) -> Cost:
    of_texts = work.lm_factor * _PACKAGED_TIMES * work.tokens * _ENCODED_TOKEN
    fitted = work.refitted_transformers * _transformer_seconds(work)
    seconds = _PACKAGE + of_texts + _scored(work, 2, work.users) + fitted
    gib = 1.5 + (_processes_gib(work) if work.refitted_transformers else 0.0)
    return Cost("registration, promotion, reporting, inference", "one model", seconds / 60, gib)


def _scored(work: Workload, times: int, users: int) -> float:
    """Return seconds of scoring so many users and every item ``times`` times."""
    return _CELL * times * users * work.items


def _used(names: Iterable[str], card: Card) -> list[str]:
    """Return the item-item models that are fitted: slit is empty where there are no times."""
    return [name for name in names if name != "slit" or card.times.present]


def _fits(hybrid: HybridOptions, name: str) -> int:
    return len(_option_sets(hybrid, name)) + _FINAL_FITS


def _transformers(hybrid: HybridOptions, baselines: list[str], users: int, encoders: int) -> int:
    """Return how many transformers are fitted: without the users of each fold, and on all of train."""
    fits = _fits(hybrid, "sasrec") if "sasrec" in baselines else 0
    sources = sum(hybrid.sources.get(name) is not None for name in TRANSFORMERS)
    n_left_out = round(hybrid.blend.few_shot_share * users)
    folds = min(10, -(-hybrid.blend.few_shot_users // n_left_out)) if n_left_out else 1
    return fits + sources * encoders * (folds + _FINAL_FITS)


def _network_steps(hybrid: HybridOptions) -> int:
    """Return the steps of all fits of DropoutNet; a chosen option set counts as the longest that is tried."""
    default = DropoutNetConfig().steps
    return sum(_with_final([int(settings.get("steps", default)) for settings in _option_sets(hybrid, "dropoutnet")]))


def _option_sets(hybrid: HybridOptions, name: str) -> list[Parameters]:
    return hybrid.trials.get(name) or [{}]


def _factor_sets(hybrid: HybridOptions, baselines: list[str], hybrids: int) -> list[int]:
    """Return the factors of every factorization; a chosen option set counts as the largest that is tried."""
    default = IALSConfig().factors
    factors: list[int] = []
    for name in baselines:
        if name in _FACTORIZED:
            factors += _with_final([_factors(settings, default) for settings in _option_sets(hybrid, name)])
    if hybrids:
        default = _factors(hybrid.sources["ials"] or {}, default)
        tried = [_factors(settings.get("ials", {}), default) for settings in _option_sets(hybrid, "hybrid")]
        factors += hybrids * _with_final(tried)
    return factors


def _with_final(tried: list[int]) -> list[int]:
    return [*tried, *[max(tried)] * _FINAL_FITS]


def _factors(settings: dict[str, Any], default: int) -> int:
    return int(settings.get("factors", default))
