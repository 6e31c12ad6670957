"""Choosing options on validation: every model by the same criterion, with the same number of trials."""

from typing import Any

import pandas as pd

from tailor import columns as c
from tailor.cf.base import Floats
from tailor.cf.registry import LADDER, build
from tailor.errors import ConfigurationError
from tailor.hybrid.gate import fit_newcomers, fit_shift, fit_weights
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import Hybrid, HybridEngineOptions
from tailor.options import EASEOptions, HybridOptions, IALSOptions, parse


def criterion(values: dict[str, float], cold_weight: float) -> float:
    """Return (1 - w) warm + w cold."""
    return (1 - cold_weight) * values[c.WARM] + cold_weight * values[c.COLD]


def select_baselines(
    holdout: Holdout, features: Floats, options: HybridOptions, seed: int
) -> tuple[dict[str, dict[str, Any]], pd.DataFrame]:
    """Try every baseline's option sets; return the best set per rung of the ladder, and the table of all trials."""
    unknown = set(options.trials) - set(LADDER) - {"hybrid"}
    if unknown:
        raise ConfigurationError(f"hybrid_cf.trials names {sorted(unknown)}; known: {', '.join([*LADDER, 'hybrid'])}.")
    chosen, rows = {}, []
    for name in LADDER:
        tried = []
        for settings in options.trials.get(name, [{}]):
            values = holdout.measure(build(name, settings, seed).fit(holdout.train, holdout.warm, features), options.k)
            tried.append((criterion(values, options.cold_weight), settings))
            rows.append(_trial_row(name, settings, values, tried[-1][0]))
        chosen[name] = max(tried, key=lambda trial: trial[0])[1]
    return chosen, pd.DataFrame(rows)


def fit_sources(
    holdout: Holdout, features: Floats, settings: dict[str, Any], options: HybridOptions, seed: int
) -> Hybrid:
    """Fit the hybrid's arms without pseudo-cold B; ``settings`` (of one trial) win over the fixed options."""
    where = "hybrid_cf.trials.hybrid"
    arms = HybridEngineOptions(
        ials=parse(IALSOptions, options.ials | settings.get("ials", {}), f"{where}.ials"),
        ease=parse(EASEOptions, options.ease | settings.get("ease", {}), f"{where}.ease"),
    )
    return Hybrid(arms, seed).fit(holdout.train, holdout.warm, features)


def select_hybrid(
    holdout: Holdout, features: Floats, options: HybridOptions, seed: int
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Try the hybrid's option sets, each with the weights that validation gives it; return the best and the table."""
    tried, rows = [], []
    for settings in options.trials.get("hybrid", [{}]):
        scorer = fit_sources(holdout, features, settings, options, seed)
        scorer = scorer.with_gate(fit_weights(scorer, holdout, options.mixture, options.k))
        values = holdout.measure(scorer, options.k)
        tried.append((criterion(values, options.cold_weight), settings))
        rows.append(_trial_row("hybrid", settings, values, tried[-1][0]))
    return max(tried, key=lambda trial: trial[0])[1], pd.DataFrame(rows)


def fit_hybrid(
    holdout: Holdout, features: Floats, settings: dict[str, Any], options: HybridOptions, seed: int
) -> tuple[Hybrid, list[dict[str, float]]]:
    """Fit the sources without B and the gate on validation; return the scorer and its price list."""
    scorer = fit_sources(holdout, features, settings, options, seed)
    weights = fit_weights(scorer, holdout, options.mixture, options.k)
    weights = fit_newcomers(scorer, weights, holdout, options.mixture, options.k)
    gate, prices = fit_shift(scorer, weights, holdout, options.mixture, options.k)
    return scorer.with_gate(gate), prices


def _trial_row(model: str, settings: dict[str, Any], values: dict[str, float], value: float) -> dict[str, Any]:
    return {
        "model": model,
        "options": str(settings),
        "warm_ndcg": values[c.WARM],
        "cold_ndcg": values[c.COLD],
        "criterion": value,
    }
