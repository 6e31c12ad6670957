"""Nodes of ``ablation``. Only ``measure_variants`` sees test positives."""

from typing import Any

import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.side_features import SideFeatures
from tailor.evaluation import measure as evaluate
from tailor.evaluation import plots as report
from tailor.evaluation.protocol import test_protocol
from tailor.hybrid import ablation
from tailor.hybrid.holdout import Holdout
from tailor.models.base import Engine
from tailor.options import EvaluationOptions, HybridOptions

Engines = dict[str, Engine[Any]]
Matrix = sparse.csr_matrix


def fit_variants(
    held_out: Engines,
    final: Engines,
    train: Matrix,
    validation: Matrix,
    order: Matrix,
    items: pd.DataFrame,
    told: dict[str, Any],
    params: dict[str, Any],
    seed: int,
) -> Engines:
    """Fit the gate with parts left out on validation; put each on the sources fitted on all of train."""
    o = parse(HybridOptions, params, "hybrid_cf")
    holdout = Holdout.build(train, validation, items, seed, order, told=SideFeatures(**told))
    found = ablation.variants(held_out["hybrid"], holdout, o.mixture, o.k, seed)  # type: ignore[arg-type]
    whole: Any = final["hybrid"]
    return {name: whole.with_gate(scorer.gate).with_boosts(scorer.options.boosts) for name, scorer in found.items()}


def recommend_by_variants(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    params: dict[str, Any],
    seed: int,
    **matrices: Matrix,
) -> pd.DataFrame:
    """List for every known user with every variant; ``matrices`` is what ``test_protocol`` takes."""
    o = parse(EvaluationOptions, params, "evaluation")
    models = {
        f"{name} | {encoder}": m for encoder, found in (("frozen", frozen), ("lora", lora)) for name, m in found.items()
    }
    return evaluate.list_known_users(models, test_protocol(items, **matrices), c.TEST, users, items, o, seed)


def measure_variants(
    lists: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    truth: Matrix,
    params: dict[str, Any],
    **matrices: Matrix,
) -> pd.DataFrame:
    """Measure the lists: one row per variant, the headline figures of the summary."""
    o = parse(EvaluationOptions, params, "evaluation")
    protocols = {c.TEST: (test_protocol(items, **matrices), truth)}
    metrics = evaluate.measure_known_users(lists, protocols, users, items, o)
    return report.summary_table(metrics, max(o.k)).dropna(axis=1, how="all")
