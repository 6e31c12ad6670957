"""Explanations of a served list: shares by source, by history item, and by what is written about the item."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tailor.errors import BadInputError
from tailor.hybrid.explain import Explanation, explain, text_scores
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.models.base import FittedModel, Floats, Indices, Query
from tailor.types import JsonObject

if TYPE_CHECKING:
    from tailor.serving.recommender import Recommender
    from tailor.serving.words import WordScores

#: Items of a list that are explained, history items named per item.
MAX_EXPLAINED, _NAMED = 20, 5
#: Parts of a query that are left out, one at a time; of a longer one each part is several words.
_MOST_LEFT_OUT = 8
#: Decimals of what is shown: a sum of twenty parts is exact to 1e-5.
_DECIMALS = 6


def explain_list(
    recommender: "Recommender",
    model: FittedModel,
    query: Query,
    listed: Indices,
    scores: Floats,
    words: "WordScores | None",
    share: float | None,
) -> list[JsonObject]:
    """Explain the first ``MAX_EXPLAINED`` items of one list; docs/pipelines/inference.md says what each key holds.

    ``words`` is how much of the text-dependent score goes with each piece of the item's text: the piece left out,
    encoded anew; ``item_parts`` the same of the text and of each vector of a new item, ``says_most`` the part it loses
    most without; ``query`` what each word of the query adds: the word left out, of a long query a few words at a time.

    Args:
        recommender: ids, texts and the encoder.
        model: at the operating point that the list was made at.
        query: of one user.
        listed: internal ids (k,).
        scores: as the list shows them (k,).
        words: what the request's words say of the items; None where there are none.
        share: what the user's own score weighs beside words; None where there are none.

    Raises:
        BadInputError: the model's scores cannot be taken apart.
    """
    if not isinstance(model, HybridScorer):
        raise BadInputError(f"explain: the model '{model.recipe.name}' cannot be taken apart, only the hybrid can")
    items = listed[:MAX_EXPLAINED]
    if not len(items):
        return []
    explanation = explain(model, query, items)
    if share is not None:
        explanation = explanation.beside_words(scores[:MAX_EXPLAINED], share)
    entries = [_entry(recommender, explanation, place) for place in range(len(items))]
    for entry, by_part in zip(entries, _by_part(recommender, model, query, items), strict=True):
        if by_part:
            entry |= {"item_parts": by_part, "says_most": max(by_part, key=lambda name: by_part[name])}
    if recommender.encoder_of is not None and recommender.metadata is not None:
        for entry, by_piece in zip(entries, _by_piece(recommender, model, query, items), strict=True):
            entry["words"] = by_piece
        if words is not None:
            for entry, by_word in zip(entries, _by_word(recommender, items, words), strict=True):
                entry["query"] = by_word
    return entries


def _entry(recommender: "Recommender", explanation: Explanation, place: int) -> JsonObject:
    """Return one item's parts, the history items with the largest shares, and those that it is listed because of."""
    entry: JsonObject = {
        "sources": {name: _rounded(values[place]) for name, values in explanation.sources.items()},
        "parts": {name: _rounded(values[place]) for name, values in explanation.parts.items()},
        "history": _largest(recommender, explanation, explanation.of_history[place]),
        "history_share": _rounded(explanation.history_share[place]),
    }
    if explanation.left_out:
        shares = np.sum([shares[place] for shares in explanation.left_out.values()], axis=0)
        entry["left_out"] = {"estimated": True, "history": _largest(recommender, explanation, shares)}
    because = explanation.because_of(place)
    if len(because):
        source = explanation.history_source(place)
        entry["because_of"] = {
            "items": recommender.items.ids[explanation.history[because]].tolist(),
            "source": source,
            "reason": SOURCES[source].reason,
            "estimated": not explanation.by_history,
        }
    return entry


def _rounded(value: float) -> float:
    return round(float(value), _DECIMALS)


def _largest(recommender: "Recommender", explanation: Explanation, shares: NDArray[np.float64]) -> dict[str, float]:
    """Return the largest shares (h,) by the id of the history item."""
    largest = np.argsort(-np.abs(shares), kind="stable")[:_NAMED]
    names = recommender.items.ids[explanation.history[largest]]
    return {str(name): _rounded(share) for name, share in zip(names, shares[largest], strict=True)}


def _by_piece(recommender: "Recommender", model: HybridScorer, query: Query, items: Indices) -> list[dict[str, float]]:
    """Leave each piece of each item's text out: what its text-dependent score loses."""
    pieces = [recommender.known_metadata.pieces[item] for item in items]
    whole = [". ".join(row) for row in pieces]
    less = [". ".join(row[:piece] + row[piece + 1 :]) for row in pieces for piece in range(len(row))]
    owner = np.concatenate([np.arange(len(pieces)), np.repeat(np.arange(len(pieces)), [len(row) for row in pieces])])
    domains = recommender.domains_of(items[owner]) or [""] * len(owner)
    texts = list(zip(domains, [*whole, *less], strict=True))
    row_of = {text: row for row, text in enumerate(sorted(set(texts)))}
    of_domains, of_items = zip(*row_of, strict=True)
    features = recommender.encode_items(of_items, of_domains if any(of_domains) else ())
    features = features[[row_of[text] for text in texts]]
    if recommender.parts.names:
        none = np.zeros((0, 0), np.float32)
        features = recommender.parts.join(features, none, recommender.item_features[items[owner]])
    scores = text_scores(model, query, items[owner], features)
    of_less = iter(scores[len(pieces) :])
    return [
        {piece: round(float(score - next(of_less)), 4) for piece in row}
        for score, row in zip(scores[: len(pieces)], pieces, strict=True)
    ]


def _by_part(recommender: "Recommender", model: HybridScorer, query: Query, items: Indices) -> list[dict[str, float]]:
    """Leave each part (text, picture …) of each item without interactions out: what its score loses.

    Nothing is said of items with interactions, nor where embeddings are texts alone.
    """
    whole, by_item = recommender.item_features[items], [dict[str, float]() for _ in items]
    reduced = recommender.parts.without_each(whole)
    if not reduced:
        return by_item
    score = text_scores(model, query, items, whole)
    for name, features in reduced.items():
        losses = score - text_scores(model, query, items, features)
        there = (whole != features).any(axis=1) & ~model.warm[items]
        for place in np.flatnonzero(there):
            by_item[place][name] = round(float(losses[place]), 4)
    return by_item


def _by_word(recommender: "Recommender", items: NDArray[np.int64], words: "WordScores") -> list[dict[str, float]]:
    """Leave each part of the query out: what its cosine with each item loses; a part that comes again counts again."""
    tokens = words.parsed.text.split()
    if not tokens:
        return [{} for _ in items]
    bounds = np.linspace(0, len(tokens), min(len(tokens), _MOST_LEFT_OUT) + 1).round().astype(int).tolist()
    parts = [" ".join(tokens[start:end]) for start, end in pairwise(bounds)]
    less = [" ".join(tokens[:start] + tokens[end:]) or "." for start, end in pairwise(bounds)]
    vectors = (words.encoder or recommender.word_encoder).encode([" ".join(tokens), *less])
    lost = recommender.word_features[items, : vectors.shape[1]] @ (vectors[0] - vectors[1:]).T
    return [_summed(parts, row) for row in lost.astype(float)]


def _summed(names: list[str], values: NDArray[np.float64]) -> dict[str, float]:
    """Return the sum of the values (n,) by name."""
    totals = dict.fromkeys(names, 0.0)
    for name, value in zip(names, values.tolist(), strict=True):
        totals[name] += value
    return {name: round(total, 4) for name, total in totals.items()}
