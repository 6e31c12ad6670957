"""Blend weights of each domain, shrunk toward those of all: how far, each domain's validation lists say.

    θ_d = (1 - s) θ + s θ'_d

θ are the weights of all domains, θ'_d those that one domain's lists alone would have, s a share that cross-validation
chooses: both are fitted on half of the people and judged on the others, both ways. Judged on lists that it was fitted
on, θ would look better than it is, and s be 0.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tailor.hybrid import blend_fit
from tailor.hybrid.blend import BlendModel
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.training_set import BlendTrainingSet
from tailor.models.base import Floats

log = logging.getLogger(__name__)
#: Lists of a domain below which its weights are those of all.
LEAST_LISTS = 40


def may_differ(shared: BlendModel, options: BlendOptions) -> bool:
    """Tell whether weights of a domain may differ from the shared ones: these are linear, and there is a share."""
    return shared.is_linear and any(options.domain_shares)


def fit_domain_weights(
    lists: Sequence[BlendTrainingSet], shared: BlendModel, options: BlendOptions, k: int, seed: int
) -> Floats:
    """Fit the weights (D, S) of warm items of each domain; empty where all take the shared ones.

    Args:
        lists: of each domain the lists of people over its warm items.
        shared: what was fitted on the lists of all.
        options: l2, and the shares that are tried.
        k: cut-off.
        seed: of the halves.
    """
    if not may_differ(shared, options) or max(part.n_users for part in lists) < LEAST_LISTS:
        return np.zeros((0, 0), np.float32)
    shares = choose_shares(lists, options, k, seed)
    rows = []
    for number, (part, share) in enumerate(zip(lists, shares, strict=True)):
        weights = blend_fit.fit_linear(part, shared, options, k).base if share else shared.base
        rows.append(_between(shared.base, weights, share))
        log.info("Domain %d: weights of all lists and, with share %g, of its %d lists", number, share, part.n_users)
    return np.stack(rows) if any(shares) else np.zeros((0, 0), np.float32)


def choose_shares(lists: Sequence[BlendTrainingSet], options: BlendOptions, k: int, seed: int) -> list[float]:
    """Return of each domain the least share whose weights list as well as the best, for people that none of the weights
    were fitted on; 0 for one of fewer than ``LEAST_LISTS`` lists.

    As well: within one standard error of the difference, person by person (Breiman et al. 1984, "Classification and
    regression trees", §3.4.3).

    Args:
        lists: of each domain.
        options: l2, and the shares that are tried.
        k: cut-off.
        seed: of the halves.
    """
    tried = sorted({0.0, *options.domain_shares})
    orders = [np.random.default_rng([seed, 5]).permutation(part.n_users) for part in lists]
    halves = [(np.sort(order[::2]), np.sort(order[1::2])) for order in orders]
    values = [np.zeros((len(tried), part.n_users)) for part in lists]
    for side in (0, 1):
        fitted_on = [part.take(rows[side]) for part, rows in zip(lists, halves, strict=True)]
        shared = blend_fit.fit(BlendTrainingSet.join(fitted_on), "linear", options, seed, ascend_to=k)
        for number, part in enumerate(lists):
            if part.n_users < LEAST_LISTS:
                continue
            weights = blend_fit.fit_linear(fitted_on[number], shared, options, k).base
            others = halves[number][1 - side]
            held_out = part.take(others)
            for place, share in enumerate(tried):
                model = BlendModel(_between(shared.base, weights, share))
                values[number][place, others] = held_out.measure(model.score(list(held_out.z), held_out.meta), k)
    return [tried[_least(each)] for each in values]


def _least(values: NDArray[np.float64]) -> int:
    """Return the first row (s, n) that is within one standard error of the best; the first of few lists."""
    n_lists = values.shape[1]
    if n_lists < LEAST_LISTS:
        return 0
    behind = values[values.mean(axis=1).argmax()] - values
    error = behind.std(axis=1, ddof=1) / np.sqrt(n_lists)
    return int((behind.mean(axis=1) <= error).argmax())


def _between(shared: Floats, weights: Floats, share: float) -> Floats:
    """Return weights on the way from the shared ones to others; their absolute values sum to 1, as of all weights."""
    if not share:
        return shared
    mean = (1 - share) * shared + share * weights
    return np.asarray(mean / (np.abs(mean).sum() or 1.0), dtype=np.float32)
