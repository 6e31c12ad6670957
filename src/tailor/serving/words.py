"""What words are worth to items, and how they are weighed against a history."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailor.data.item_metadata import ItemMetadata
from tailor.models.base import Floats
from tailor.serving.intent import Intent
from tailor.serving.intent.meaning import EncodesTexts, Meaning, ReadsDomains

__all__ = ["EncodesTexts", "ReadsDomains", "WordScores", "in_categories", "score_words"]

#: Standard deviations that an item gains by having all categories that a query names, or is about.
_CATEGORY_GAIN, _ABOUT_GAIN = 4.0, 3.0
#: Standard deviations that an item loses by a category that is wanted less, or by being about what is negated.
_SOFT_LOSS, _NEGATED_LOSS = 2.0, 2.0
#: Share of the items that may go because their text says what is ruled out; were it more, they are only moved down.
_MOST_NAMING = 0.5
#: Least share of a text's categories that is told.
_LEADING = 0.25
#: A history of n items weighs n / (n + _EVIDENCE) beside a query.
_EVIDENCE = 5.0
#: What popularity weighs where there is a query and no history.
_PRIOR = 0.3
#: How far a user's best score may stand above the mean, in standard deviations, beside a query. Where most items were
#: taken once or never, the most popular one is 35 above it, and no text comes near that.
_HIGHEST = 7.0
#: What nearness of an item's own text weighs beside the categories.
_NEARNESS = 0.5


@dataclass(frozen=True)
class WordScores:
    """What one query says of every item."""

    parsed: Intent
    query_score: Floats
    """In standard deviations (n_items,)."""
    excluded: NDArray[np.bool_]
    """Items of negated categories, of texts that say what is ruled out, of titles named, and outside the bounds
    (n_items,)."""
    understood: bool = True
    """Whether anything was; else the list is what it would be without words."""
    about: tuple[int, ...] = ()
    """Categories that the text is about without naming them."""
    text_counts: bool = True
    """Whether the text, names aside, is about any category."""
    encoder: EncodesTexts | None = None
    """What read the text."""
    excluded_phrases: tuple[str, ...] = ()
    """What items were excluded by because their text says it, as it was asked for."""

    @property
    def asks_for_something(self) -> bool:
        """Whether anything is wanted, not only ruled out or bounded."""
        return bool(
            self.parsed.categories or self.parsed.about or self.parsed.like or (self.parsed.text and self.text_counts)
        )

    def blended(self, scores: Floats, n_history: int) -> Floats:
        """Return one row of scores (n_items,) with the query weighed in; a longer history weighs more."""
        standardised = (scores - scores.mean()) / max(float(scores.std()), 1e-6)
        share = np.float32(self.share(n_history, float(standardised.max())))
        return np.asarray(self.query_score + share * standardised, dtype=np.float32)

    def share(self, n_history: int, highest: float) -> float:
        """Return what a user's own standardised score weighs beside the query.

        Args:
            n_history: items of the user's history.
            highest: the highest of these scores; where it is above 7, all weigh less, so that it counts as 7. What is
                only bounded has nothing to weigh them against: they are 1.
        """
        if not self.asks_for_something and not self.query_score.any():
            return 1.0
        share = n_history / (n_history + _EVIDENCE) if n_history else _PRIOR
        return (share if self.asks_for_something else 1.0) * min(1.0, _HIGHEST / max(highest, 1e-6))


def score_words(
    parsed: Intent,
    encoder: EncodesTexts,
    features: Floats,
    metadata: ItemMetadata,
    meaning: Meaning | None = None,
    alike: Floats | None = None,
) -> WordScores:
    """Score every item against a query: nearness to what is wanted, its categories, distance to what is negated.

    Args:
        parsed: the query.
        encoder: of its words.
        features: embeddings of the items (n_items, m).
        metadata: their categories.
        meaning: tells which categories a text is about; None: none, and every text is understood.
        alike: how near every item is to the titles that are named as examples (n_items,); None: none are.
    """
    phrases = [parsed.text, *parsed.negated, *parsed.softened]
    score = np.zeros(len(features), np.float32)
    rows = _encoded(phrases, encoder, features.shape[1])
    cosine = features[:, : rows.shape[1]] @ rows.T
    shares, about = _read(phrases, rows, cosine, meaning, encoder)
    counts = bool(parsed.text) and bool(about[0])
    of_text = _with_keywords(shares[0], parsed.about, metadata)
    nearness = (cosine - cosine.mean(axis=0)) / np.maximum(cosine.std(axis=0), 1e-6)
    score += np.float32(_NEARNESS) * nearness[:, 0] if counts else 0
    n_negated = len(parsed.negated)
    for weight, first, behind in ((1.0, 1, 1 + n_negated), (0.5, 1 + n_negated, len(phrases))):
        if behind > first:
            score -= np.float32(weight) * np.maximum(nearness[:, first:behind], 0).max(axis=1)
            of_negated = _of_shares(metadata, shares[first:behind].max(axis=0))
            score -= np.float32(weight * _NEGATED_LOSS) * of_negated
    if parsed.categories:
        score += np.float32(_CATEGORY_GAIN) * _of_shares(metadata, _even(parsed.categories, shares.shape[1], metadata))
    else:
        score += np.float32(_ABOUT_GAIN) * _of_shares(metadata, of_text)
    if parsed.softer_categories:
        score -= np.float32(_SOFT_LOSS) * in_categories(metadata, parsed.softer_categories)
    if alike is not None:
        score += (alike - alike.mean()) / max(float(alike.std()), 1e-6)
    named, phrases_of_named = _named(parsed, metadata)
    structured = parsed.is_structured or bool(named.any())
    understood = structured or bool(np.any(about & np.array([bool(phrase) for phrase in phrases])))
    leading = () if parsed.categories else tuple(np.flatnonzero(of_text >= _LEADING).tolist())
    excluded = named | _excluded(parsed, metadata)
    return WordScores(parsed, score, excluded, understood, leading, counts, encoder, phrases_of_named)


def _with_keywords(shares: Floats, about: tuple[int, ...], metadata: ItemMetadata) -> Floats:
    """Return the mean of a text's shares and those of its keywords (C,), where it has both."""
    if not about:
        return shares
    of_keywords = np.bincount(about, minlength=metadata.category_matrix.shape[1]).astype(np.float32) / len(about)
    return np.asarray((shares + of_keywords) / 2 if shares.any() else of_keywords, dtype=np.float32)


