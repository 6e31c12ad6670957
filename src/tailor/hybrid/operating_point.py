"""Fitting everything the hybrid takes from validation: weights, the shift of cold items, and the operating point.

A boost is chosen on its trade-off curve: the largest setting that loses at most a stated share of accuracy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from tailor.data.domains import domain_masks_of
from tailor.data.interactions import keep_items
from tailor.hybrid import blend_fit
from tailor.hybrid.blend import BlendModel, BlendWeights, blend
from tailor.hybrid.blend_choice import Row, choose_blend_model
from tailor.hybrid.blend_fit import BEST, enough_users
from tailor.hybrid.boost_curves import MixedLists, boost_curves, domains_of
from tailor.hybrid.click import ClickHead, fit_click
from tailor.hybrid.config import BlendOptions, Boosts
from tailor.hybrid.domain_boosts import fit_domain_boosts
from tailor.hybrid.domain_weights import fit_domain_weights, may_differ
from tailor.hybrid.few_shot import few_shot_copies, few_shot_fits, fit_few_shot_weights, fit_nonnegative
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.new_to_domain import fit_new_to_domain, lists_new_to_domain
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.hybrid.training_set import BlendTrainingSet, collect
from tailor.models.base import Floats, Indices, Mask, Query
from tailor.progress import progress
from tailor.threads import blocks
from tailor.topk import EXCLUDED

#: Users whose scores of all items are laid out at a time.
_USERS_AT_A_TIME = 512
#: Users that a boost of 1 is made to reach.
_REACHED_USERS = 2000
#: Length of the lists that it is made to reach.
_LENGTH = 20


@dataclass(frozen=True)
class FittedBlend:
    """What validation made of the sources."""

    weights: BlendWeights
    boosts: Boosts
    """The operating point."""
    curves: list[Row]
    """Over the lists of all domains: boost, value, accuracy, exposure; see :meth:`Curve.rows`."""
    click: ClickHead
    models: list[Row]
    """Members of the family on users they were not fitted on: see :data:`tailor.hybrid.blend_choice.BLEND_COLUMNS`."""


def fit_blend(
    scorer: HybridScorer,
    holdout: Holdout,
    options: BlendOptions,
    k: int,
    seed: int,
    weights: BlendWeights | None = None,
) -> FittedBlend:
    """Fit everything that the hybrid takes from validation.

    Args:
        scorer: with sources that were fitted without pseudo-cold B.
        holdout: the validation side of the split.
        options: members of the family, lengths of short histories, what boosts may cost.
        k: cut-off of every choice.
        seed: of everything drawn.
        weights: what :func:`fit_weights` gave for these sources already, with the one member that ``options`` name;
            None: they are fitted here.
    """
    known = known_users(scorer, holdout, options, seed)
    models: list[Row] = []
    if weights is None:
        weights, models = fit_weights(known, holdout, options, k, seed, scorer)
    fits = few_shot_fits(scorer, holdout, options, seed)
    copies = few_shot_copies(fits, options, seed)
    weights = fit_few_shot_weights(copies, weights, known.columns(~holdout.cold[holdout.candidates]), options, k)
    if scorer.domains is not None:
        if may_differ(weights.warm, options):
            by_domain = lists_by_domain(scorer, holdout, known, options.max_cells)
            weights = replace(weights, by_domain=fit_domain_weights(by_domain, weights.warm, options, k, seed))
        lists = lists_new_to_domain(fits, options, seed)
        new_to_domain = fit_new_to_domain(lists, weights.without_history, options, k, seed)
        weights = replace(weights, new_to_domain=new_to_domain)
    weights = weights.shifted(best_cold_shift(scorer, weights, known, holdout, options, k))
    scorer = with_reach(scorer.with_blend(weights), known, holdout)
    drawn = boost_curves(scorer, known, holdout, options.steps, k)
    curves = [row for curve in drawn for row in curve.rows()]
    boosts = operating_point(curves, options, scorer.boosts)
    boosts = boosts.model_copy(update={"by_domain": fit_domain_boosts(drawn, boosts, options)})
    warm, tail = scorer.warm[holdout.candidates], scorer.tail[holdout.candidates]
    domains = domains_of(scorer, holdout.candidates)
    scores = blend(list(known.z), weights, Boosts(), warm, tail, known.meta, domains=domains)
    click = fit_click(scores, known.candidate_mask, known.positives, known.meta, warm, options.click, seed)
    return FittedBlend(weights, boosts, curves, click, models)


def known_users(scorer: HybridScorer, holdout: Holdout, options: BlendOptions, seed: int) -> BlendTrainingSet:
    """Return (a sample of) the users with validation rows, over everything but the held-out cold items."""
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    users = _sample(users, int(holdout.candidates.sum()), options, seed)
    query = replace(holdout.histories.take(users), context=holdout.validation_contexts[users])
    seen, positives = holdout.seen[users], holdout.validation[users]
    return collect(scorer, query, seen, positives, holdout.candidates, holdout.tie_rank, options.reads_vectors)


def lists_by_domain(
    scorer: HybridScorer, holdout: Holdout, known: BlendTrainingSet, max_cells: int
) -> list[BlendTrainingSet]:
    """Return the lists of each domain's warm items, for as many users as weights climb on.

    Args:
        scorer: with sources that were fitted without pseudo-cold B.
        holdout: the validation side of the split.
        known: users over all items.
        max_cells: users x items that are laid out at a time.
    """
    lists, warm = [], holdout.candidates & ~holdout.cold
    for inside in domain_masks_of(scorer.domains, len(warm)):
        of_known = known.columns((warm & inside)[holdout.candidates])
        more = more_users(scorer, holdout, of_known, max_cells, inside)
        lists.append(of_known if more is None else more)
    return lists


def more_users(
    scorer: HybridScorer, holdout: Holdout, known: BlendTrainingSet, max_cells: int, inside: Mask | None = None
) -> BlendTrainingSet | None:
    """Return more users than ``known`` has room for, over the best warm items of each source; None: it has enough.

    Linear weights climb on these, see :func:`tailor.hybrid.blend_fit.coordinate_ascent`.

    Args:
        scorer: with sources that were fitted without pseudo-cold B.
        holdout: the validation side of the split.
        known: users over all items.
        max_cells: users x items that are laid out at a time.
        inside: items of one domain (n_items,); None: of all.
    """
    items = holdout.candidates & ~holdout.cold
    items = items if inside is None else items & inside
    users = np.flatnonzero(np.diff(keep_items(holdout.validation, items).indptr) > 0)
    enough = enough_users(sparse.csr_matrix(holdout.validation[users]))
    if enough <= known.n_users:
        return None
    users = users[np.linspace(0, len(users) - 1, enough).astype(np.int64)]
    sources = [int(source) for source in np.flatnonzero(known.active_mask())]

    def collected(part: Indices) -> BlendTrainingSet:
        query = replace(holdout.histories.take(part), context=holdout.validation_contexts[part])
        seen, positives = holdout.seen[part], holdout.validation[part]
        every = collect(scorer, query, seen, positives, items, holdout.tie_rank)
        return every.pooled(np.arange(every.n_users), sources, BEST)

    at_a_time = max(1, min(_USERS_AT_A_TIME, max_cells // int(items.sum())))
    of_users = progress(blocks(len(users), at_a_time), "blend: more users", "block")
    parts = [collected(users[rows]) for rows in of_users]
    return BlendTrainingSet.join(parts)


def fit_weights(
    known: BlendTrainingSet,
    holdout: Holdout,
    options: BlendOptions,
    k: int,
    seed: int,
    scorer: HybridScorer | None = None,
) -> tuple[BlendWeights, list[Row]]:
    """Fit the weights for items with and without train interactions, each over its own candidates.

    Args:
        known: users with validation rows, over all items.
        holdout: knows pseudo-cold B.
        options: members of the family.
        k: cut-off.
        seed: of the halves that members are compared on.
        scorer: scores more users for linear weights, see :func:`more_users`; None: nobody else.
    """
    warm, rows = choose_blend_model(known.columns(~holdout.cold[holdout.candidates]), options, k, seed)
    if scorer is not None and warm.is_linear:
        more = more_users(scorer, holdout, known, options.max_cells)
        warm = fit_on_more(warm, more, options, k)
    return BlendWeights(known.sources, warm, (), fit_cold_weights(known, holdout, warm, options.cold_l2)), rows


def fit_on_more(
    warm: BlendModel,
    more: BlendTrainingSet | None,
    options: BlendOptions,
    k: int,
    excluded: tuple[str, ...] = (),
) -> BlendModel:
    """Return linear weights that were fitted on more users, or climbed there, whichever ends higher.

    Args:
        warm: linear weights, from where they climb.
        more: see :func:`more_users`; None: they stay.
        options: l2.
        k: cut-off.
        excluded: sources that may have no weight.
    """
    if more is None:
        return warm
    return blend_fit.fit_linear(more, warm, options, k, excluded)


def fit_cold_weights(
    known: BlendTrainingSet, holdout: Holdout, warm: BlendModel, l2: float, excluded: tuple[str, ...] = ()
) -> Floats:
    """Return the weights (S,) of items without train interactions, from pseudo-cold B, or from the warm ones.

    Args:
        known: users with validation rows.
        holdout: knows pseudo-cold B.
        warm: the weights of the other items.
        l2: weight of the squared weights in the loss.
        excluded: sources that may have no weight.
    """
    if holdout.has_cold_items:
        return fit_nonnegative(known.columns(holdout.cold[holdout.candidates]), l2, excluded)
    return cold_weights_of_warm(warm, known.sources, excluded)


def cold_weights_of_warm(warm: BlendModel, sources: Sequence[str], excluded: tuple[str, ...] = ()) -> Floats:
    """Return what the sources (S,) that read texts weigh for an item of mean popularity; negative weights are 0.

    The other sources say the same of all items that nobody has taken. Where none that reads texts has a weight, all of
    them have the same one.
    """
    reads_texts = np.array([SOURCES[name].text_dependent and name not in excluded for name in sources], np.float32)
    weights = np.maximum(warm.base, 0) * reads_texts
    return np.asarray(weights if weights.any() else reads_texts / max(reads_texts.sum(), 1), dtype=np.float32)


def _sample(users: Indices, n_items: int, options: BlendOptions, seed: int) -> Indices:
    """Return as many of the users, drawn by seed, as ``options.max_cells`` allows."""
    most = max(1, options.max_cells // max(n_items, 1))
    return users if len(users) <= most else np.sort(np.random.default_rng([seed, 2]).permutation(users)[:most])


def best_cold_shift(
    scorer: HybridScorer,
    weights: BlendWeights,
    known: BlendTrainingSet,
    holdout: Holdout,
    options: BlendOptions,
    k: int,
) -> float:
    """Return the shift of cold items at which mixed lists are most accurate; of equally good ones the largest.

    Without pseudo-cold items, 0.
    """
    if not holdout.has_cold_items:
        return 0.0
    lists = MixedLists(scorer.with_blend(weights.shifted(0.0)), known, holdout)
    return max(options.cold_shifts, key=lambda shift: (round(known.mean_ndcg(lists.shifted(shift), k), 6), shift))


def with_reach(scorer: HybridScorer, known: BlendTrainingSet, holdout: Holdout) -> HybridScorer:
    """Return the scorer, its boosts off and their scales grown until a boost of 1 reaches far enough.

    Far enough is where the list of 20 of every user with a history holds ``reach`` of the items that are lifted: of new
    items the mixed list, of tail items the warm one. A class with fewer items leaves its scale as it is.

    Args:
        scorer: with the weights that validation chose.
        known: the users that lists are made for.
        holdout: the validation side of the split.
    """
    n, cold = scorer.boosts.reach, holdout.cold[holdout.candidates]
    mixed = MixedLists(scorer, known, holdout)
    scores = np.where(known.candidate_mask, mixed.scores, EXCLUDED)[mixed.has_history[:, 0]]
    off = scorer.boosts.off()
    reach = {
        "cold_boost_scale": boost_needed(scores, ~mixed.warm, n, _LENGTH),
        "tail_boost_scale": boost_needed(scores[:, ~cold], mixed.tail[~cold], n, _LENGTH),
    }
    grown = {name: _grown(getattr(off, name), needed) for name, needed in reach.items()}
    return scorer.with_boosts(off.model_copy(update=grown))


def reaching(scorer: HybridScorer, queries: Query) -> Boosts:
    """Return the operating point of a scorer under scales at which a boost of 1 reaches far enough for its own users.

    What :func:`with_reach` does on validation, for the scorer that is handed over: its cold items are others. Mixed
    lists of (a sample of) the users with a history, each boost with the other one where it stands; what a boost adds
    at the operating point stays the same.

    Args:
        scorer: at its operating point.
        queries: its users.
    """
    boosts, lifted_by = scorer.boosts, {"cold_boost": ~scorer.warm, "tail_boost": scorer.tail}
    users = np.flatnonzero(queries.lengths > 0)
    users = users[np.linspace(0, len(users) - 1, min(len(users), _REACHED_USERS)).astype(np.int64)]
    grown = boosts
    for boost, lifted in lifted_by.items():
        lowered, needed, scale = scorer.with_boosts(boosts.everywhere(**{boost: 0.0})), 0.0, f"{boost}_scale"
        for rows in progress(blocks(len(users) if boosts.reach else 0), f"reach of {boost}", "block"):
            part = queries.take(users[rows])
            scores = lowered.score(part).copy()
            scores[part.history.nonzero()] = EXCLUDED
            needed = max(needed, boost_needed(scores, lifted, boosts.reach, _LENGTH))
        grown = grown.rescaled(boost, _grown(getattr(boosts, scale), needed))
    return grown


def rescaled(curves: list[Row], before: Boosts, after: Boosts) -> list[Row]:
    """Return trade-off curves whose settings are those of other scales: they add the same.

    Args:
        curves: see :class:`FittedBlend`.
        before: the scales that they were drawn under.
        after: the scales to state them in.
    """

    def ratio(boost: str) -> float:
        scale = f"{boost}_scale"
        return float(getattr(before, scale, 1.0) / getattr(after, scale, 1.0))

    return [row | {"value": round(float(row["value"]) * ratio(str(row["boost"])), 6)} for row in curves]


def _grown(scale: float, needed: float) -> float:
    """Return a scale that is a quarter more than needed, in half units; never less than it was."""
    return max(scale, math.ceil(2 * needed + 0.5) / 2) if needed else scale


def boost_needed(scores: Floats, lifted: Mask, n: int, k: int) -> float:
    """Return what has to be added to some items' scores until n of them stand on every list of k; 0 if they do.

    A list of k has room for k - n others: the n-th of the lifted items has to pass the next one. Lists that cannot hold
    n of the items are passed over.

    Args:
        scores: (U, n_items), ``EXCLUDED`` for what is no candidate.
        lifted: which items (n_items,).
        n: how many.
        k: length of the lists.

    Example:
        >>> boost_needed(np.array([[3.0, 2.0, 1.5, 0.0]]), np.array([False, False, True, True]), n=1, k=2)
        0.5
    """
    if not 0 < n <= min(k, lifted.sum()) or (~lifted).sum() <= k - n:
        return 0.0
    nth = -np.partition(-scores[:, lifted], n - 1, axis=1)[:, n - 1]
    in_the_way = -np.partition(-scores[:, ~lifted], k - n, axis=1)[:, k - n]
    possible = (nth > EXCLUDED) & (in_the_way > EXCLUDED)
    return float(np.max(in_the_way[possible] - nth[possible], initial=0.0))


def operating_point(curves: list[Row], options: BlendOptions, scales: Boosts) -> Boosts:
    """Return the boosts that the curves and the accepted losses give; one without a curve stays off.

    So does ``popularity_debias``.
    """
    losses = {"cold_boost": options.max_cold_boost_loss, "tail_boost": options.max_tail_boost_loss}
    by_boost = {name: [row for row in curves if row["boost"] == name] for name in losses}
    chosen = {name: select_operating_point(by_boost[name], loss) for name, loss in losses.items() if by_boost[name]}
    return scales.off().model_copy(update=chosen)


def select_operating_point(curve: list[Row], max_loss: float) -> float:
    """Return the largest setting of a trade-off curve that loses at most a share of the accuracy at its start.

    Example:
        >>> curve = [{"value": 0.0, "accuracy": 1.0}, {"value": 0.5, "accuracy": 0.99}, {"value": 1.0, "accuracy": 0.9}]
        >>> select_operating_point(curve, max_loss=0.02)
        0.5
    """
    limit = (1 - max_loss) * float(curve[0]["accuracy"])
    return max(float(row["value"]) for row in curve if float(row["accuracy"]) >= limit)
