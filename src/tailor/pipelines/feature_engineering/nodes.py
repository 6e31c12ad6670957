"""Nodes of ``feature_engineering``."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.interactions import binary, keep_items, split_matrix, trainable_items
from tailor.data.side_features import FeatureEncoder, SideFeatures
from tailor.data.text import add_reviews, item_categories, join_pieces, pack_pieces, write_pieces
from tailor.models.ials import PlainIALS
from tailor.options import FeatureEngineeringOptions, SplitOptions


def _options(params: dict[str, Any]) -> FeatureEngineeringOptions:
    return parse(FeatureEngineeringOptions, params, "feature_engineering")


def keep_train(interactions: pd.DataFrame) -> pd.DataFrame:
    """Keep the train rows: texts are written from these alone."""
    return interactions[interactions[c.SPLIT] == c.TRAIN]


def write_item_texts(
    items: pd.DataFrame, interactions: pd.DataFrame, params: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the text of every item, with what users wrote on train rows, and list the categories of every item."""
    o = _options(params).text
    pieces = write_pieces(items, o.item_template, o.missing, "feature_engineering.text.item_template")
    pieces = add_reviews(pieces, items, interactions, o)
    texts = pd.DataFrame({c.ITEM: items[c.ITEM], c.TEXT: join_pieces(pieces), c.PIECES: pack_pieces(pieces)})
    return texts, item_categories(items, o.categories, o.missing)


def encode_side_features(
    users: pd.DataFrame, items: pd.DataFrame, interactions: pd.DataFrame, params: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Turn what is told of users and moments into numbers; return them and how to do it again."""
    o, train = _options(params), keep_train(interactions)
    missing, where = o.text.missing, "feature_engineering"
    of_users = FeatureEncoder.learn(users[users[c.N_TRAIN] > 0], o.profile, missing, f"{where}.profile")
    of_moments = FeatureEncoder.learn(train, o.context, missing, f"{where}.context")
    told = SideFeatures.gather((of_users, of_moments), users, items, interactions)
    return told.arrays(), {"profile": of_users.state(), "context": of_moments.state()}


def build_matrices(
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    order: sparse.csr_matrix,
    split: dict[str, Any],
) -> tuple[sparse.csr_matrix, ...]:
    """Turn each split into a sparse matrix, in the order of ``columns.SPLITS``.

    Values of train and validation rows are places in the user's order where the catalogue has times and the split
    keeps to them, else 1.
    """
    found = {label: split_matrix(interactions, users, items, label, label == c.NEW_USER) for label in c.SPLITS}
    if c.TIMESTAMP in interactions and parse(SplitOptions, split, "data_processing.split").strategy != "random":
        found |= {label: sparse.csr_matrix(order.multiply(found[label])) for label in (c.TRAIN, c.VALIDATION)}
    return tuple(found[label] for label in c.SPLITS)


def order_histories(interactions: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> sparse.csr_matrix:
    """Number each user's train and validation rows in their order, from 1."""
    known = interactions[interactions[c.SPLIT].isin([c.TRAIN, c.VALIDATION])]
    return split_matrix(known.assign(**{c.SPLIT: c.TRAIN}), users, items, c.TRAIN, positions=True)


def fit_teacher(
    train: sparse.csr_matrix, items: pd.DataFrame, params: dict[str, Any], seed: int
) -> dict[str, np.ndarray]:
    """Fit the iALS whose user factors teach the language model; it sees neither pseudo-cold sample."""
    trainable = trainable_items(items)
    seen = binary(keep_items(train, trainable))
    teacher = PlainIALS(_options(params).teacher, seed).fit(seen, trainable)
    return {
        "user_factors": teacher.fold_in(seen).astype(np.float32),
        "item_factors": teacher.item_factors.astype(np.float32),
    }
