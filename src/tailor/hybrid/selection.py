"""Choosing options on validation: every model by the same criterion, with the same number of trials."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from tailor import columns as c
from tailor.data.item_vectors import TEXT
from tailor.errors import ConfigurationError, did_you_mean
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import (
    FittedBlend,
    best_cold_shift,
    fit_blend,
    fit_weights,
    known_users,
    reaching,
    rescaled,
)
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import order_readers
from tailor.models import legacy
from tailor.models.base import FittedModel, TrainSet
from tailor.models.fitting import fits
from tailor.models.registry import BASELINES, build, model_class
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)
HYBRID = "hybrid"
#: Key of the options of cold items in an option set.
COLD_ITEMS = "cold_items"
#: Weights of the part that gets most.
_MOST_OF_WEIGHT = (0.75, 0.95)
#: Columns of the table of trials.
TRIAL_COLUMNS = ["model", "options", "warm_ndcg", "cold_ndcg", "criterion"]


def baseline_names(options: HybridOptions) -> list[str]:
    """Return the baselines of a catalogue, from the simplest on.

    Raises:
        ConfigurationError: a name is none of a model.
    """
    names = list(BASELINES) if options.baselines is None else options.baselines
    for name in names:
        model_class(name)
    return names


def without_order(options: HybridOptions, holdout: Holdout) -> HybridOptions:
    """Leave out the sources and baselines that read the order of histories, where no order is known.

    They would score 0 for all items: no trial of theirs is run, and no list of theirs is made.

    Args:
        options: sources and baselines of the catalogue.
        holdout: knows whether there is an order.
    """
    if holdout.knows_order:
        return options
    readers = order_readers()
    sources = {name: None if name in readers else given for name, given in options.sources.items()}
    baselines = [name for name in baseline_names(options) if not model_class(name).needs_order]
    return options.model_copy(update={"sources": sources, "baselines": baselines})


def criterion(values: dict[str, float], cold_weight: float) -> float:
    """Return (1 - w) warm + w cold."""
    return (1 - cold_weight) * values[c.WARM] + cold_weight * values[c.COLD]


def select_baselines(
    holdout: Holdout,
    data: TrainSet,
    options: HybridOptions,
    seed: int,
    tuned: dict[str, JsonObject] | None = None,
) -> tuple[dict[str, JsonObject], pd.DataFrame, dict[str, FittedModel]]:
    """Try every baseline's option sets; return the best set of each, the table of all trials, and the best fits.

    What a fit chose by itself, as a number of epochs, stands in its set.

    Args:
        holdout: the validation side of the split.
        data: what is fitted on, :meth:`Holdout.train_set`.
        options: the option sets, the criterion.
        seed: of the models.
        tuned: by baseline the option set that a search chose; it is taken as it is.

    Raises:
        ConfigurationError: options are given for what is no baseline of this run.
    """
    check_names(options.trials, options, "hybrid_cf.trials")
    check_names(tuned or {}, options, "tuned.baselines")
    names = baseline_names(options)
    sets = {
        (name, number): settings
        for name in names
        for number, settings in enumerate(_option_sets((tuned or {}).get(name), options.trials.get(name)))
    }
    recipes = {trial: build(trial[0], settings, seed) for trial, settings in sets.items()}
    best: dict[str, tuple[float, JsonObject, FittedModel]] = {}
    rows = {}
    with fits(recipes, lambda _: data) as fit:
        for trial in sorted(sets, key=lambda trial: recipes[trial].fits_on_one_thread):
            name, settings, model = trial[0], sets[trial], fit(trial)
            values = measure(holdout, model, options)
            rows[trial] = _trial_row(name, settings, values)
            if name not in best or values["criterion"] > best[name][0]:
                best[name] = values["criterion"], settings | model.settled_options(), model
    trials = pd.DataFrame([rows[trial] for trial in sets], columns=TRIAL_COLUMNS)
    return {name: best[name][1] for name in names}, trials, {name: best[name][2] for name in names}


def check_names(names: Iterable[str], options: HybridOptions, where: str) -> None:
    """Refuse names that are neither a baseline of this run nor the hybrid.

    Baselines that Tailor has, but that this run leaves out, are passed over, and so are sources that read an order:
    their options wait for another run.

    Args:
        names: keys of the parameter ``where``.
        options: which baselines the run has.
        where: for the error.

    Raises:
        ConfigurationError: names it, and what there is; a name of 0.1 with the new one.
    """
    known = [*baseline_names(options), HYBRID]
    for name in names:
        if name in known or name in BASELINES or name in order_readers():
            continue
        new = legacy.BASELINES.get(name)
        hint = f" It is called '{new}' now." if new else did_you_mean(name, known)
        raise ConfigurationError(
            f"{where} names '{name}', which is no baseline of this run.{hint} Known: {', '.join(known)}."
        )


def measure(holdout: Holdout, model: FittedModel, options: HybridOptions) -> dict[str, float]:
    """Return what ``holdout`` measures, and the selection criterion: without pseudo-cold items, warm NDCG."""
    values = holdout.measure(model, options.k, options.max_users)
    return values | {"criterion": criterion(values, options.cold_weight if holdout.has_cold_items else 0.0)}


def fit_factors(data: TrainSet, settings: Parameters, options: HybridOptions, seed: int) -> FittedModel:
    """Fit the hybrid's factorization alone; what it reaches tells early what a trial is worth."""
    return Hybrid(options.hybrid_config(settings), seed).source_models()["ials"].fit(data)


