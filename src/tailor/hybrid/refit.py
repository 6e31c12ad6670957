"""The recipe that validation chose, fitted on every interaction: what is handed over.

Sources, kernel and popularity are fitted anew; blend weights, operating point and click head stay as validation chose
them, and so do the embeddings. How far boosts reach is stated for the new users and items.
"""

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.data.buckets import tail_items
from tailor.data.config import DataProcessingOptions
from tailor.data.domains import domain_numbers
from tailor.data.interactions import (
    knows_order,
    order_matrix,
    positive_rows,
    restrict_strengths,
    split_matrix,
    strength_matrix,
)
from tailor.data.side_features import FeatureEncoder, SideFeatures
from tailor.data.user_texts import UserTexts
from tailor.hybrid.operating_point import reaching
from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import Contexts, TrainSet
from tailor.types import JsonObject


def gather_all(
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    encoders: JsonObject,
    options: DataProcessingOptions,
    seed: int,
    user_texts: UserTexts | None = None,
) -> TrainSet:
    """Gather every interaction, whatever its split: nobody is new, and only what nobody has taken is cold.

    Args:
        interactions: with split labels; blocked ones are left out.
        users: the user table.
        items: the item table.
        encoders: states of the encoders ``profile`` and ``context``.
        options: of the split, and the share of the interactions that the head holds.
        seed: of ties between equally popular items.
        user_texts: all that users wrote; None: nothing.
    """
    interactions = positive_rows(interactions)
    matrix = split_matrix(interactions, users, items, c.LABELS)
    ordered = knows_order(interactions, options.split.strategy)
    order = order_matrix(interactions, users, items, c.LABELS) if ordered else None
    counts = np.bincount(matrix.indices, minlength=len(items)).astype(np.int64)
    of_users, of_contexts = (FeatureEncoder.from_state(encoders[name]) for name in ("profile", "context"))
    side = SideFeatures.gather((of_users, of_contexts), users, items, interactions, c.LABELS)
    strengths = strength_matrix(interactions, users, items, c.LABELS)
    return (
        TrainSet.of(
            matrix,
            counts > 0,
            order=order,
            confidence=restrict_strengths(strengths, matrix),
            tail=tail_items(counts, items, options.head_share, seed),
            profiles=side.profiles,
            contexts=Contexts(side.context_users, side.context_items, side.contexts),
        )
        .with_user_texts(user_texts or UserTexts.none())
        .with_domains(domain_numbers(items))
    )


def refit(scorer: HybridScorer, data: TrainSet) -> HybridScorer:
    """Fit a scorer's recipe on other interactions, with the texts that it knows.

    Args:
        scorer: the recipe, and the embeddings of the items' texts.
        data: what is learnt from; its items are those of the scorer.
    """
    final = scorer.recipe.fit(data.with_features(scorer.item_features))
    return final.with_boosts(reaching(final, data.queries()))
