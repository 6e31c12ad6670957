"""The recipe that validation chose, fitted on every interaction: what is handed over.

Sources, kernel and popularity are fitted anew; blend weights, operating point and click head stay as validation chose
them, and so do the embeddings.
"""

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.data.buckets import head_items
from tailor.data.hashing import seeded_hash
from tailor.data.interactions import order_matrix, split_matrix
from tailor.data.side_features import FeatureEncoder, SideFeatures
from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import Contexts, Mask, TrainSet
from tailor.types import JsonObject


def gather_all(
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    encoders: JsonObject,
    *,
    ordered: bool,
    head_share: float,
    seed: int,
) -> TrainSet:
    """Gather every interaction, whatever its split: nobody is new, and only what nobody has taken is cold.

    Args:
        interactions: with split labels.
        users: the user table.
        items: the item table.
        encoders: states of the encoders ``profile`` and ``context``.
        ordered: whether models are told the order of a user's interactions.
        head_share: share of the interactions that the head holds.
        seed: of ties between equally popular items.
    """
    matrix = split_matrix(interactions, users, items, c.SPLITS)
    order = order_matrix(interactions, users, items, c.SPLITS) if ordered else None
    counts = np.bincount(matrix.indices, minlength=len(items)).astype(np.int64)
    of_users, of_contexts = (FeatureEncoder.from_state(encoders[name]) for name in ("profile", "context"))
    side = SideFeatures.gather((of_users, of_contexts), users, items, interactions, c.SPLITS)
    return TrainSet.of(
        matrix,
        counts > 0,
        order=order,
        tail=_tail(counts, items, head_share, seed),
        profiles=side.profiles,
        contexts=Contexts(side.context_users, side.context_items, side.contexts),
    )


def _tail(counts: np.ndarray, items: pd.DataFrame, head_share: float, seed: int) -> Mask:
    head = head_items(counts, seeded_hash(seed, items[c.ITEM]), head_share)
    return np.asarray((counts > 0) & ~head)


def refit(scorer: HybridScorer, data: TrainSet) -> HybridScorer:
    """Fit a scorer's recipe on other interactions, with the texts that it knows.

    Args:
        scorer: the recipe, and the embeddings of the items' texts.
        data: what is learnt from; its items are those of the scorer.
    """
    return scorer.recipe.fit(data.with_features(scorer.item_features))
