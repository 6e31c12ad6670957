"""Fitting the gate on validation: weights for warm and cold items and newcomers, the cold shift, the boosts' prices."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from tailor.data.interactions import first_of_each_row
from tailor.hybrid import blend_fit as fusion
from tailor.hybrid.blend import SOURCES, BlendModel, BlendWeights, apply_boosts, blend, only
from tailor.hybrid.blend_fit import BlendTrainingSet
from tailor.hybrid.click import ClickHead, fit_click
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import Hybrid
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Floats, Mask
from tailor.options import Boosts, MixtureOptions
from tailor.progress import progress
from tailor.threads import blocks, in_threads

Matrix = sparse.csr_matrix
Row = dict[str, str | float]
BLEND_COLUMNS = ["fusion", "ndcg", "against", "difference", "low", "high", "kept"]


@dataclass(frozen=True)
class Fitted:
    """The gate, where the boosts stand, and what led there."""

    gate: BlendWeights
    boosts: Boosts
    prices: list[Row]
    """boost, value, accuracy, exposed: NDCG@k of mixed lists and of the cold items in them for ``cold_boost``, of
    warm lists and of the tail items in them for ``tail_boost``, of warm lists and how much of the catalogue they cover
    for ``popularity_debias``."""
    click: ClickHead
    fusions: list[Row]
    """fusion, ndcg on users it was not fitted on, difference to the one kept so far with its interval."""


def sample(users: NDArray[np.int64], n_items: int, options: MixtureOptions, seed: int) -> NDArray[np.int64]:
    """Return as many of the users, drawn by seed, as ``options.max_cells`` allows."""
    most = max(1, options.max_cells // max(n_items, 1))
    return users if len(users) <= most else np.sort(np.random.default_rng([seed, 2]).permutation(users)[:most])


def collect(
    scorer: Hybrid,
    users: NDArray[np.int64],
    history: Matrix,
    seen: Matrix,
    positives: Matrix,
    items: Mask,
    holdout: Holdout,
    whole: bool,
) -> BlendTrainingSet:
    """Score some users' histories (U, n_items) over the items of a mask, in blocks, in the moments they acted in."""
    columns = np.flatnonzero(items)
    if holdout.told.asked.size:
        scorer = scorer.meeting(scorer.profiles_of(users), holdout.told.asked[users])
        users = -2 - np.arange(len(users))
    z = np.zeros((len(SOURCES), history.shape[0], len(columns)), np.float32)

    def fill(block: slice) -> None:
        for s, scores in enumerate(scorer.standardised(sparse.csr_matrix(history[block]), users[block])):
            z[s, block] = scores[:, columns]

    rows = blocks(history.shape[0])
    with threadpool_limits(1, user_api="blas"):
        for _ in progress(in_threads(fill, rows), "gate: sources", "block", len(rows)):
            pass
    shown = np.ones((history.shape[0], len(columns)), dtype=bool)
    shown[sparse.csr_matrix(seen[:, columns]).nonzero()] = False
    meta_features = scorer.meta_features(history, whole)
    own = replace(
        meta_features,
        popularity=meta_features.popularity[items],
        items=meta_features.items[items] if whole else meta_features.items,
    )
    truth = sparse.csr_matrix(positives[:, columns])
    return BlendTrainingSet(z, shown, truth, own, holdout.tie_rank[columns])


def known_cells(scorer: Hybrid, holdout: Holdout, options: MixtureOptions, seed: int) -> BlendTrainingSet:
    """Return the cells of (a sample of) the users with validation rows, over everything but the held-out cold items."""
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    users = sample(users, int(holdout.candidates.sum()), options, seed)
    whole = bool({"bilinear", "deep"} & set(options.fusions))
    history, seen, truth = (m[users] for m in (holdout.history, holdout.seen, holdout.validation))
    return collect(scorer, users, history, seen, truth, holdout.candidates, holdout, whole)


def fit_weights(
    cells: BlendTrainingSet, holdout: Holdout, options: MixtureOptions, k: int, seed: int
) -> tuple[BlendWeights, list[Row]]:
    """Fit the weights for items with and without train interactions, each over its own candidates."""
    cold = holdout.cold[holdout.candidates]
    warm, rows = choose_fusion(cells.columns(~cold), options, k, seed)
    return BlendWeights(warm=warm, cold=choose_weights(cells.columns(cold), options, k, seed)), rows


