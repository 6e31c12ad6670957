"""Why an item is on a list: exact shares of its score, by source and, for the factors, by history item."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Explains, ImputesColdItems, Indices, Query, Rebases, ScoresTexts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """Of one user's scores for some items; rows are items."""

    items: Indices
    """Internal ids (k,)."""
    sources: dict[str, Floats]
    """Weighted standardised scores (k,) by source."""
    other: Floats
    """What is not a source's: cold shift, boosts, popularity bias, interaction terms (k,)."""
    history: Indices
    """Internal ids of the user's items (h,)."""
    by_history: Floats
    """Shares of a source's score by history item (k, h), of the first source whose scores are sums over the history."""

    @property
    def score(self) -> Floats:
        """The sum of all parts (k,)."""
        return np.asarray(sum(self.sources.values()) + self.other)


def explain(scorer: HybridScorer, query: Query, items: Indices) -> Explanation:
    """Take the scores of one user apart.

    Args:
        scorer: a fitted hybrid.
        query: of one user.
        items: internal ids of what to explain (k,).
    """
    scores, z = scorer.scored(query)
    weights = scorer.source_weights(query, items[None])[0]
    sources = {
        name: weights[:, place] * z[place][0, items].astype(np.float64)
        for place, name in enumerate(scorer.source_names)
    }
    other = scores[0, items].astype(np.float64) - sum(sources.values())
    order = np.argsort(query.weights.indices, kind="stable")
    history = query.weights.indices[order].astype(np.int64)
    exact = next((model for model in scorer.sources.values() if isinstance(model, Explains)), None)
    shares = np.zeros((len(items), len(history))) if exact is None else exact.history_shares(query, items)[:, order]
    return Explanation(items, sources, other, history, shares)


def text_scores(
    scorer: HybridScorer, query: Query, items: Indices, features: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the part of one user's scores (r,) that texts decide, if the items (r,) had the texts ``features`` (r, m).

    That is what sources make of the text itself; and of an item without interactions what is imputed: a(e)·s, s the
    scores of the landmarks.
    """
    raw = {name: model.score(query) for name, model in scorer.sources.items()}
    weights, total = scorer.source_weights(query, items[None])[0], np.zeros(len(items))
    for place, name in enumerate(scorer.source_names):
        if SOURCES[name].text_dependent:
            scale = weights[:, place] / scorer.mean_and_deviation(raw[name])[1].item()
            total += scale * _of_texts(scorer, query, raw, name, items, features)
    return total


def _of_texts(
    scorer: HybridScorer,
    query: Query,
    raw: Mapping[str, NDArray[np.float32]],
    name: str,
    items: Indices,
    features: NDArray[np.float32],
) -> Floats:
    """Return what one source makes of texts (r,), before it is standardised; ``raw``: scores (1, n_items) by source."""
    model, of_texts = scorer.sources[name], np.zeros(len(items))
    if isinstance(model, ScoresTexts):
        of_texts[:] = model.score_texts(query, features)[0]
        return of_texts
    cold = ~scorer.warm[items]
    if isinstance(model, (ImputesColdItems, Rebases)) and cold.any():
        landmarks = raw[SOURCES[name].derived_from or name][:, scorer.imputer.landmarks]
        of_texts[cold] = scorer.imputer.predict(features[cold], landmarks.T)[:, 0]
    return of_texts
