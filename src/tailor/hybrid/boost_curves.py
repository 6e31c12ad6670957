"""Trade-off curves of the boosts: what each setting costs in accuracy, list by list, and what it exposes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailor.hybrid.blend import apply_boosts, blend
from tailor.hybrid.blend_choice import Row
from tailor.hybrid.config import Boosts
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.training_set import BlendTrainingSet, mean_or_0
from tailor.models.base import Floats, Indices, Mask
from tailor.progress import progress

#: Columns of the trade-off curves, see :meth:`Curve.rows`.
CURVE_COLUMNS = ["boost", "value", "accuracy", "exposure"]
#: A curve has at most so many times ``steps`` settings, however far its boost reaches.
_CURVE = 5


@dataclass(frozen=True, eq=False)
class Curve:
    """One boost from 0 to 1, the others off."""

    boost: str
    settings: list[float]
    """Rising from 0 (s,)."""
    accuracy: NDArray[np.float64]
    """NDCG@k of each list under each setting (s, U); NaN where a list has no positive."""
    exposure: list[float]
    """Of all lists (s,): of ``cold_boost`` NDCG@k of the cold items in mixed lists, of ``tail_boost`` that of the tail
    items in warm lists, of ``popularity_debias`` the share of the catalogue that warm lists cover."""
    domains: Indices | None = None
    """Number of each list's domain (U,); None: there is one domain."""

    def rows(self) -> list[Row]:
        """Return a row for each setting: boost, value, accuracy (the mean over lists), exposure."""
        means = [mean_or_0(values) for values in self.accuracy]
        columns = zip(self.settings, means, self.exposure, strict=True)
        return [dict(zip(CURVE_COLUMNS, (self.boost, *cells), strict=True)) for cells in columns]

    @property
    def n_domains(self) -> int:
        """How many domains the lists are of."""
        return 1 if self.domains is None else 1 + int(self.domains.max(initial=-1))

    def of_domain(self, domain: int) -> NDArray[np.float64]:
        """Return the accuracy (s, u) of the lists of one domain that have a positive."""
        part = self.accuracy if self.domains is None else self.accuracy[:, self.domains == domain]
        return part[:, np.isfinite(part[0])]


def domains_of(scorer: HybridScorer, items: Mask | Indices) -> Indices | None:
    """Return the numbers of the domains of some items; None where there is one domain."""
    return None if scorer.domains is None else scorer.domains[items]


class MixedLists:
    """Scores of mixed lists under shifts and boosts of cold items, from one blend."""

    def __init__(self, scorer: HybridScorer, known: BlendTrainingSet, holdout: Holdout) -> None:
        self.warm, self.tail = scorer.warm[holdout.candidates], scorer.tail[holdout.candidates]
        self.domains = domains_of(scorer, holdout.candidates)
        self.scores = blend(
            list(known.z), scorer.blend, Boosts(), self.warm, self.tail, known.meta, domains=self.domains
        )
        self.has_history = (known.meta.activity > 0)[:, None]

    def shifted(self, shift: float) -> Floats:
        """Return scores (U, n) with cold items shifted for users with a history, boosts off."""
        scores = self.scores.copy()
        scores[:, ~self.warm] += np.float32(shift) * self.has_history
        return scores

    def boosted(self, boosts: Boosts) -> Floats:
        """Return scores (U, n) under boosts."""
        return apply_boosts(self.scores.copy(), boosts, self.warm, self.tail, domains=self.domains)


class WarmLists:
    """Scores of warm lists under boosts, from one blend."""

    def __init__(self, scorer: HybridScorer, warm_part: BlendTrainingSet, items: Indices) -> None:
        self.warm, self.tail = scorer.warm[items], scorer.tail[items]
        self.population_score = scorer.population_score[items]
        self.domains = domains_of(scorer, items)
        self.scores = blend(
            list(warm_part.z), scorer.blend, Boosts(), self.warm, self.tail, warm_part.meta, domains=self.domains
        )
        self.has_history = warm_part.meta.activity > 0

    def boosted(self, boosts: Boosts) -> Floats:
        """Return scores (U, n) under boosts."""
        common, has_history = self.population_score, self.has_history
        return apply_boosts(self.scores.copy(), boosts, self.warm, self.tail, common, has_history, self.domains)


def boost_curves(scorer: HybridScorer, known: BlendTrainingSet, holdout: Holdout, steps: int, k: int) -> list[Curve]:
    """Draw the trade-off curve of every boost: accuracy against exposure, from 0 to 1.

    Accuracy of ``cold_boost`` is that of mixed lists, of the other boosts that of warm ones. Without pseudo-cold items
    there is no curve of ``cold_boost``.

    Args:
        scorer: with the weights that validation chose.
        known: the users the curves are drawn for.
        holdout: the validation side of the split.
        steps: settings beside 0, per standard deviation of the boosts that have a scale.
        k: cut-off.
    """
    cold = holdout.cold[holdout.candidates]
    warm_part, items = known.columns(~cold), np.flatnonzero(holdout.candidates)[~cold]
    mixed, warm, tail = MixedLists(scorer, known, holdout), WarmLists(scorer, warm_part, items), scorer.tail[items]
    off, of_cold = scorer.boosts.off(), list[Curve]()
    if holdout.has_cold_items:
        drawn = _Drawn("cold_boost", off, steps, k, known, mixed.domains)
        of_cold = [drawn.curve(mixed.boosted, lambda s: known.mean_ndcg(s, k, cold))]
    of_tail = _Drawn("tail_boost", off, steps, k, warm_part, warm.domains)
    of_popularity = _Drawn("popularity_debias", off, steps, k, warm_part, warm.domains)
    return [
        *of_cold,
        of_tail.curve(warm.boosted, lambda s: warm_part.mean_ndcg(s, k, tail)),
        of_popularity.curve(warm.boosted, lambda s: warm_part.coverage(s, k)),
    ]


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What a curve is drawn of: a boost, and lists that it changes."""

    boost: str
    off: Boosts
    steps: int
    k: int
    lists: BlendTrainingSet
    domains: Indices | None
    """Number of each item's domain (n,)."""

    def curve(self, boosted: Callable[[Boosts], Floats], exposure: Callable[[Floats], float]) -> Curve:
        settings = settings_of_curve(float(getattr(self.off, f"{self.boost}_scale", 1.0)), self.steps)
        accuracy, exposed = [], []
        for value in progress(settings, f"curve of {self.boost}", "setting"):
            scores = boosted(self.off.model_copy(update={self.boost: value}))
            accuracy.append(self.lists.measure(scores, self.k))
            exposed.append(exposure(scores))
        return Curve(self.boost, settings, np.stack(accuracy), exposed, self._domains_of_lists())

    def _domains_of_lists(self) -> Indices | None:
        """Return the number of each list's domain (U,): that of its positives, which are of one."""
        if self.domains is None:
            return None
        positives = self.lists.positives
        return self.domains[positives.indices[positives.indptr[:-1]]]


def settings_of_curve(scale: float, steps: int) -> list[float]:
    """Return the settings of a boost in [0, 1] at which its curve is drawn: ``steps`` to each standard deviation, and
    five times as many at most.

    Example:
        >>> settings_of_curve(1.5, 2)
        [0.0, 0.333333, 0.666667, 1.0]
    """
    n = min(max(1, math.ceil(steps * scale)), _CURVE * steps)
    return [round(place / n, 6) for place in range(n + 1)]
