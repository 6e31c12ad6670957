"""Nodes of ``spark``."""

import logging
from typing import Any

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.data import buckets
from tailor.data.config import DataProcessingOptions
from tailor.data.interactions import trainable_items
from tailor.errors import BadInputError
from tailor.evaluation.measure import list_length
from tailor.hybrid.config import HybridOptions
from tailor.lm.config import LMOptions
from tailor.lm.embeddings import Embeddings, embed_pooled
from tailor.lm.encoder import load_base
from tailor.lm.peft import weights_hash
from tailor.models.base import FittedModel
from tailor.models.ease import EASEConfig, TextEASE
from tailor.models.ials import IALSConfig, TextIALS
from tailor.models.slit import SLIT, SLITConfig
from tailor.options import EvaluationOptions
from tailor.spark import blocks, encoding, factorization, item_weights, lists
from tailor.spark.config import SparkOptions
from tailor.spark.split import label_interactions, refuse_too_little
from tailor.types import Parameters

log = logging.getLogger(__name__)
Models = dict[str, FittedModel]
#: pyspark is an extra, and Kedro reads the types of nodes.
SparkTable = Any
MODEL = "text_ials"


def split(interactions: SparkTable, params: Parameters, seed: int) -> SparkTable:
    """Label every interaction, as one machine would."""
    options = parse(DataProcessingOptions, params, "data_processing")
    labelled = label_interactions(interactions, options.split, seed).persist()
    counts = refuse_too_little(labelled)
    log.info("split: %s", ", ".join(f"{n:,} {name}" for name, n in sorted(counts.items())))
    return labelled


def describe_items(labelled: SparkTable, items: pd.DataFrame, params: Parameters, seed: int) -> pd.DataFrame:
    """Add n_train, bucket and pseudo_cold to the catalogue, as one machine would."""
    options = parse(DataProcessingOptions, params, "data_processing")
    if not pd.api.types.is_string_dtype(items[c.ITEM]):
        raise BadInputError(f"Column '{c.ITEM}' of the items is {items[c.ITEM].dtype}: ids are strings. Cast it.")
    counts = labelled.groupBy(c.ITEM, c.SPLIT).count().toPandas()
    of_train = counts[counts[c.SPLIT] == c.TRAIN].set_index(c.ITEM)["count"]
    cold = counts.loc[counts[c.SPLIT].isin([c.COLD, c.COLD_UNUSED]), c.ITEM]
    return buckets.describe_items(items, of_train, cold, options.split, options.head_share, seed)


def make_blocks(
    labelled: SparkTable, items: pd.DataFrame, params: Parameters, spark: Parameters, seed: int
) -> SparkTable:
    """Make one row of what the users of a block did."""
    ordered = blocks.knows_order(labelled, parse(DataProcessingOptions, params, "data_processing").split.strategy)
    n_blocks = parse(SparkOptions, spark, "spark").user_blocks
    return blocks.make_blocks(labelled, items, n_blocks, seed, ordered=ordered)


def encode_items(
    texts: pd.DataFrame | None, items: pd.DataFrame, labelled: SparkTable, lm: Parameters, spark: Parameters
) -> Embeddings:
    """Embed the items' texts with the base model as it is; no rows where there are no texts (None)."""
    if texts is None:
        return Embeddings.none()
    if list(texts[c.ITEM]) != list(items[c.ITEM]):
        raise BadInputError(
            "item_text and spark_items hold other items, or in another order. docs/how-to/spark.md says how texts are "
            "written, and how to do without them."
        )
    if texts[c.TEXT].isna().any():
        raise BadInputError(
            f"item_text: {int(texts[c.TEXT].isna().sum())} items have no text (null); write an empty one."
        )
    options, tasks = parse(LMOptions, lm, "lm_finetuning"), parse(SparkOptions, spark, "spark").item_blocks
    pooled = encoding.encode(labelled.sparkSession, texts[c.TEXT], options.encoder, tasks)
    base_hash = weights_hash(load_base(options.encoder))
    about = {"encoder": "frozen", "base_hash": base_hash, "options": options.encoder.model_dump()}
    return embed_pooled(pooled, items, trainable_items(items), options, about)


def fit_factors(
    table: SparkTable,
    items: pd.DataFrame,
    embeddings: Embeddings,
    hybrid: Parameters,
    params: Parameters,
    spark: Parameters,
    seed: int,
) -> Models:
    """Fit the factorization with the options of ``hybrid_cf.sources.ials``.

    ``embeddings``: no rows where there are no texts. ``params``: of evaluation.
    """
    _refuse_other_rows(params)
    options, given = parse(SparkOptions, spark, "spark"), parse(HybridOptions, hybrid, "hybrid_cf")
    config = parse(IALSConfig, given.sources.get("ials") or {}, "hybrid_cf.sources.ials")
    features = None if embeddings.is_empty else embeddings.vectors
    counts = items[c.N_TRAIN].to_numpy(dtype="int64")
    return {MODEL: factorization.fit(table.persist(), counts, features, TextIALS(config, seed), options.item_blocks)}


def fit_item_weights(
    table: SparkTable,
    embeddings: Embeddings,
    items: pd.DataFrame,
    hybrid: Parameters,
    params: Parameters,
    spark: Parameters,
    seed: int,
) -> Models:
    """Fit EASE on histories and texts and, where an order is known, SLIT; their options are those of the sources.

    Of these a source that is null is not fitted. ``params``: of evaluation.
    """
    _refuse_other_rows(params)
    sources = parse(HybridOptions, hybrid, "hybrid_cf").sources
    tasks, n_items = parse(SparkOptions, spark, "spark").item_blocks, len(items)
    features = np.zeros((n_items, 0), np.float32) if embeddings.is_empty else embeddings.vectors
    table = table.persist()
    models: Models = {}
    if sources.get("ease") is not None:
        recipe = TextEASE(parse(EASEConfig, sources["ease"], "hybrid_cf.sources.ease"), seed)
        models["text_ease"] = item_weights.fit_ease(table, features, recipe, n_items, tasks)
    if sources.get("slit") is not None and not blocks.are_ordered(table):
        log.info("slit: the order of a user's rows is not known, so it is not fitted")
    elif sources.get("slit") is not None:
        slit = SLIT(parse(SLITConfig, sources["slit"], "hybrid_cf.sources.slit"), seed)
        models["slit"] = item_weights.fit_slit(table, slit, n_items, tasks)
    return models


def recommend(
    table: SparkTable, factors: Models, weights: Models, items: pd.DataFrame, params: Parameters, seed: int
) -> SparkTable:
    """List by each model for every user who is not new, from warm, cold and all items."""
    length = list_length(parse(EvaluationOptions, params, "evaluation"))
    return lists.make_lists(table, factors | weights, items, length, seed)


def measure(made: SparkTable, labelled: SparkTable, items: pd.DataFrame, params: Parameters) -> pd.DataFrame:
    """Measure the lists at every cut-off."""
    options = parse(EvaluationOptions, params, "evaluation")
    table = pd.concat([lists.measure(made, labelled, items, k) for k in options.k], ignore_index=True)
    for row in table[table["metric"] == "ndcg"].to_dict("records"):
        log.info("%(model)s, %(candidates)s NDCG@%(k)d: %(value).4f (%(n_users)d users)", row)
    return table


def _refuse_other_rows(params: Parameters) -> None:
    if parse(EvaluationOptions, params, "evaluation").fit_on != "train":
        raise BadInputError("evaluation.fit_on is train_and_validation: models on Spark are fitted on train.")
