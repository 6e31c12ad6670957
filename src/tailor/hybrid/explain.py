"""Why an item is on a list: the exact parts of its score, by source, by history item, and by what is no source's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.domains import domain_masks_of
from tailor.hybrid.blend import lift_of
from tailor.hybrid.domains import is_apart, query_of_domain
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Csr, Explains, ImputesColdItems, Indices, Mask, Query, Rebases, ScoresTexts
from tailor.types import AnyArray

Floats = NDArray[np.float64]

#: A history item is named as the cause of a place only where the history carries at least this share of what lifts it.
LEAST_HISTORY_SHARE = 0.3
#: History items that are named, and the least share of one, of that of the first.
_NAMED, _LEAST_OF_FIRST = 3, 0.5
#: Shares (h, block) that are held at a time.
_CELLS = 10_000_000
#: Histories that lack one item, scored at a time.
_LEFT_OUT = 64


@dataclass(frozen=True)
class Explanation:
    """Of one user's scores for some items; rows are items."""

    items: Indices
    """Internal ids (k,)."""
    sources: dict[str, Floats]
    """Weighted standardised scores (k,) by source."""
    parts: dict[str, Floats]
    """What is not a source's (k,), by name: ``popularity_bias``, ``interaction`` (of a blend that reads vectors),
    ``cold_shift``, ``cold_boost``, ``tail_boost``, ``popularity_debias``; beside words ``query`` and ``centring``."""
    history: Indices
    """Internal ids of the user's items (h,), rising."""
    by_history: dict[str, Floats]
    """Shares (k, h) of each source whose scores are sums over the history; over h they sum to ``sources``."""
    left_out: dict[str, Floats]
    """Estimates (k, h) for the other sources that read the history: what their part loses without the item."""
    every: NDArray[np.float32]
    """The user's scores of the whole catalogue (n_items,), words aside."""

    @property
    def other(self) -> Floats:
        """The sum of ``parts`` (k,)."""
        return _total(np.zeros(len(self.items)), self.parts)

    @property
    def score(self) -> Floats:
        """The sum of sources and parts (k,)."""
        return _total(self.other, self.sources)

    @property
    def of_history(self) -> Floats:
        """What each history item adds to the score (k, h): exact shares, summed over sources."""
        return _total(np.zeros((len(self.items), len(self.history))), self.by_history)

    @property
    def history_sources(self) -> list[str]:
        """Sources whose scores follow the history."""
        return [name for name in self.sources if SOURCES[name].reads_history]

    @property
    def history_share(self) -> Floats:
        """How much of what lifts each item (k,) is the history's, 0 to 1: positive parts of these sources over all."""
        lifting = np.sum([np.maximum(part, 0) for part in [*self.sources.values(), *self.parts.values()]], axis=0)
        of_history = [np.maximum(self.sources[name], 0) for name in self.history_sources]
        lifted = np.sum([np.zeros(len(self.items)), *of_history], axis=0)
        return np.asarray(lifted / np.where(lifting > 0, lifting, 1))

    def because_of(self, place: int) -> Indices:
        """Return the places in ``history`` of the items that one score is because of: at most three, the largest first.

        None where the history carries less than ``LEAST_HISTORY_SHARE`` of what lifts the item.
        """
        if self.history_share[place] < LEAST_HISTORY_SHARE:
            return np.zeros(0, dtype=np.int64)
        shares = _total(self.of_history, {} if self.by_history else self.left_out)[place]
        first = np.argsort(-shares, kind="stable")[:_NAMED]
        named: Indices = first[(shares[first] > 0) & (shares[first] >= _LEAST_OF_FIRST * shares[first[:1]])]
        return named

    def history_source(self, place: int) -> str:
        """Return the source by which the history carried one score most."""
        return max(self.history_sources, key=lambda name: float(self.sources[name][place]))

    def beside_words(self, scores: NDArray[np.float32], share: float) -> "Explanation":
        """Return the explanation of the scores (k,) under words, beside which the user's own score weighs ``share``.

        Words are weighed against the user's standardised score, so every part is divided by its deviation over the
        catalogue, ``centring`` is its mean, and ``query`` is what the words say.
        """
        slope = share / max(float(self.every.std()), 1e-6)
        scaled, mean = slope * self.score, -slope * float(self.every.mean())
        parts = {name: slope * part for name, part in self.parts.items()}
        parts |= {"centring": np.full(len(self.items), mean), "query": scores - scaled - mean}
        return replace(
            self,
            sources={name: slope * part for name, part in self.sources.items()},
            parts=parts,
            by_history={name: slope * shares for name, shares in self.by_history.items()},
            left_out={name: slope * shares for name, shares in self.left_out.items()},
        )


