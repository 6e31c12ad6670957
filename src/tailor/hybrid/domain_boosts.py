"""The operating point of each domain: that of all, moved as far as the lists of the domain speak against it.

A boost stands at the largest setting that loses no more accuracy than ``hybrid_cf.blend`` accepts, on the lists of all
domains together. In one domain people may take the tail, in another one they may not. With e_v the loss beyond what is
accepted of a list under the setting v, and its mean known to one standard error,

    least    the largest v whose mean e_v + error is not above 0: surely accepted,
    most     the largest v whose mean e_v - error is not above 0: not surely refused.

A domain stands at the setting between the two that is nearest to the shared one: few lists have a large error, and say
nothing against it.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tailor.hybrid.boost_curves import Curve
from tailor.hybrid.config import BlendOptions, Boosts, DomainBoosts

log = logging.getLogger(__name__)
#: Lists of a domain below which it stands where all do: an error of so few is no error.
LEAST_LISTS = 40


def fit_domain_boosts(curves: Sequence[Curve], shared: Boosts, options: BlendOptions) -> list[DomainBoosts]:
    """Choose the operating point of each domain, in the order of their numbers; empty where none leaves the shared one.

    Args:
        curves: of every boost; one without a curve stays where ``shared`` has it.
        shared: the operating point of all lists.
        options: what the boosts may cost; ``boosts_by_domain``: false stops here.
    """
    losses = {"cold_boost": options.max_cold_boost_loss, "tail_boost": options.max_tail_boost_loss}
    of_lists = {curve.boost: curve for curve in curves if curve.boost in losses and curve.domains is not None}
    if not options.boosts_by_domain:
        return []
    at_shared = DomainBoosts(cold_boost=shared.cold_boost, tail_boost=shared.tail_boost)
    chosen = []
    for domain in range(max((curve.n_domains for curve in of_lists.values()), default=0)):
        settings = at_shared.model_dump()
        for boost, curve in of_lists.items():
            values = curve.of_domain(domain)
            settings[boost] = nearest_setting(curve.settings, values, settings[boost], losses[boost])
            log.info("Domain %d: %s %g, of %d lists of its own", domain, boost, settings[boost], values.shape[1])
        chosen.append(DomainBoosts(**settings))
    return chosen if any(point != at_shared for point in chosen) else []


def nearest_setting(settings: Sequence[float], accuracy: NDArray[np.float64], shared: float, max_loss: float) -> float:
    """Return the setting nearest to the shared one that the lists of a domain do not speak against.

    Args:
        settings: of a boost, rising from 0 (s,).
        accuracy: of each list under each of them (s, u).
        shared: where the boost stands for all lists.
        max_loss: share of the accuracy at 0 that may be lost.

    Example:
        >>> lost = np.outer([0.0, 0.0, 0.5], np.ones(100))  # the last setting loses half of every list
        >>> nearest_setting([0.0, 0.5, 1.0], 1 - lost, shared=1.0, max_loss=0.01)
        0.5
    """
    n_lists = accuracy.shape[1]
    if n_lists < LEAST_LISTS:
        return shared
    beyond = (1 - max_loss) * accuracy[0] - accuracy
    mean, error = beyond.mean(axis=1), beyond.std(axis=1, ddof=1) / np.sqrt(n_lists)
    values = np.asarray(settings)
    least, most = (float(values[accepted].max(initial=0.0)) for accepted in (mean + error <= 0, mean - error <= 0))
    return min(max(shared, least), most)
