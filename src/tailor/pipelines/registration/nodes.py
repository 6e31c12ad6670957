"""Nodes of ``registration``: the run's figures, the registered model, the proof that it is what was measured."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import DataProcessingOptions
from tailor.data.domains import domain_masks
from tailor.data.hashing import tie_ranks
from tailor.data.ids import IdMap
from tailor.data.interactions import blocked_pairs, strength_matrix
from tailor.data.item_dates import with_dates
from tailor.data.item_metadata import ItemMetadata
from tailor.data.item_times import ItemTimes
from tailor.data.user_texts import UserTexts
from tailor.datasets import AdapterDataset, EmbeddingsDataset
from tailor.evaluation import chosen
from tailor.evaluation.protocol import TestRows, test_protocol
from tailor.evaluation.ranking import LazyTables
from tailor.hybrid import refit
from tailor.hybrid.scorer import by_encoder, scorer_of
from tailor.lm.config import LMOptions
from tailor.lm.embeddings import Embeddings
from tailor.lm.peft import Adapter
from tailor.models.base import FittedModel, TrainSet
from tailor.options import EvaluationOptions, FeatureEngineeringOptions, WordsOptions
from tailor.registry import check, describe, encoders, publish, track
from tailor.registry.encoders import Encoders
from tailor.serving.package import DOMAINS
from tailor.serving.recommender import VECTORS, Recommender
from tailor.serving.strengths import STRENGTHS, taken
from tailor.types import JsonObject, Parameters

Models = dict[str, FittedModel]
Arrays = dict[str, np.ndarray]


def describe_choice(
    frozen: Models,
    lora: Models,
    frozen_choice: JsonObject,
    lora_choice: JsonObject,
    balance: JsonObject,
    items: pd.DataFrame,
    name: str,
) -> JsonObject:
    """Write down what validation chose for the registered model."""
    options = {"hybrid_frozen": frozen_choice, "hybrid_lora": lora_choice}[name]
    return chosen.describe_choice(by_encoder(frozen, lora)[name], options, balance, list(domain_masks(items)))


def track_run(
    split: pd.DataFrame, fingerprint: dict[str, str], choice: JsonObject, model_name: str, **tables: pd.DataFrame
) -> JsonObject:
    """Log tables of all models, the dataset and what was chosen to the run that kedro-mlflow has opened."""
    return track.track(tables, split, fingerprint, choice, model_name)


def gather_metadata(
    items: pd.DataFrame, texts: pd.DataFrame, categories: pd.DataFrame, params: Parameters
) -> ItemMetadata:
    """Gather what serving tells and filters by, and how texts of items to come are written."""
    options = parse(FeatureEngineeringOptions, params, "feature_engineering")
    built, dated = ItemMetadata.build(items, texts[c.PIECES], categories), with_dates(items, options.dates)
    dates = {name: dated[name].to_numpy() for name in options.dates.columns}
    return replace(built, table=built.table.assign(**dates), text=options.text.model_dump(mode="json"))


def package_encoders(
    metadata: ItemMetadata,
    embeddings_frozen: Embeddings,
    embeddings_lora: Embeddings,
    adapter: Adapter,
    params: Parameters,
    lm: Parameters,
    words: Parameters,
    seed: int,
) -> Encoders:
    """Merge the adapter of the registered model's encoder, distil its token table; read items for words."""
    options, encoder = parse(EvaluationOptions, params, "evaluation"), parse(LMOptions, lm, "lm_finetuning").encoder
    tuned = options.registered == "hybrid_lora"
    embeddings = embeddings_lora if tuned else embeddings_frozen
    packaged = encoders.package_encoders(
        metadata, adapter if tuned else None, embeddings.whitening, encoder, options.student_tokens, seed
    )
    vectors = {name: centre.tolist() for name, centre in embeddings.centres.items()}
    reader = encoders.read_items(metadata, parse(WordsOptions, words, "words"), packaged.encoder_of)
    return replace(packaged, word_reader=reader, vectors=vectors)


def describe_recommender(
    metadata: ItemMetadata, feature_encoders: JsonObject, balance: JsonObject, project: Parameters
) -> JsonObject:
    """Write down what a recommender knows of itself: tags, scenarios, how texts, profiles and contexts are read."""
    options = parse(EvaluationOptions, project["evaluation"], "evaluation")
    return publish.about(options, project, metadata.text, feature_encoders, balance)