def _total(start: Floats, terms: Mapping[str, Floats]) -> Floats:
    """Return the sum of a start and terms of its shape."""
    return np.asarray(sum(terms.values(), start))


def explain(scorer: HybridScorer, query: Query, items: Indices) -> Explanation:
    """Take the scores of one user apart.

    A source's standardised score is (s - m) / σ with m the mean over warm items. Where s is a sum over the history, so
    is m: the share of a history item is w (s_h - m_h) / σ, what it adds to this item beyond what it adds to an average
    one, and the shares sum to the source's part with nothing left over.

    Args:
        scorer: a fitted hybrid.
        query: of one user.
        items: internal ids of what to explain (k,).
    """
    scores, z = scorer.scored(query)
    weights = scorer.source_weights(query, items[None])[0]
    names = dict(enumerate(scorer.source_names))
    sources = {name: weights[:, place] * z[place][0, items].astype(np.float64) for place, name in names.items()}
    parts = _parts(scorer, query, items)
    if scorer.blend.warm.reads_vectors:
        parts["interaction"] = scores[0, items].astype(np.float64) - sum(sources.values()) - sum(parts.values())
    by_history, left_out = dict[str, Floats](), dict[str, Floats]()
    for place, name in names.items():
        model, weight = scorer.sources[name], weights[:, place, None]
        if not SOURCES[name].reads_history or not weight.any():
            continue
        if isinstance(model, Explains):
            deviation = _of_items(scorer.mean_and_deviation(scorer.source_scores(name, query))[1], items)
            by_history[name] = weight * _shares(scorer, name, model, query, items) / deviation.T
        else:
            left_out[name] = weight * (z[place][0, items][:, None] - _without_each(scorer, name, query, items).T)
    history = np.sort(query.weights.indices).astype(np.int64)
    return Explanation(items, sources, parts, history, by_history, left_out, scores[0])


def _parts(scorer: HybridScorer, query: Query, items: Indices) -> dict[str, Floats]:
    """Return what the blend and the boosts add by themselves (k,), as :func:`tailor.hybrid.blend.blend` does."""
    boosts, warm = scorer.boosts, scorer.warm[items]
    known, none = bool(query.lengths[0]), np.zeros(len(items))
    domains = None if scorer.domains is None else scorer.domains[items]
    models = next(iter(scorer.blend.by_history(query.lengths)))[0]
    bias = sum(share * model.bias for share, model in models)
    parts = {
        "popularity_bias": np.where(warm, bias * scorer.popularity[items], 0.0) if known else none,
        "cold_shift": np.where(warm, 0.0, scorer.blend.cold_shift) if known else none,
        "cold_boost": np.where(warm, 0.0, lift_of(boosts, "cold_boost", len(items), domains)),
        "tail_boost": np.where(scorer.tail[items], lift_of(boosts, "tail_boost", len(items), domains), 0.0),
    }
    if boosts.popularity_debias and known:
        parts["popularity_debias"] = -boosts.popularity_debias * scorer.population_score[items].astype(np.float64)
    return {name: part for name, part in parts.items() if part.any()}


