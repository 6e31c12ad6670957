"""Nodes of ``ablation``. Only ``measure_variants`` sees test positives."""

from typing import Unpack

import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.evaluation import measure, plots
from tailor.evaluation.protocol import TestRows, test_protocol
from tailor.evaluation.ranking import LazyTables, read_tables
from tailor.hybrid import ablation
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import scorer_of
from tailor.models.base import FittedModel
from tailor.options import EvaluationOptions
from tailor.types import Parameters

Models = dict[str, FittedModel]
Matrix = sparse.csr_matrix


def fit_variants(held_out: Models, final: Models, holdout: Holdout, params: Parameters, seed: int) -> Models:
    """Fit the blend with parts left out on validation; put each on the sources fitted on all of train.

    No variants where the encoder is left out.
    """
    if not final:
        return {}
    options, whole = parse(HybridOptions, params, "hybrid_cf"), scorer_of(final)
    variants = ablation.variants(scorer_of(held_out), holdout, options.blend, options.k, seed)
    return {name: whole.with_blend(variant.blend).with_boosts(variant.boosts) for name, variant in variants.items()}


def recommend_by_variants(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    params: Parameters,
    seed: int,
    **known: Unpack[TestRows],
) -> LazyTables:
    """List for every known user with every variant; ``known`` is what ``test_protocol`` takes."""
    options = parse(EvaluationOptions, params, "evaluation")
    variants = {"frozen": frozen, "lora": lora}
    models = {f"{name} | {encoder}": model for encoder, by_name in variants.items() for name, model in by_name.items()}
    return measure.list_known_users(models, test_protocol(items, **known), c.TEST, users, items, options, seed)


def measure_variants(
    lists: LazyTables,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    params: Parameters,
    **known: Unpack[TestRows],
) -> pd.DataFrame:
    """Measure the lists: one row per variant, the headline figures of the summary."""
    options = parse(EvaluationOptions, params, "evaluation")
    protocols = {c.TEST: (test_protocol(items, **known), positives)}
    metrics = measure.measure_known_users(
        read_tables(lists), protocols, users, measure.popularity_metadata(items), options
    )
    return plots.summary_table(metrics, max(options.k)).dropna(axis=1, how="all")
