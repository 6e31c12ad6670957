"""Blend weights of each domain, shrunk toward those of all: how far, each domain's validation lists say.

    θ_d = (1 - s) θ + s θ'_d

θ are the weights of all domains, θ'_d those that one domain's lists alone would have, s a share that cross-validation
chooses: θ'_d is fitted on half of the people and judged on the others, both ways.
"""

import logging
from collections.abc import Sequence

import numpy as np

from tailor.data.domains import domain_masks_of
from tailor.hybrid import blend_fit
from tailor.hybrid.blend import BlendModel
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.training_set import BlendTrainingSet
from tailor.models.base import Floats, Indices, Mask

log = logging.getLogger(__name__)
#: Lists of a domain below which its weights are those of all.
LEAST_LISTS = 40


def fit_domain_weights(
    known: BlendTrainingSet,
    domains: Indices,
    warm: Mask,
    shared: BlendModel,
    options: BlendOptions,
    k: int,
    seed: int,
) -> Floats:
    """Fit the weights (D, S) of warm items of each domain; empty where all take the shared ones.

    Args:
        known: lists of people over items of all domains, a row for each domain (U, n).
        domains: number of each item's domain (n,).
        warm: items with train interactions (n,).
        shared: what was fitted on all lists.
        options: l2, and the shares that are tried; shares of 0 alone cost no fit.
        k: cut-off.
        seed: of the halves.
    """
    shares = sorted({0.0, *options.domain_shares})
    if not shared.is_linear or shares == [0.0]:
        return np.zeros((0, 0), np.float32)
    rows = []
    for number, of_domain in enumerate(domain_masks_of(domains, len(domains))):
        part = known.columns(warm & of_domain)
        share = choose_share(part, shared, shares, options, k, seed)
        weights = blend_fit.fit(part, "linear", options, seed, ascend_to=k).base if share else shared.base
        rows.append(_between(shared.base, weights, share))
        log.info("Domain %d: weights of all lists and, with share %g, of its %d lists", number, share, part.n_users)
    return np.stack(rows) if any((row != shared.base).any() for row in rows) else np.zeros((0, 0), np.float32)


def choose_share(
    part: BlendTrainingSet, shared: BlendModel, shares: Sequence[float], options: BlendOptions, k: int, seed: int
) -> float:
    """Return the least share whose weights list as well as the best, for people that they were not fitted on.

    As well: within one standard error of the difference, person by person (Breiman et al. 1984, "Classification and
    regression trees", §3.4.3).

    Args:
        part: lists of one domain.
        shared: weights of all domains.
        shares: what is tried, rising.
        options: l2.
        k: cut-off.
        seed: of the halves.
    """
    if part.n_users < LEAST_LISTS:
        return 0.0
    order = np.random.default_rng([seed, 5]).permutation(part.n_users)
    halves = [np.sort(order[::2]), np.sort(order[1::2])]
    values = np.zeros((len(shares), part.n_users))
    for fitted_on, rows_of_others in (halves, halves[::-1]):
        weights = blend_fit.fit(part.take(fitted_on), "linear", options, seed, ascend_to=k).base
        held_out = part.take(rows_of_others)
        for place, share in enumerate(shares):
            model = BlendModel(_between(shared.base, weights, share))
            values[place, rows_of_others] = held_out.measure(model.score(list(held_out.z), held_out.meta), k)
    behind = values[values.mean(axis=1).argmax()] - values
    error = behind.std(axis=1, ddof=1) / np.sqrt(part.n_users)
    return shares[int((behind.mean(axis=1) <= error).argmax())]


def _between(shared: Floats, weights: Floats, share: float) -> Floats:
    """Return weights on the way from the shared ones to others; their absolute values sum to 1, as of all weights."""
    if not share:
        return shared
    mean = (1 - share) * shared + share * weights
    return np.asarray(mean / (np.abs(mean).sum() or 1.0), dtype=np.float32)