def fit_scorer(
    holdout: Holdout,
    data: TrainSet,
    settings: Parameters,
    options: HybridOptions,
    seed: int,
    pretrained: Mapping[str, FittedModel] | None = None,
) -> HybridScorer:
    """Fit sources, weights (of the simplest member of the family) and cold shift: what a trial of a search measures.

    Args:
        holdout: the validation side of the split.
        data: what is fitted on.
        settings: the option set of the trial.
        options: what is not searched.
        seed: of everything drawn.
        pretrained: sources that were fitted by these settings already, by name.
    """
    scorer = Hybrid(options.hybrid_config(settings), seed).fit(data, pretrained)
    simplest = options.blend.model_copy(update={"models": options.blend.models[:1], "steps": 1})
    known = known_users(scorer, holdout, simplest, seed)
    weights, _ = fit_weights(known, holdout, simplest, options.k, seed, scorer)
    shift = best_cold_shift(scorer, weights, known, holdout, simplest, options.k)
    return scorer.with_blend(weights.shifted(shift))


def select_hybrid(
    holdout: Holdout, data: TrainSet, options: HybridOptions, seed: int, tuned: Parameters | None = None
) -> tuple[JsonObject, pd.DataFrame, HybridScorer]:
    """Try the hybrid's option sets, each with the weights that validation gives it; return the best, the table, and the
    best fit.
    """
    tried: list[tuple[float, JsonObject, HybridScorer]] = []
    rows = []
    sets = _option_sets(tuned, options.trials.get(HYBRID))
    for number, settings in enumerate(sets, start=1):
        scorer = fit_scorer(holdout, data, settings, options, seed)
        values = measure(holdout, scorer, options)
        rows.append(_trial_row(HYBRID, settings, values))
        log.info("hybrid: option set %d of %d, criterion %.4f on validation", number, len(sets), values["criterion"])
        # One is remembered at a time: weights of all pairs of items are large.
        tried = [max([*tried, (values["criterion"], settings, scorer)], key=lambda trial: trial[0])]
    for settings in _weighted_parts(options, tried[0][1]) if holdout.has_cold_items else []:
        scorer = fit_scorer(holdout, data, settings, options, seed, tried[0][2].sources)
        values = measure(holdout, scorer, options)
        rows.append(_trial_row(HYBRID, settings, values))
        tried = [max([*tried, (values["criterion"], settings, scorer)], key=lambda trial: trial[0])]
    ((_, chosen, best),) = tried
    return chosen, pd.DataFrame(rows, columns=TRIAL_COLUMNS), best


def _weighted_parts(options: HybridOptions, settings: Parameters) -> list[JsonObject]:
    """Return an option set with each of the weights of parts to try; none where weights are given or needless."""
    of_cold = options.hybrid_config(settings).cold_items
    if len(of_cold.dimensions) < 2 or of_cold.weights:
        return []
    grid = weights_to_try(list(of_cold.dimensions))
    return [settings | {COLD_ITEMS: settings.get(COLD_ITEMS, {}) | {"weights": weights}} for weights in grid]


def weights_to_try(names: Sequence[str]) -> list[dict[str, float]]:
    """Return weights of the parts of an embedding beside equal ones: the text alone, each part with most of the weight.

    Nothing but the text gets all: an item may have no other part.

    Args:
        names: of the parts, :data:`tailor.data.item_vectors.TEXT` among them.

    Example:
        >>> [weights["text"] for weights in weights_to_try(["text", "vector_image"])]
        [1.0, 0.75, 0.95, 0.25, 0.05]
    """
    grid = [dict.fromkeys(names, 0.0) | {TEXT: 1.0}]
    for name in names:
        for most in _MOST_OF_WEIGHT:
            others = dict.fromkeys(names, round((1 - most) / (len(names) - 1), 6))
            grid.append(others | {name: round(1 - sum(others.values()) + others[name], 6)})
    return grid


