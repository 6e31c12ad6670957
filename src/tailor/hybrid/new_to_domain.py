"""Weights for who is new to one domain and known from others: from people who are in no fit, their rows there hidden.

What was taken elsewhere says little of a domain by the sources that read texts or an order, much by those that know
what the same people took in both. Lists there have weights of their own, one vector for all domains: those at the
minimum of the listwise loss of :mod:`tailor.hybrid.blend_fit`, where they list better for people they were not fitted
on than the weights of who is new everywhere, else these.
"""

import logging
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from tailor.data.domains import domain_masks_of
from tailor.data.interactions import keep_items
from tailor.hybrid.blend import weighted_sum
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.few_shot import fit_nonnegative
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.training_set import BlendTrainingSet, collect
from tailor.models.base import Csr, Floats, Indices, Query

log = logging.getLogger(__name__)
#: Lists below which there are no weights of their own.
_LEAST_LISTS = 40


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
        for users, known, there in _hidden(scorer, holdout):
            drawn = np.sort(np.random.default_rng([seed, 6]).permutation(len(users))[:most])
            parts.append(_lists(scorer, holdout, users[drawn], known[drawn], there[drawn]))
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


def _lists(scorer: HybridScorer, holdout: Holdout, users: Indices, known: Csr, there: Csr) -> BlendTrainingSet:
    query = Query.of(
        known,
        known if holdout.knows_order else None,
        profile=holdout.histories.profile[users],
        context=holdout.validation_contexts[users],
        user_index=users,
        user_text=holdout.user_texts.sums(known, users),
    )
    positives = sparse.csr_matrix(there > 0, dtype=np.float32)
    return collect(scorer, query, known, positives, holdout.candidates & ~holdout.cold, holdout.tie_rank)


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
    if lists is None or lists.n_users < _LEAST_LISTS:
        log.info(
            "New to a domain: listed for as who is new everywhere; %d lists", 0 if lists is None else lists.n_users
        )
        return of_nobody
    order = np.random.default_rng([seed, 7]).permutation(lists.n_users)
    gains = np.zeros(lists.n_users)
    for fitted_on, held_out in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        weights, part = fit_nonnegative(lists.take(np.sort(fitted_on)), options.l2), lists.take(np.sort(held_out))
        ours, theirs = (part.measure(weighted_sum(list(part.z), w), k) for w in (weights, of_nobody))
        gains[np.sort(held_out)] = ours - theirs
    better = gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains))
    log.info("New to a domain: NDCG %+.4f beside who is new everywhere, on %d lists", gains.mean(), len(gains))
    return fit_nonnegative(lists, options.l2) if better else of_nobody
