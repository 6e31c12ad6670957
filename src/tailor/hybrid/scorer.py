"""The hybrid scorer, first version: a validated mixture of sources with a cold shift (DESIGN §6).

Every source is standardised per user over the warm items. Warm items mix the sources with one set of weights, items
without train interactions with another (the gate on n_item in its simplest form), plus a shift that says how readily
they enter a mixed list. A user without history gets the popular items.
"""

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from tailor.cf.base import Engine, Floats, Mask, State
from tailor.cf.baselines import Popular, TextKNN
from tailor.cf.ease import EASE
from tailor.cf.ials import IALS
from tailor.cf.registry import register
from tailor.cf.topk import EXCLUDED, top_k
from tailor.metrics.ranking import hits, ndcg
from tailor.options import EASEOptions, IALSOptions, MixtureOptions, Options

SOURCES = ("mf", "ease", "text", "popular")
Weight = Annotated[float, Field(ge=0.0, le=1.0)]


class GateOptions(Options):
    """The mixture that validation chose: weights on the simplex over SOURCES, and the cold shift."""

    warm: tuple[Weight, Weight, Weight, Weight] = (1.0, 0.0, 0.0, 0.0)
    """Weights for items with train interactions."""
    cold: tuple[Weight, Weight, Weight, Weight] = (1.0, 0.0, 0.0, 0.0)
    """Weights for items without."""
    shift: float = 0.0
    """Added to the score of items without train interactions, in standard deviations of the user's warm scores."""


class HybridEngineOptions(Options):
    """Options of the arms and the gate."""

    ials: IALSOptions = IALSOptions()
    ease: EASEOptions = EASEOptions()
    gate: GateOptions = GateOptions()