def choose_fusion(cells: BlendTrainingSet, options: MixtureOptions, k: int, seed: int) -> tuple[BlendModel, list[Row]]:
    """Fit every member of ``options.fusions`` on each half of the users, judge it on the other, keep the simplest.

    A later member replaces the one kept so far if its NDCG@k is higher with a 95 % paired-bootstrap interval above 0.
    The one that is left is fitted on all users.
    """
    kinds = options.fusions
    if len(kinds) == 1:
        return fusion.fit(cells, kinds[0], options, seed, climb_to=k), []
    n = cells.z.shape[1]
    halves = _halves(n, seed)
    parts = [cells.take(half) for half in halves]
    values, rows, kept = {}, [], kinds[0]
    for kind in kinds:
        values[kind] = np.full(n, np.nan)
        for fitted_on, (other, judged_on) in zip(parts, [*zip(parts, halves, strict=True)][::-1], strict=True):
            found = fusion.fit(fitted_on, kind, options, seed, climb_to=k)
            values[kind][judged_on] = other.measure(found.score(list(other.z), other.meta_features), k)
        against = paired_bootstrap(values[kind], values[kept], seed=seed)
        row: Row = {"fusion": kind, "ndcg": float(np.nanmean(values[kind])), "against": kept}
        rows.append(row | {"difference": against.difference, "low": against.low, "high": against.high})
        kept = kind if against.low > 0 else kept
    return fusion.fit(cells, kept, options, seed, climb_to=k), [row | {"kept": row["fusion"] == kept} for row in rows]


def fit_few_shot_weights(
    scorer: Hybrid,
    gate: BlendWeights,
    holdout: Holdout,
    options: MixtureOptions,
    k: int,
    seed: int,
    kept: tuple[str, ...] = SOURCES,
) -> BlendWeights:
    """Fit the weights for short histories.

    Of each user that ``holdout`` keeps out of the fits, the first n items are revealed, in time where that is known;
    the rest of the train and validation rows is to be found, over everything but pseudo-cold B, as in the test of new
    users.

    Args:
        scorer: fitted without those users.
        gate: what is fitted already.
        holdout: the validation side of the split.
        options: newcomer_history, max_cells.
        k: of the NDCG@k that the weights climb.
        seed: of the sample of users.
        kept: sources that may speak.

    Returns:
        The gate with one entry per length of ``options.newcomer_history``.
    """
    every = sparse.csr_matrix(holdout.order[holdout.newcomers])
    items, entries = holdout.candidates & ~holdout.cold, []
    for n in sorted(options.few_shot_lengths):
        revealed = first_of_each_row(every, n)
        hidden = sparse.csr_matrix(every - revealed)
        hidden.eliminate_zeros()
        users = sample(np.flatnonzero(np.diff(hidden.indptr) > 0), int(items.sum()), options, seed)
        if len(users):
            who = holdout.newcomers[users]
            known, wanted = revealed[users], hidden[users]
            cells = collect(scorer, who, known, known, wanted, items, holdout, whole=False)
            entries.append((n, choose_weights(cells, options, k, seed, tuple(set(SOURCES) - set(kept)))))
    return replace(gate, newcomer=tuple(entries))


def choose_weights(
    cells: BlendTrainingSet, options: MixtureOptions, k: int, seed: int, without: tuple[str, ...] = ()
) -> Floats:
    """Return weights (S,) from few users, the simplest that nothing is shown to beat.

    From simple to rich: popularity alone; with what is told of user and moment; the loss' optimum over all sources;
    where the climb from it ends. Each is fitted on one half of the users and judged on the other; a richer one replaces
    the one kept so far if its NDCG@k is higher with a 95 % paired-bootstrap interval above 0. What is kept is fitted on
    all. Ways whose sources must not speak, or tell no items apart, are left out.
    """
    free = fusion.active_mask(cells, without)
    speaking = {name for name, may in zip(SOURCES, free, strict=True) if may}
    told = speaking & {"context", "profile"}

    def optimum(of: BlendTrainingSet, left_out: tuple[str, ...]) -> BlendModel:
        return fusion.fit(of, "linear", options, seed, left_out)

    def climbed(of: BlendTrainingSet, start: BlendModel, left_out: tuple[str, ...]) -> BlendModel:
        return fusion.coordinate_ascent(of, start, k, fusion.active_mask(of, left_out) & free)

    def simple(of: BlendTrainingSet) -> list[BlendModel]:
        found = [BlendModel(only("popular"))] if "popular" in speaking else []
        if found and told:
            others = tuple(set(SOURCES) - told - {"popular"})
            found.append(climbed(of, optimum(of, others), others))
        return found

    def rules(of: BlendTrainingSet) -> list[BlendModel]:
        start = optimum(of, without)
        return [*simple(of), start, climbed(of, start, without)]

    first, second = _halves(cells.z.shape[1], seed)
    judged: list[NDArray[np.float64]] = []
    for fitted_on, judged_on in ((first, second), (second, first)):
        other = cells.take(judged_on)
        found = [rule.score(list(other.z), other.meta_features) for rule in rules(cells.take(fitted_on))]
        judged.append(np.stack([other.measure(scores, k) for scores in found]))
    values, kept = np.hstack(judged), 0
    for richer in range(1, len(values)):
        if np.isfinite(values[kept]).any() and paired_bootstrap(values[richer], values[kept], seed=seed).low > 0:
            kept = richer
    if kept < len(values) - 2:
        return simple(cells)[kept].base
    start = optimum(cells, without)
    return (start if kept == len(values) - 2 else climbed(cells, start, without)).base


