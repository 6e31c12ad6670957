"""Explanations of a served list: shares by source, by history item, and by what is written about the item."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.interactions import binary
from tailor.errors import BadInputError
from tailor.hybrid.blend import SOURCES
from tailor.hybrid.explain import explain, weights
from tailor.hybrid.scorer import Hybrid
from tailor.models.base import Engine
from tailor.models.baselines import TextKNN
from tailor.serving.query import parse_query

if TYPE_CHECKING:
    from tailor.serving.recommender import Recommender

#: Items of a list that are explained, history items named per item.
MAX_EXPLAINED, _TOP = 20, 5


def explain_list(
    served: "Recommender",
    engine: Engine[Any],
    past: sparse.csr_matrix,
    confidence: sparse.csr_matrix | None,
    user: int,
    listed: NDArray[np.int64],
    query: str,
) -> list[dict[str, Any]]:
    """Explain the first ``MAX_EXPLAINED`` items of one list.

    Per item: ``sources`` (weighted standardised scores by source; with ``other`` they sum to the score before words),
    ``history`` (the items with the largest shares of the factor score, which is their exact sum), ``words`` (how much
    of the text-dependent score goes with each piece of the item's text: the piece left out, encoded anew) and
    ``query`` (what each word of the query adds: the word left out).

    Raises:
        BadInputError: the model is not a hybrid.
    """
    if not isinstance(engine, Hybrid):
        raise BadInputError(f"explain: a {type(engine).__name__} cannot be taken apart, only the hybrid can")
    items = listed[:MAX_EXPLAINED]
    if not len(items):
        return []
    found = explain(engine, past, items, confidence, user)
    told: list[dict[str, Any]] = []
    for at in range(len(items)):
        shares = found.by_history[at]
        top = np.argsort(-np.abs(shares), kind="stable")[:_TOP]
        told.append(
            {
                "sources": dict(zip(SOURCES, found.sources[at].round(4).tolist(), strict=True)),
                "other": round(float(found.other[at]), 4),
                "history": {
                    str(served.item_ids[found.history[h]]): round(float(shares[h]), 4) for h in top if len(shares)
                },
            }
        )
    if served.encoder_of is not None and served.metadata is not None:
        for entry, by_piece in zip(told, _pieces(served, engine, past, confidence, items), strict=True):
            entry["words"] = by_piece
        if query.strip():
            for entry, by_word in zip(told, _query(served, items, query), strict=True):
                entry["query"] = by_word
    return told


def _pieces(
    served: "Recommender",
    engine: Hybrid,
    past: sparse.csr_matrix,
    confidence: sparse.csr_matrix | None,
    items: NDArray[np.int64],
) -> list[dict[str, float]]:
    """Leave each piece of each item's text out: what its text-dependent score loses.

    That score is w_text p·e / σ_text, for items without interactions also what they take after others: a(e)·s, s the
    landmarks' weighted scores.
    """
    pieces = [served.known_metadata.pieces[item] for item in items]
    texts = [". ".join(row) for row in pieces]
    less = [". ".join(row[:at] + row[at + 1 :]) for row in pieces for at in range(len(row))]
    vectors = served.encoder.encode([*texts, *less])
    owner = np.concatenate([np.arange(len(texts)), np.repeat(np.arange(len(texts)), [len(row) for row in pieces])])
    worth = _worth(engine, past, confidence, items[owner], vectors)
    rest = iter(worth[len(texts) :])
    return [{piece: round(float(worth[at] - next(rest)), 4) for piece in row} for at, row in enumerate(pieces)]


def _worth(
    engine: Hybrid,
    past: sparse.csr_matrix,
    confidence: sparse.csr_matrix | None,
    items: NDArray[np.int64],
    vectors: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return the text-dependent part of the scores (r,) that items (r,) would have with texts (r, m)."""
    text = cast(TextKNN, engine.sources["text"])
    plain = binary(past) if confidence is None else confidence
    profile = np.asarray(plain @ text.features).ravel()[: vectors.shape[1]] / max(past.nnz, 1)
    scores = np.vstack(list(engine.raw(past, weights=confidence)))
    deviation = scores[:, engine.warm].std(axis=1)
    w = weights(engine, past, items) / np.where(deviation > 0, deviation, 1)
    found = w[:, SOURCES.index("text")] * (vectors @ profile)
    cold = np.flatnonzero(~engine.warm[items])
    if len(cold):
        known = scores[:, engine.kernel.landmarks]
        known[SOURCES.index("text_mf")] = known[SOURCES.index("mf")]
        known[[SOURCES.index(name) for name in ("text", "context", "profile", "popular")]] = 0
        taken = engine.kernel.predict(vectors[cold], known.T)
        found[cold] += (taken * w[cold]).sum(axis=1)
    return np.asarray(found)


def _query(served: "Recommender", items: NDArray[np.int64], query: str) -> list[dict[str, float]]:
    """Leave each word of the query out: what its cosine with each item loses."""
    tokens = parse_query(query, served.known_metadata.vocabulary).text.split()
    if not tokens:
        return [{} for _ in items]
    less = [" ".join(tokens[:at] + tokens[at + 1 :]) or "." for at in range(len(tokens))]
    vectors = served.encoder.encode([" ".join(tokens), *less])
    lost = served.features[items, : vectors.shape[1]] @ (vectors[0] - vectors[1:]).T
    return [dict(zip(tokens, row.round(4).tolist(), strict=True)) for row in lost.astype(float)]
