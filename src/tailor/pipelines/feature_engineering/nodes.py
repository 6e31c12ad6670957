"""Nodes of ``feature_engineering``."""

import logging

import numpy as np
import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data import user_texts
from tailor.data.config import SplitOptions
from tailor.data.interactions import (
    empty_rows,
    keep_items,
    knows_order,
    order_matrix,
    restrict_strengths,
    split_matrix,
    strength_matrix,
    trainable_items,
)
from tailor.data.side_features import FeatureEncoder, SideFeatures
from tailor.data.text import (
    add_reviews,
    constant_columns,
    item_categories,
    join_pieces,
    pack_pieces,
    refuse_empty_texts,
    write_pieces,
)
from tailor.models.base import TrainSet
from tailor.models.ials import IALS
from tailor.options import FeatureEngineeringOptions
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)
_TEMPLATE = "feature_engineering.text.item_template"


def _options(params: Parameters) -> FeatureEngineeringOptions:
    return parse(FeatureEngineeringOptions, params, "feature_engineering")


def keep_train(interactions: pd.DataFrame) -> pd.DataFrame:
    """Keep the train rows: texts are written from these alone."""
    return interactions[interactions[c.SPLIT] == c.TRAIN]


def write_item_texts(
    items: pd.DataFrame, interactions: pd.DataFrame, params: Parameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the text of every item, with what users wrote on train rows, and list the categories of every item."""
    options, user_text = _options(params).text, _options(params).user_text
    pieces = write_pieces(items, options.item_template, options.missing, _TEMPLATE)
    pieces = add_reviews(pieces, items, interactions, options, user_text)
    texts = pd.DataFrame({c.ITEM: items[c.ITEM], c.TEXT: join_pieces(pieces), c.PIECES: pack_pieces(pieces)})
    refuse_empty_texts(texts[c.TEXT], items, options.item_template, _TEMPLATE)
    for name, cell in constant_columns(items, options.item_template, options.missing).items():
        log.warning("%s: column '%s' is %r for all %d items: it tells no two apart", _TEMPLATE, name, cell, len(items))
    return texts, item_categories(items, options.categories, options.missing)


def write_user_texts(
    users: pd.DataFrame, items: pd.DataFrame, interactions: pd.DataFrame, params: Parameters
) -> pd.DataFrame:
    """List what users wrote, each text with whether it speaks for what it is about."""
    options = _options(params)
    return user_texts.write_user_texts(users, items, interactions, options.user_text, options.text.missing)


def encode_side_features(
    users: pd.DataFrame, items: pd.DataFrame, interactions: pd.DataFrame, params: Parameters
) -> tuple[dict[str, np.ndarray], JsonObject]:
    """Turn what is known of users and moments into numbers; return them and how to do it again."""
    options, train = _options(params), keep_train(interactions)
    missing, where = options.text.missing, "feature_engineering"
    of_users = FeatureEncoder.fit(users[users[c.N_TRAIN] > 0], options.profile, missing, f"{where}.profile")
    of_contexts = FeatureEncoder.fit(train, options.context, missing, f"{where}.context")
    features = SideFeatures.gather((of_users, of_contexts), users, items, interactions)
    return features.arrays(), {"profile": of_users.state(), "context": of_contexts.state()}


def build_matrices(
    interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame
) -> tuple[sparse.csr_matrix, ...]:
    """Turn each split into a 0/1 matrix, in the order of ``columns.SPLITS``."""
    return tuple(split_matrix(interactions, users, items, [label]) for label in c.SPLITS)


def order_histories(
    interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, split: Parameters
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Number each user's known rows in their order, for models and for revealing the items of new users.

    Models are told an order where the catalogue has times that differ and the split keeps to them; else theirs is
    empty. New users always reveal their items in some order; who is new to one domain alone reveals none there.
    """
    new = users.loc[users[c.BUCKET] == "new", c.USER]
    revealed = interactions[(interactions[c.SPLIT] != c.NEW_USER) | interactions[c.USER].isin(new)]
    reveal = order_matrix(revealed, users, items, (c.TRAIN, c.VALIDATION, c.NEW_USER))
    ordered = knows_order(interactions, parse(SplitOptions, split, "data_processing.split").strategy)
    return reveal if ordered else empty_rows(*reveal.shape), reveal


def weigh_histories(interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> sparse.csr_matrix:
    """Say how sure each known pair is, and which are blocked; empty where kinds of behaviour are not told apart."""
    return strength_matrix(interactions, users, items, (c.TRAIN, c.VALIDATION, c.NEW_USER, c.BLOCKED))


def fit_teacher(
    train: sparse.csr_matrix, strengths: sparse.csr_matrix, items: pd.DataFrame, params: Parameters, seed: int
) -> dict[str, np.ndarray]:
    """Fit the iALS whose user factors teach the language model; it sees neither pseudo-cold sample."""
    trainable = trainable_items(items)
    seen = keep_items(train, trainable)
    data = TrainSet.of(seen, trainable, confidence=restrict_strengths(strengths, seen))
    teacher = IALS(_options(params).teacher, seed).fit(data)
    return {
        "user_factors": teacher.fold_in(data.weights).astype(np.float32),
        "item_factors": teacher.item_factors.astype(np.float32),
    }
