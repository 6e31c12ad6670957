"""Weights for who is new to one domain and known from others: from people who are in no fit, their rows there hidden.

What was taken elsewhere says little of a domain by the sources that read texts or an order, much by those that know
what the same people took in both. Lists there have weights of their own, one vector for all domains: from the minimum
of the listwise loss of :mod:`tailor.hybrid.blend_fit` they climb the mean NDCG@k, none below 0, and are taken where
they list better for people they were not fitted on than the weights of who is new everywhere, else these.
"""

import logging
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from tailor.data.domains import domain_masks_of
from tailor.data.interactions import keep_items
from tailor.hybrid.blend import BlendModel, weighted_sum
from tailor.hybrid.blend_fit import coordinate_ascent
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.domain_weights import LEAST_LISTS
from tailor.hybrid.few_shot import fit_nonnegative
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.training_set import BlendTrainingSet, collect
from tailor.models.base import Csr, Floats, Indices

log = logging.getLogger(__name__)


def lists_new_to_domain(
    fits: Sequence[tuple[HybridScorer, Holdout]], options: BlendOptions, seed: int
) -> BlendTrainingSet | None:
    """Return lists of domains for people who are in no fit and whose rows there are hidden.

    They want their train and validation rows there, over everything but pseudo-cold B.

    Args:
        fits: of :func:`tailor.hybrid.few_shot.few_shot_fits`.
        options: max_cells.
        seed: of who is drawn, where not all have room.

    Returns:
        A row for each user and domain; None where nobody has rows in two domains.
    """
    parts = []
    for scorer, holdout in fits:
        most = max(1, options.max_cells // max(len(fits) * int(holdout.candidates.sum()), 1))
        items = holdout.candidates & ~holdout.cold
        for users, known, there in _hidden(scorer, holdout):
            drawn = np.sort(np.random.default_rng([seed, 6]).permutation(len(users))[:most])
            query, seen = holdout.as_if_taken(users[drawn], known[drawn]), sparse.csr_matrix(known[drawn])
            positives = sparse.csr_matrix(there[drawn] > 0, dtype=np.float32)
            parts.append(collect(scorer, query, seen, positives, items, holdout.tie_rank))
    return BlendTrainingSet.join(parts) if parts else None


def _hidden(scorer: HybridScorer, holdout: Holdout) -> list[tuple[Indices, Csr, Csr]]:
    """Return of each domain the few-shot users who have rows there and elsewhere (F,), and both (F, n_items)."""
    rows = sparse.csr_matrix(holdout.reveal_order[holdout.few_shot_users])
    items, hidden = holdout.candidates & ~holdout.cold, []
    for inside in domain_masks_of(scorer.domains, scorer.n_items) if scorer.domains is not None else ():
        known, there = keep_items(rows, ~inside), keep_items(rows, inside & items)
        both = np.flatnonzero((np.diff(known.indptr) > 0) & (np.diff(there.indptr) > 0))
        hidden += [(holdout.few_shot_users[both], known[both], there[both])] if len(both) else []
    return hidden


def fit_new_to_domain(
    lists: BlendTrainingSet | None, of_nobody: Floats, options: BlendOptions, k: int, seed: int
) -> Floats:
    """Return the weights (S,) of a domain's items for who is known from other domains alone.

    Args:
        lists: of :func:`lists_new_to_domain`.
        of_nobody: weights (S,) for who is new everywhere: what these must beat, by more than two standard errors, on
            the half of the lists that they were not fitted on, both ways.
        options: l2.
        k: cut-off.
        seed: of the halves.
    """
    n_lists = 0 if lists is None else lists.n_users
    if lists is None or n_lists < LEAST_LISTS:
        log.info("New to a domain: listed for as who is new everywhere; %d lists", n_lists)
        return of_nobody
    order = np.random.default_rng([seed, 7]).permutation(n_lists)
    halves = [np.sort(order[::2]), np.sort(order[1::2])]
    gains = np.zeros(n_lists)
    for fitted_on, rows_of_others in (halves, halves[::-1]):
        weights, held_out = _fit(lists.take(fitted_on), options, k), lists.take(rows_of_others)
        ours, theirs = (held_out.measure(weighted_sum(list(held_out.z), w), k) for w in (weights, of_nobody))
        gains[rows_of_others] = ours - theirs
    better = gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(n_lists)
    log.info("New to a domain: NDCG %+.4f beside who is new everywhere, on %d lists", gains.mean(), n_lists)
    return _fit(lists, options, k) if better else of_nobody


def _fit(lists: BlendTrainingSet, options: BlendOptions, k: int) -> Floats:
    start = BlendModel(fit_nonnegative(lists, options.l2))
    return coordinate_ascent(lists, start, k, lists.active_mask(), least=0.0).base