def _encoded(phrases: list[str], encoder: EncodesTexts, width: int) -> Floats:
    """Return one row per phrase (n, m), at most ``width`` wide; an empty phrase is a row of zeros, near to nothing."""
    filled = [place for place, phrase in enumerate(phrases) if phrase]
    if not filled:
        return np.zeros((len(phrases), width), np.float32)
    texts = encoder.encode([phrases[place] for place in filled])
    rows = np.zeros((len(phrases), texts.shape[1]), np.float32)
    rows[filled] = texts
    return rows


def _read(
    phrases: list[str], rows: Floats, cosine: Floats, meaning: Meaning | None, encoder: EncodesTexts
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the shares of categories in each phrase (n, C), and whether it says anything of the catalogue (n,).

    Phrases are encoded anew only where descriptions have an encoder of their own.
    """
    if meaning is None or not any(phrases):
        return np.zeros((len(phrases), 0), np.float32), np.ones(len(phrases), dtype=bool)
    if meaning.encoder is encoder:
        shares, about = meaning.read_rows(rows)
    else:
        shares, about = meaning.read([phrase or "." for phrase in phrases])
    return shares, about | meaning.near_items(cosine)


def _even(categories: tuple[int, ...], width: int, metadata: ItemMetadata) -> Floats:
    shares = np.zeros(max(width, metadata.category_matrix.shape[1]), np.float32)
    shares[list(categories)] = 1 / len(categories)
    return shares


def _of_shares(metadata: ItemMetadata, shares: Floats) -> Floats:
    """Return the sum of the shares of each item's categories (n_items,)."""
    if not len(shares):
        return np.zeros(metadata.category_matrix.shape[0], np.float32)
    return np.asarray(metadata.category_matrix @ shares, dtype=np.float32).ravel()


def _excluded(parsed: Intent, metadata: ItemMetadata) -> NDArray[np.bool_]:
    excluded = in_categories(metadata, parsed.excluded_categories)
    excluded[[*parsed.like, *parsed.unlike]] = True
    if parsed.filters:
        excluded |= ~metadata.matching(parsed.filters)
    return excluded


def _named(parsed: Intent, metadata: ItemMetadata) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Mark the items (n_items,) whose text says what is ruled out, and name what; none where that is most of them."""
    named, excluded_by = np.zeros(len(metadata.table), dtype=bool), []
    for phrases in parsed.excluded_phrases:
        for phrase in phrases:
            saying = metadata.saying(phrase)
            if saying.any():
                named |= saying
                excluded_by.append(phrase)
                break
    return (named, tuple(excluded_by)) if named.mean() <= _MOST_NAMING else (np.zeros_like(named), ())


def in_categories(metadata: ItemMetadata, categories: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the items (n_items,) that have any of some categories."""
    if not categories:
        return np.zeros(metadata.category_matrix.shape[0], dtype=bool)
    return np.asarray(np.asarray(metadata.category_matrix[:, list(categories)].sum(axis=1)).ravel() > 0)