def build_evaluated(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    about: JsonObject,
    **known: Unpack[TestRows],
) -> Recommender:
    """Join the scorer that was measured with ids and the histories that test lists stand on."""
    return Recommender(
        model=by_encoder(frozen, lora)[about["model"]],
        users=IdMap(users[c.USER]),
        items=IdMap(items[c.ITEM]),
        histories=test_protocol(items, **known).histories,
        tie_rank=tie_ranks(about["seed"], items[c.ITEM]),
        about=about | {publish.FIT_ON: about[publish.EVALUATED_FIT_ON], DOMAINS: list(domain_masks(items))},
    )


def gather_all(
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    feature_encoders: JsonObject,
    user_texts: Arrays,
    late_user_texts: Arrays,
    params: Parameters,
    seed: int,
) -> TrainSet:
    """Gather every interaction and all that users wrote, for the model that is handed over."""
    options = parse(DataProcessingOptions, params, "data_processing")
    texts = UserTexts.join([UserTexts.from_arrays(part) for part in (user_texts, late_user_texts)])
    return refit.gather_all(interactions, users, items, feature_encoders, options, seed, texts)


def gather_blocked(interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> sparse.csr_matrix:
    """Gather every pair that is blocked, whenever it was, for the model that is handed over."""
    return blocked_pairs(strength_matrix(interactions, users, items, c.LABELS), (len(users), len(items)))


def refit_recommender(
    evaluated: Recommender,
    all_interactions: TrainSet,
    interactions: pd.DataFrame,
    blocked: sparse.csr_matrix,
    metadata: ItemMetadata,
    packaged: Encoders,
) -> Recommender:
    """Fit the measured recipe on every interaction; join it with all histories, texts and encoders: what is served."""
    return replace(
        evaluated,
        model=refit.refit(scorer_of({"hybrid": evaluated.model}), all_interactions),
        histories=all_interactions.queries(),
        blocked=blocked if blocked.nnz else None,
        about=evaluated.about
        | {publish.FIT_ON: publish.ALL}
        | ({VECTORS: packaged.vectors} if packaged.vectors else {}),
        metadata=metadata,
        encoder_of=packaged.encoder_of,
        student=packaged.student,
        word_reader=packaged.word_reader,
        item_times=ItemTimes.of(
            taken(interactions, evaluated.about.get(STRENGTHS, {}), evaluated.event_options.least), evaluated.items
        ),
    )


def register(
    recommender: Recommender,
    evaluated: Recommender,
    adapter: Adapter,
    embeddings: Embeddings,
    fingerprint: dict[str, str],
    tracked: JsonObject,
    model_name: str,
    params: Parameters,
) -> JsonObject:
    """Log the language model and both recommenders; register the refitted one, as champion if it is the first."""
    if adapter.is_tuned:
        with tempfile.TemporaryDirectory() as folder:
            AdapterDataset(filepath=f"{folder}/adapter").save(adapter)
            EmbeddingsDataset(filepath=f"{folder}/item_embeddings.safetensors").save(embeddings)
            publish.log_folder(Path(folder), "language_model")
    run_id = publish.log_evaluated(evaluated)
    weights = parse(EvaluationOptions, params, "evaluation").encoder_weights
    tags = fingerprint | {"git_commit": tracked["git_commit"], "run_id": run_id}
    operating_point = {"boosts": chosen.stated(scorer_of({"hybrid": recommender.model}).boosts)}
    return publish.register(recommender, model_name, weights, tags) | operating_point


def check_registered(
    registered: JsonObject,
    test_lists: LazyTables,
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    **known: Unpack[TestRows],
) -> JsonObject:
    """Prove that the measured model makes the run's lists, and that the registered one knows every interaction."""
    measured = check.check_evaluated(registered, test_lists, users, items, test_protocol(items, **known))
    return measured | check.check_registered(registered, interactions)


def describe_version(registered: JsonObject, tracked: JsonObject, params: Parameters, **tables: pd.DataFrame) -> str:
    """Log the headline figures with the registered model, and write its card; ``tables`` are those of ``Measured``."""
    options = parse(EvaluationOptions, params, "evaluation")
    measured = describe.Measured(k=max(options.k), max_users=options.max_users, **tables)
    return describe.describe(registered, tracked["dataset"], measured)