def fit_hybrid(
    holdout: Holdout,
    data: TrainSet,
    settings: Parameters,
    options: HybridOptions,
    seed: int,
    fitted_before: HybridScorer | None = None,
) -> tuple[HybridScorer, FittedBlend]:
    """Fit the sources without B and the blend on validation; return the scorer at its operating point, and what led
    there.

    Args:
        holdout: the validation side of the split.
        data: what the sources are fitted on.
        settings: the option set that was chosen.
        options: what is not chosen.
        seed: of everything drawn.
        fitted_before: what :func:`select_hybrid` chose, of the same settings, data and seed: its sources are taken as
            they are, and so are its weights where the family has one member.
    """
    return _with_blend(
        _with_sources(data, settings, options, seed, fitted_before), holdout, options, seed, fitted_before
    )


def fit_hybrid_twice(
    holdout: Holdout,
    data: TrainSet,
    final_data: TrainSet,
    settings: Parameters,
    options: HybridOptions,
    seed: int,
    fitted_before: HybridScorer | None = None,
) -> tuple[HybridScorer, HybridScorer, FittedBlend]:
    """Do what :func:`fit_hybrid` and then :func:`fit_final` do: while the blend is fitted, the sources that take one
    thread are fitted on the other data already.

    Args:
        holdout: the validation side of the split.
        data: what the sources are fitted on.
        final_data: what they are fitted on then.
        settings: the option set that was chosen.
        options: what is not chosen.
        seed: of everything drawn.
        fitted_before: as of :func:`fit_hybrid`.
    """
    scorer = _with_sources(data, settings, options, seed, fitted_before)
    with scorer.recipe.fits_ahead(final_data) as fitted_ahead:
        scorer, fitted = _with_blend(scorer, holdout, options, seed, fitted_before)
        return fit_final(scorer, fitted, final_data, fitted_ahead())


def _with_sources(
    data: TrainSet, settings: Parameters, options: HybridOptions, seed: int, fitted_before: HybridScorer | None
) -> HybridScorer:
    recipe = Hybrid(options.hybrid_config(settings), seed)
    scorer = recipe.fit(data) if fitted_before is None else replace(fitted_before, recipe=recipe)
    return replace(scorer, recipe=recipe.settled(scorer.sources))


def _with_blend(
    scorer: HybridScorer, holdout: Holdout, options: HybridOptions, seed: int, fitted_before: HybridScorer | None
) -> tuple[HybridScorer, FittedBlend]:
    before = fitted_before if len(options.blend.models) == 1 else None
    weights = None if before is None else before.blend.shifted(0.0)
    fitted = fit_blend(scorer, holdout, options.blend, options.k, seed, weights)
    return scorer.with_blend(fitted.weights).with_boosts(fitted.boosts).with_click(fitted.click), fitted


def fit_final(
    scorer: HybridScorer, fitted: FittedBlend, data: TrainSet, pretrained: Mapping[str, FittedModel] | None = None
) -> tuple[HybridScorer, HybridScorer, FittedBlend]:
    """Fit the recipe that validation chose on other data; return the scorer of validation, this one and what led there.

    All of them state their boosts in scales that reach far enough in the lists of the new scorer, see
    :func:`tailor.hybrid.operating_point.reaching`.

    Args:
        scorer: fitted on validation's side, at its operating point.
        fitted: what led there.
        data: what the sources are fitted on.
        pretrained: sources that were fitted on it already, by name.
    """
    final = scorer.recipe.fit(data, pretrained)
    boosts = reaching(final, data.queries())
    rescaled_blend = replace(fitted, boosts=boosts, curves=rescaled(fitted.curves, fitted.boosts, boosts))
    return scorer.with_boosts(boosts), final.with_boosts(boosts), rescaled_blend


def _option_sets(tuned: Parameters | None, trials: list[Parameters] | None) -> list[Parameters]:
    """Return what a search chose, else the option sets to try, else the defaults."""
    return [tuned] if tuned else trials or [{}]


def _trial_row(model: str, settings: Parameters, values: dict[str, float]) -> Parameters:
    return {
        "model": model,
        "options": str(settings),
        "warm_ndcg": values[c.WARM],
        "cold_ndcg": values[c.COLD],
        "criterion": values["criterion"],
    }