@register
class Hybrid(Engine[HybridEngineOptions]):
    """Text-prior iALS, text EASE, text similarity and popularity in one score."""

    options_class = HybridEngineOptions
    scores_cold_items = True

    def __init__(self, options: HybridEngineOptions, seed: int = 0) -> None:
        super().__init__(options, seed)
        self.sources: dict[str, Engine[Any]] = {
            "mf": IALS(options.ials, seed),
            "ease": EASE(options.ease, seed),
            "text": TextKNN(TextKNN.options_class(), seed),
            "popular": Popular(Popular.options_class(), seed),
        }

    def with_gate(self, gate: GateOptions) -> Self:
        """Return a scorer that shares the fitted sources and mixes them by ``gate``."""
        other = type(self)(self.options.model_copy(update={"gate": gate}), self.seed)
        other.sources, other.n_items, other.warm = self.sources, self.n_items, self.warm
        return other

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:
        self.warm = warm
        for source in self.sources.values():
            source.fit(train, warm, features)

    def standardised(self, history: sparse.csr_matrix) -> Iterator[Floats]:
        """Yield each source's scores (B, n_items), mean 0 and deviation 1 over a user's warm items."""
        for source in self.sources.values():
            scores = source.score(history)
            warm = scores[:, self.warm]
            deviation = warm.std(axis=1, keepdims=True)
            yield (scores - warm.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return mix(list(self.standardised(history)), self.options.gate, self.warm, np.diff(history.indptr) == 0)

    def _state(self) -> State:
        arrays = {f"{name}/{key}": value for name, s in self.sources.items() for key, value in s.state().items()}
        return {"warm": self.warm, **arrays}

    def _load(self, state: State) -> None:
        self.warm = state["warm"].astype(bool)
        for name, source in self.sources.items():
            own = {key.split("/", 1)[1]: value for key, value in state.items() if key.startswith(f"{name}/")}
            self.sources[name] = type(source).from_state(own, source.options, self.seed)


def mix(z: list[Floats], gate: GateOptions, warm: Mask, no_history: NDArray[np.bool_]) -> Floats:
    """Mix standardised sources (each (B, n_items)); rows without history get the last source, popularity, alone."""
    scores = _weighted(z, gate.warm)
    if not warm.all():
        scores[:, ~warm] = _weighted([s[:, ~warm] for s in z], gate.cold) + np.float32(gate.shift)
    scores[no_history] = z[-1][no_history]
    return scores


def _weighted(z: list[Floats], weights: tuple[float, ...]) -> Floats:
    total = np.zeros_like(z[0])
    for scores, weight in zip(z, weights, strict=True):
        if weight:
            total += np.float32(weight) * scores
    return total


def simplex(step: float, n: int) -> list[tuple[float, ...]]:
    """List all weight vectors of length n on the simplex whose entries are multiples of ``step``."""
    parts = round(1 / step)
    return [
        tuple(w / parts for w in weights)
        for weights in itertools.product(range(parts + 1), repeat=n)
        if sum(weights) == parts
    ]


class Trace:
    """Mean NDCG@k per setting, accumulated block by block."""

    def __init__(self, k: int, tie_rank: NDArray[np.int64]) -> None:
        self.k, self.tie_rank = k, tie_rank
        self.sums: dict[Any, float] = {}
        self.users: dict[Any, int] = {}

    def add(self, setting: Any, scores: Floats, allowed: NDArray[np.bool_], positives: sparse.csr_matrix) -> None:
        """Score one block under one setting; ``allowed`` (B, n_items) marks what may be listed."""
        lists, _ = top_k(np.where(allowed, scores, EXCLUDED), self.k, self.tie_rank)
        values = ndcg(hits(lists, positives), np.diff(positives.indptr), self.k)
        self.sums[setting] = self.sums.get(setting, 0.0) + float(np.nansum(values))
        self.users[setting] = self.users.get(setting, 0) + int(np.isfinite(values).sum())

    def mean(self, setting: Any) -> float:
        """Return the mean over users with positives."""
        return self.sums.get(setting, 0.0) / max(self.users.get(setting, 0), 1)

    def best(self) -> Any:
        """Return the setting with the highest mean; the last in order among (nearly) equal ones."""
        return max(self.sums, key=lambda setting: (round(self.mean(setting), 9), setting))


def fit_gate(
    scorer: Hybrid,
    history: sparse.csr_matrix,
    positives: sparse.csr_matrix,
    cold: Mask,
    candidates: Mask,
    options: MixtureOptions,
    k: int,
    tie_rank: NDArray[np.int64],
    block_users: int = 256,
) -> tuple[GateOptions, list[dict[str, float]]]:
    """Choose warm weights, cold weights and shift on validation.

    Warm weights: best NDCG@k of the other positives over the other candidates. Cold weights: best NDCG@k of positives on
    ``cold`` items over ``cold`` items. Shift: the largest one whose NDCG@k over all candidates stays within
    ``options.max_price`` of the best shift's.

    Args:
        scorer: fitted without the interactions of ``cold`` items.
        history: what lists leave out (U, n_items); its columns that are not warm carry no score.
        positives: validation rows (U, n_items).
        cold: pseudo-cold B (n_items,).
        candidates: items that may be listed (n_items,).
        block_users: users scored at a time.

    Returns:
        The gate, and the price list: per shift the NDCG@k over mixed lists, of all and of cold positives.
    """
    grid = simplex(options.step, len(SOURCES))
    cold_grid = [weights for weights in grid if weights[3] == 0]  # items without interactions have no popularity
    traces = {name: Trace(k, tie_rank) for name in ("warm", "cold", "mixed", "exposed")}
    only_warm, only_cold = (sparse.diags(m.astype(np.float32)) for m in (~cold, cold))
    users = np.flatnonzero(np.diff(positives.indptr) > 0)
    blocks = [users[start : start + block_users] for start in range(0, len(users), block_users)]

    for block in blocks:
        z, allowed, _ = _block(scorer, history[block])
        truth = {"warm": _nonzero(positives[block] @ only_warm), "cold": _nonzero(positives[block] @ only_cold)}
        for name, weights_grid, listed in (("warm", grid, candidates & ~cold), ("cold", cold_grid, cold)):
            for weights in weights_grid:
                traces[name].add(weights, _weighted(z, weights), allowed & listed, truth[name])
    best_warm, best_cold = traces["warm"].best(), traces["cold"].best()

    for block in blocks:
        z, allowed, no_history = _block(scorer, history[block])
        cold_truth = _nonzero(positives[block] @ only_cold)
        for shift in options.shifts:
            gate = GateOptions(warm=best_warm, cold=best_cold, shift=shift)
            scores = mix(z, gate, scorer.warm, no_history)
            traces["mixed"].add(shift, scores, allowed & candidates, positives[block])
            traces["exposed"].add(shift, scores, allowed & candidates, cold_truth)
    prices = [
        {"shift": s, "mixed_ndcg": traces["mixed"].mean(s), "mixed_cold_ndcg": traces["exposed"].mean(s)}
        for s in options.shifts
    ]
    limit = (1 - options.max_price) * max(row["mixed_ndcg"] for row in prices)
    shift = max(row["shift"] for row in prices if row["mixed_ndcg"] >= limit)
    return GateOptions(warm=best_warm, cold=best_cold, shift=shift), prices


def _block(
    scorer: Hybrid, past: sparse.csr_matrix
) -> tuple[list[Floats], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return standardised sources, what is not in the history (B, n_items), and who has no warm history (B,)."""
    allowed = np.ones(past.shape, dtype=bool)
    allowed[past.nonzero()] = False
    known = _nonzero(past @ sparse.diags(scorer.warm.astype(np.float32)))
    return list(scorer.standardised(known)), allowed, np.diff(known.indptr) == 0


def _nonzero(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(matrix)
    matrix.eliminate_zeros()
    return matrix