def _halves(n: int, seed: int) -> list[NDArray[np.int64]]:
    order = np.random.default_rng([seed, 3]).permutation(n)
    return [np.sort(order[: n // 2]), np.sort(order[n // 2 :])]


def fit_shift(
    scorer: Hybrid, gate: BlendWeights, cells: BlendTrainingSet, holdout: Holdout, options: MixtureOptions, k: int
) -> tuple[BlendWeights, Boosts, list[Row]]:
    """Put the shift where mixed lists are most accurate; write the boosts' price lists; set the boosts to what
    ``options.max_price`` and ``options.max_tail_price`` afford.
    """
    columns = np.flatnonzero(holdout.candidates)
    warm, tail, cold = scorer.warm[columns], scorer.tail[columns], holdout.cold[columns]
    unshifted = blend(list(cells.z), replace(gate, shift=0.0), Boosts(), warm, tail, cells.meta_features)
    has_history = (cells.meta_features.activity > 0)[:, None]

    def at(shift: float, boosts: Boosts) -> Floats:
        scores = unshifted.copy()
        scores[:, ~warm] += np.float32(shift) * has_history
        return apply_boosts(scores, boosts, warm, tail)

    def mixed(shift: float) -> float:
        return _mean(cells.measure(at(shift, Boosts()), k))

    gate = replace(gate, shift=max(options.shifts, key=lambda shift: (round(mixed(shift), 6), shift)))
    part, tail_items = cells.columns(~cold), holdout.tail[columns][~cold]
    accurate = blend(list(part.z), gate, Boosts(), warm[~cold], tail[~cold], part.meta_features)
    common, known = scorer.with_gate(gate).population_score()[columns][~cold], part.meta_features.activity > 0

    def price(
        boost: str, of: BlendTrainingSet, at: Callable[[Boosts], Floats], exposed: Callable[[Floats], float]
    ) -> list[Row]:
        rows: list[Row] = []
        for value in np.linspace(0, 1, options.steps + 1).round(6).tolist():
            scores = at(scorer.options.boosts.off().model_copy(update={boost: value}))
            accuracy = _mean(of.measure(scores, k))
            rows.append({"boost": boost, "value": value, "accuracy": accuracy, "exposed": exposed(scores)})
        return rows

    def warm_at(boosts: Boosts) -> Floats:
        return apply_boosts(accurate.copy(), boosts, warm[~cold], tail[~cold], common, known)

    colder = price("cold_boost", cells, partial(at, gate.shift), lambda s: _mean(cells.measure(s, k, cold)))
    longer = price("tail_boost", part, warm_at, lambda s: _mean(part.measure(s, k, tail_items)))
    broader = price("popularity_debias", part, warm_at, lambda s: part.coverage(s, k))
    stand = {
        "cold_boost": select_operating_point(colder, options.max_price),
        "tail_boost": select_operating_point(longer, options.max_tail_price),
    }
    return gate, scorer.options.boosts.off().model_copy(update=stand), [*colder, *longer, *broader]


def fit_gate(scorer: Hybrid, holdout: Holdout, options: MixtureOptions, k: int, seed: int) -> Fitted:
    """Fit everything that the hybrid takes from validation."""
    cells = known_cells(scorer, holdout, options, seed)
    gate, fusions = fit_weights(cells, holdout, options, k, seed)
    gate = fit_few_shot_weights(scorer, gate, holdout, options, k, seed)
    gate, boosts, prices = fit_shift(scorer, gate, cells, holdout, options, k)
    columns = np.flatnonzero(holdout.candidates)
    warm = scorer.warm[columns]
    scores = blend(list(cells.z), gate, Boosts(), warm, scorer.tail[columns], cells.meta_features)
    click = fit_click(scores, cells.shown, cells.positives, cells.meta_features, warm, options.click, seed)
    return Fitted(gate, boosts, prices, click, fusions)


def select_operating_point(prices: list[Row], price: float) -> float:
    """Return the largest setting whose accuracy stays within ``price`` of the first one's."""
    limit = (1 - price) * float(prices[0]["accuracy"])
    return max(float(row["value"]) for row in prices if float(row["accuracy"]) >= limit)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
