"""Nodes of ``ablation``. Only ``measure_variants`` sees test positives."""

from typing import Any

import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.evaluation import measure as evaluate
from tailor.evaluation import plots as report
from tailor.evaluation.protocol import EvalProtocol
from tailor.hybrid import ablation
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import scorer_of
from tailor.models.base import FittedModel
from tailor.options import EvaluationOptions

Models = dict[str, FittedModel]
Matrix = sparse.csr_matrix


def fit_variants(held_out: Models, final: Models, holdout: Holdout, params: dict[str, Any], seed: int) -> Models:
    """Fit the blend with parts left out on validation; put each on the sources fitted on all of train."""
    options = parse(HybridOptions, params, "hybrid_cf")
    scorer, whole = scorer_of(held_out), scorer_of(final)
    variants = ablation.variants(scorer, holdout, options.blend, options.k, seed)
    return {name: whole.with_blend(variant.blend).with_boosts(variant.boosts) for name, variant in variants.items()}


def recommend_by_variants(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
    params: dict[str, Any],
    seed: int,
) -> pd.DataFrame:
    """List for every known user with every variant."""
    o = parse(EvaluationOptions, params, "evaluation")
    models = {
        f"{name} | {encoder}": m for encoder, found in (("frozen", frozen), ("lora", lora)) for name, m in found.items()
    }
    return evaluate.list_known_users(models, protocol, c.TEST, users, items, o, seed)


def measure_variants(
    lists: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
    truth: Matrix,
    params: dict[str, Any],
) -> pd.DataFrame:
    """Measure the lists: one row per variant, the headline figures of the summary."""
    o = parse(EvaluationOptions, params, "evaluation")
    metrics = evaluate.measure_known_users(
        lists, {c.TEST: (protocol, truth)}, users, evaluate.popularity_metadata(items), o
    )
    return report.summary_table(metrics, max(o.k)).dropna(axis=1, how="all")