def _of_items(figure: AnyArray, items: Indices) -> AnyArray:
    """Return a mean or a deviation of some of the items (B, k); (B, 1) where it is the same for all."""
    return figure if figure.shape[1] == 1 else figure[:, items]


def _shares(scorer: HybridScorer, name: str, model: Explains, query: Query, items: Indices) -> Floats:
    """Return centred shares (k, h) of a source by history item; what a source does not read for an item has none."""
    if scorer.domains is None:
        return _centred_shares(model, query, items, scorer.warm)
    history = np.sort(query.weights.indices)
    shares = np.zeros((len(items), len(history)))
    for inside in domain_masks_of(scorer.domains, scorer.n_items):
        of_domain = query_of_domain(query, inside) if is_apart(scorer.domains, name) else query
        rows, columns = np.flatnonzero(inside[items]), np.searchsorted(history, np.sort(of_domain.weights.indices))
        shares[np.ix_(rows, columns)] = _centred_shares(model, of_domain, items[rows], scorer.warm & inside)
    return shares


def _centred_shares(model: Explains, query: Query, items: Indices, warm_items: Mask) -> Floats:
    """Return shares (k, h) by history item, rising, less their mean over warm items."""
    order = np.argsort(query.weights.indices, kind="stable")
    warm, mean = np.flatnonzero(warm_items), np.zeros(len(order))
    size = max(1, _CELLS // max(len(order), 1))
    for start in range(0, len(warm), size):
        mean += model.history_shares(query, warm[start : start + size]).sum(axis=0) / len(warm)
    return np.asarray((model.history_shares(query, items) - mean)[:, order])


def _without_each(scorer: HybridScorer, name: str, query: Query, items: Indices) -> Floats:
    """Return standardised scores (h, k) under the history without each of its items, rising."""
    rows = []
    for fewer in _histories_without_each(query):
        scores = scorer.source_scores(name, fewer)
        mean, deviation = (_of_items(figure, items) for figure in scorer.mean_and_deviation(scores))
        rows.append((scores[:, items] - mean) / deviation)
    return np.vstack(rows) if rows else np.zeros((0, len(items)))


def _histories_without_each(query: Query) -> Iterator[Query]:
    """Yield one user's query without each item of the history, a block of items at a time."""
    for start in range(0, query.history.nnz, _LEFT_OUT):
        left_out = np.arange(start, min(start + _LEFT_OUT, query.history.nnz))
        same = query.take(np.zeros(len(left_out), dtype=np.int64))
        yield Query.of(
            _lacking(query.history, left_out),
            None if query.order is None else _lacking(query.order, left_out),
            None if query.confidence is None else _lacking(query.confidence, left_out),
            same.profile,
            same.context,
            same.user_index,
            same.user_text,
        )


def _lacking(row: Csr, left_out: Indices) -> Csr:
    """Repeat one row, each time without the cell at one place of ``left_out`` (b,), counted by rising columns."""
    order = np.argsort(row.indices, kind="stable")
    keep = np.arange(len(order)) != left_out[:, None]
    columns, data = np.tile(row.indices[order], (len(left_out), 1))[keep], np.tile(row.data[order], (len(left_out), 1))
    indptr = np.append(0, keep.sum(axis=1).cumsum())
    return sparse.csr_matrix((data[keep], columns, indptr), shape=(len(left_out), row.shape[1]))


def text_scores(
    scorer: HybridScorer, query: Query, items: Indices, features: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the part of one user's scores (r,) that texts decide, if the items (r,) had the texts ``features`` (r, m).

    That is what sources make of the text itself; and of an item without interactions what is imputed: a(e)·s, s the
    scores of the landmarks.
    """
    raw = {name: scorer.source_scores(name, query) for name in scorer.sources}
    weights, total = scorer.source_weights(query, items[None])[0], np.zeros(len(items))
    for place, name in enumerate(scorer.source_names):
        if SOURCES[name].text_dependent:
            scale = weights[:, place] / _of_items(scorer.mean_and_deviation(raw[name])[1], items)[0]
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
