"""Choosing options on validation: every model by the same criterion, with the same number of trials."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.cf.base import Engine, Floats, Mask
from tailor.cf.registry import LADDER, build
from tailor.data.hashing import tie_ranks
from tailor.data.matrices import bucket_items, keep_items, pseudo_cold_items, warm_items
from tailor.errors import ConfigurationError
from tailor.hybrid.scorer import GateOptions, Hybrid, HybridEngineOptions, fit_gate
from tailor.metrics.lists import recommend
from tailor.metrics.ranking import hits, ndcg
from tailor.options import EASEOptions, HybridOptions, IALSOptions, parse


@dataclass(frozen=True)
class Holdout:
    """What choices are made on: a fit that treats pseudo-cold B as cold, and the validation rows."""

    train: sparse.csr_matrix
    """Train interactions without B (U, n_items)."""
    seen: sparse.csr_matrix
    """What lists leave out: all train interactions (U, n_items)."""
    validation: sparse.csr_matrix
    """Positives (U, n_items)."""
    warm: Mask
    """Items that are learnt from (n_items,)."""
    cold: Mask
    """Pseudo-cold B (n_items,)."""
    candidates: Mask
    """Everything but the held-out cold items (n_items,)."""
    tie_rank: NDArray[np.int64]

    @classmethod
    def build(
        cls, train: sparse.csr_matrix, validation: sparse.csr_matrix, items: pd.DataFrame, seed: int
    ) -> "Holdout":
        """Derive the masks from the item table; no test row is among the inputs."""
        cold = pseudo_cold_items(items, "B")
        warm = warm_items(items) & ~cold
        candidates = ~bucket_items(items, c.COLD)
        ties = tie_ranks(seed, items[c.ITEM])
        return cls(keep_items(train, warm), train, validation, warm, cold, candidates, ties)

    def measure(self, engine: Engine[Any], k: int) -> dict[str, float]:
        """Return NDCG@k of warm positives over warm candidates, and of cold positives over B."""
        users = np.flatnonzero(np.diff(self.validation.indptr) > 0)
        sets = {c.WARM: self.candidates & ~self.cold, c.COLD: self.cold}
        found = recommend(engine, users, self.train[users], self.seen[users], sets, k, self.tie_rank)
        values = {}
        for name, mask in sets.items():
            positives = keep_items(self.validation[users], mask)
            per_user = ndcg(hits(found[name][0], positives), np.diff(positives.indptr), k)
            values[name] = float(np.nanmean(per_user)) if np.isfinite(per_user).any() else 0.0
        return values


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


def hybrid_options(settings: dict[str, Any], options: HybridOptions, gate: GateOptions | None = None) -> HybridEngineOptions:
    """Join fixed and tried options of the arms."""
    where = "hybrid_cf.trials.hybrid"
    return HybridEngineOptions(
        ials=parse(IALSOptions, options.ials | settings.get("ials", {}), f"{where}.ials"),
        ease=parse(EASEOptions, options.ease | settings.get("ease", {}), f"{where}.ease"),
        gate=gate or GateOptions(),
    )


def select_hybrid(
    holdout: Holdout, features: Floats, options: HybridOptions, seed: int
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Try the hybrid's option sets, each with the gate that validation gives it; return the best and the table."""
    tried, rows = [], []
    for settings in options.trials.get("hybrid", [{}]):
        scorer, _ = fit_hybrid(holdout, features, settings, options, seed)
        values = holdout.measure(scorer, options.k)
        tried.append((criterion(values, options.cold_weight), settings))
        rows.append(_trial_row("hybrid", settings, values, tried[-1][0]))
    return max(tried, key=lambda trial: trial[0])[1], pd.DataFrame(rows)


def fit_hybrid(
    holdout: Holdout, features: Floats, settings: dict[str, Any], options: HybridOptions, seed: int
) -> tuple[Hybrid, list[dict[str, float]]]:
    """Fit the sources without B and the gate on validation; return the scorer and its price list."""
    scorer = Hybrid(hybrid_options(settings, options), seed).fit(holdout.train, holdout.warm, features)
    gate, prices = fit_gate(
        scorer,
        holdout.seen,
        holdout.validation,
        holdout.cold,
        holdout.candidates,
        options.mixture,
        options.k,
        holdout.tie_rank,
    )
    return scorer.with_gate(gate), prices


def _trial_row(model: str, settings: dict[str, Any], values: dict[str, float], value: float) -> dict[str, Any]:
    return {
        "model": model,
        "options": str(settings),
        "warm_ndcg": values[c.WARM],
        "cold_ndcg": values[c.COLD],
        "criterion": value,
    }
