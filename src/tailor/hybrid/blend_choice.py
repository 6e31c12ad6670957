"""Choosing among ways to blend: the simplest that nothing is shown to beat, on users it was not fitted on."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tailor.hybrid import blend_fit
from tailor.hybrid.blend import BlendModel
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.training_set import BlendTrainingSet
from tailor.metrics.significance import Comparison, paired_bootstrap
from tailor.models.base import Indices

#: Fits a model on some users.
Rule = Callable[[BlendTrainingSet], BlendModel]
Row = dict[str, str | float | bool]
BLEND_COLUMNS = ["model", "ndcg", "against", "difference", "low", "high", "selected"]


def choose_blend_model(
    data: BlendTrainingSet, options: BlendOptions, k: int, seed: int
) -> tuple[BlendModel, list[Row]]:
    """Fit every member of ``options.models``, and choose; return the model fitted on all users, and the comparison."""

    def rule(kind: blend_fit.BlendKind) -> Rule:
        return lambda part: blend_fit.fit(part, kind, options, seed, ascend_to=k)

    rules = [rule(kind) for kind in options.models]
    if len(rules) == 1:
        return rules[0](data), []
    values = _cross_judged(rules, data, k, seed)
    selected, comparisons = _simplest_unbeaten(values, seed)
    rows = []
    for place, (against, comparison) in enumerate(comparisons):
        row: Row = {
            "model": options.models[place],
            "ndcg": float(np.nanmean(values[place])),
            "against": options.models[against],
            "difference": comparison.difference,
            "low": comparison.low,
            "high": comparison.high,
            "selected": place == selected,
        }
        rows.append(row)
    return rules[selected](data), rows


def _cross_judged(rules: Sequence[Rule], data: BlendTrainingSet, k: int, seed: int) -> NDArray[np.float64]:
    """Return NDCG@k (rules, U) of each rule for each user, fitted on the half of the users that he is not in."""
    values = np.full((len(rules), data.n_users), np.nan)
    halves = _halves(data.n_users, seed)
    for fitted_on, judged_on in (halves, halves[::-1]):
        train, other = data.take(fitted_on), data.take(judged_on)
        for place, rule in enumerate(rules):
            values[place, judged_on] = other.measure(rule(train).score(list(other.z), other.meta), k)
    return values


def _simplest_unbeaten(values: NDArray[np.float64], seed: int) -> tuple[int, list[tuple[int, Comparison]]]:
    """Return which row (rules, U) is selected, and what each was compared with.

    A later row replaces the one selected so far if its mean is higher with a 95 % paired-bootstrap interval above 0.
    """
    selected, comparisons = 0, list[tuple[int, Comparison]]()
    for richer in range(len(values)):
        comparison = paired_bootstrap(values[richer], values[selected], seed=seed)
        comparisons.append((selected, comparison))
        if richer and np.isfinite(values[selected]).any() and comparison.low > 0:
            selected = richer
    return selected, comparisons


def _halves(n: int, seed: int) -> tuple[Indices, Indices]:
    order = np.random.default_rng([seed, 3]).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])
