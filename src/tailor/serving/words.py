"""What words are worth to items, and how they are weighed against a history."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tailor.data.item_metadata import ItemMetadata
from tailor.models.base import Floats
from tailor.serving.query import ParsedQuery

#: Standard deviations that an item gains by having all categories that a query names.
_CATEGORY_GAIN = 4.0
#: A history of n items weighs n / (n + _EVIDENCE) beside a query.
_EVIDENCE = 5.0
#: What popularity weighs where there is a query and no history.
_PRIOR = 0.15


class EncodesTexts(Protocol):
    """From texts to rows of the catalogue's embedding space."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return L2-normalised rows (n, m)."""
        ...


@dataclass(frozen=True)
class WordScores:
    """What one query says of every item."""

    parsed: ParsedQuery
    query_score: Floats
    """In standard deviations (n_items,)."""
    excluded: NDArray[np.bool_]
    """Items of negated categories (n_items,)."""

    def blended(self, scores: Floats, n_history: int) -> Floats:
        """Return one row of scores (n_items,) with the query weighed in; a longer history weighs more."""
        standardised = (scores - scores.mean()) / max(float(scores.std()), 1e-6)
        share = n_history / (n_history + _EVIDENCE) if n_history else _PRIOR
        return np.asarray(self.query_score + np.float32(share) * standardised, dtype=np.float32)


def score_words(parsed: ParsedQuery, encoder: EncodesTexts, features: Floats, metadata: ItemMetadata) -> WordScores:
    """Score every item against a query: nearness to what is wanted, its categories, distance to what is negated.

    Args:
        parsed: the query.
        encoder: of its words.
        features: embeddings of the items (n_items, m).
        metadata: their categories.
    """
    phrases = [parsed.text or " ".join(parsed.negated), *parsed.negated]
    texts = encoder.encode(phrases)
    nearness = features[:, : texts.shape[1]] @ texts.T
    nearness = (nearness - nearness.mean(axis=0)) / np.maximum(nearness.std(axis=0), 1e-6)
    score = nearness[:, 0] if parsed.text else np.zeros(len(nearness), np.float32)
    if parsed.categories:
        share = np.asarray(metadata.category_matrix[:, list(parsed.categories)].mean(axis=1)).ravel()
        score = score + np.float32(_CATEGORY_GAIN) * share.astype(np.float32)
    if parsed.negated:
        score = score - np.maximum(nearness[:, 1:], 0).max(axis=1)
    return WordScores(parsed, score, in_categories(metadata, parsed.excluded_categories))


def in_categories(metadata: ItemMetadata, categories: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the items (n_items,) that have any of some categories."""
    if not categories:
        return np.zeros(metadata.category_matrix.shape[0], dtype=bool)
    return np.asarray(np.asarray(metadata.category_matrix[:, list(categories)].sum(axis=1)).ravel() > 0)
