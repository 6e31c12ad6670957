"""Choosing options on validation: every model by the same criterion, with the same number of trials."""

from typing import Any

import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.errors import ConfigurationError
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import Fitted, fit_gate, fit_shift, fit_weights, known_cells
from tailor.hybrid.scorer import Hybrid, HybridEngineOptions
from tailor.models.base import Engine, Floats
from tailor.models.ials import IALS
from tailor.models.registry import BASELINES, build
from tailor.options import (
    Boosts,
    ContextRidgeOptions,
    EASEOptions,
    HybridOptions,
    IALSOptions,
    KernelOptions,
    ProfileRidgeOptions,
    SequenceOptions,
)


def ladder(options: HybridOptions) -> list[str]:
    """Return the baselines of a catalogue, lowest rung first."""
    left_out = {*options.without, *(["text_ease"] if "ease" in options.without else [])}
    return [name for name in BASELINES if name not in left_out]


def criterion(values: dict[str, float], cold_weight: float) -> float:
    """Return (1 - w) warm + w cold."""
    return (1 - cold_weight) * values[c.WARM] + cold_weight * values[c.COLD]


def select_baselines(
    holdout: Holdout,
    features: Floats,
    options: HybridOptions,
    seed: int,
    tuned: dict[str, dict[str, Any]] | None = None,
) -> tuple[dict[str, dict[str, Any]], pd.DataFrame]:
    """Try every baseline's option sets; return the best set per rung of the ladder, and the table of all trials.

    Args:
        tuned: per rung the option set that a search chose; it is taken as it is.
    """
    unknown = set(options.trials) - set(BASELINES) - {"hybrid"}
    if unknown:
        raise ConfigurationError(
            f"hybrid_cf.trials names {sorted(unknown)}; known: {', '.join([*BASELINES, 'hybrid'])}."
        )
    chosen, rows = {}, []
    for name in ladder(options):
        tried = []
        for settings in _sets((tuned or {}).get(name), options.trials.get(name)):
            engine = build(name, settings, seed).fit(holdout.train, holdout.warm, features)
            values = measure(holdout, engine, options)
            tried.append((values["criterion"], settings))
            rows.append(_trial_row(name, settings, values))
        chosen[name] = max(tried, key=lambda trial: trial[0])[1]
    return chosen, pd.DataFrame(rows)


def measure(holdout: Holdout, engine: Engine[Any], options: HybridOptions) -> dict[str, float]:
    """Return what ``holdout`` measures, and the selection criterion."""
    values = holdout.measure(engine, options.k)
    return values | {"criterion": criterion(values, options.cold_weight)}


def _arms(settings: dict[str, Any], options: HybridOptions) -> HybridEngineOptions:
    """Join the fixed options with ``settings`` (of one trial), which win."""
    where = "hybrid_cf.trials.hybrid"
    return HybridEngineOptions(
        ials=parse(IALSOptions, options.ials | settings.get("ials", {}), f"{where}.ials"),
        ease=parse(EASEOptions, options.ease | settings.get("ease", {}), f"{where}.ease"),
        sequence=parse(SequenceOptions, options.sequence | settings.get("sequence", {}), f"{where}.sequence"),
        profile=parse(ProfileRidgeOptions, options.profile | settings.get("profile", {}), f"{where}.profile"),
        context=parse(ContextRidgeOptions, options.context | settings.get("context", {}), f"{where}.context"),
        kernel=parse(KernelOptions, options.kernel | settings.get("kernel", {}), f"{where}.kernel"),
        without=tuple(options.without),
        boosts=Boosts(**options.boosts.model_dump()),
    )


def fit_factors(
    holdout: Holdout, features: Floats, settings: dict[str, Any], options: HybridOptions, seed: int
) -> IALS:
    """Fit the hybrid's factorization alone."""
    return IALS(_arms(settings, options).ials, seed).fit(holdout.train, holdout.warm, features)


def fit_sources(
    holdout: Holdout,
    features: Floats,
    settings: dict[str, Any],
    options: HybridOptions,
    seed: int,
    factors: IALS | None = None,
) -> Hybrid:
    """Fit the hybrid's arms without pseudo-cold B; ``factors`` is a factorization that is fitted already."""
    hybrid = Hybrid(_arms(settings, options), seed, told=holdout.told)
    return hybrid.fit_around(factors, holdout.train, holdout.warm, features)


def fit_scorer(
    holdout: Holdout,
    features: Floats,
    settings: dict[str, Any],
    options: HybridOptions,
    seed: int,
    factors: IALS | None = None,
) -> Hybrid:
    """Fit arms, weights (of the simplest fusion) and cold shift: what a trial of the search measures."""
    scorer = fit_sources(holdout, features, settings, options, seed, factors)
    mixture = options.mixture.model_copy(update={"fusions": options.mixture.fusions[:1], "steps": 1})
    cells = known_cells(scorer, holdout, mixture, seed)
    gate, _ = fit_weights(cells, holdout, mixture, options.k, seed)
    return scorer.with_gate(fit_shift(scorer, gate, cells, holdout, mixture, options.k)[0])


def select_hybrid(
    holdout: Holdout, features: Floats, options: HybridOptions, seed: int, tuned: dict[str, Any] | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Try the hybrid's option sets, each with the weights that validation gives it; return the best and the table."""
    tried, rows = [], []
    for settings in _sets(tuned, options.trials.get("hybrid")):
        values = measure(holdout, fit_scorer(holdout, features, settings, options, seed), options)
        tried.append((values["criterion"], settings))
        rows.append(_trial_row("hybrid", settings, values))
    return max(tried, key=lambda trial: trial[0])[1], pd.DataFrame(rows)


def fit_hybrid(
    holdout: Holdout, features: Floats, settings: dict[str, Any], options: HybridOptions, seed: int
) -> tuple[Hybrid, Fitted]:
    """Fit the sources without B and the gate on validation; return the scorer, its boosts set, and what led there."""
    scorer = fit_sources(holdout, features, settings, options, seed)
    fitted = fit_gate(scorer, holdout, options.mixture, options.k, seed)
    return scorer.with_gate(fitted.gate).with_boosts(fitted.boosts).with_click(fitted.click), fitted


def _sets(tuned: dict[str, Any] | None, trials: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return what a search chose, else the option sets to try, else the defaults."""
    return [tuned] if tuned else trials or [{}]


def _trial_row(model: str, settings: dict[str, Any], values: dict[str, float]) -> dict[str, Any]:
    return {
        "model": model,
        "options": str(settings),
        "warm_ndcg": values[c.WARM],
        "cold_ndcg": values[c.COLD],
        "criterion": values["criterion"],
    }
