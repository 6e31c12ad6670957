"""Reading an A/B test: the difference of two arms with intervals, and whether the users were split as planned.

Users are the unit: each counts once, with a value y (and, of a ratio such as clicks per exposure, a denominator n), in
the order in which they entered. A ratio R = Σ y / Σ n is made linear (delta method; Deng, Knoblich & Lu 2018, §3):
z_i = R + (y_i - R n_i) / n̄ has the mean R and, to first order, its variance. With n = 1 it is y itself.

* **Fixed interval**, d ± t √V with V = s_c² / n_c + s_t² / n_t (Welch 1947): keeps its level if the test is read once,
  at a number of users that was set before.
* **Confidence sequence**, d ± √(2 V (tρ² + 1) / (tρ²) · log(√(tρ² + 1) / α)) after t users (Waudby-Smith et al. 2021,
  eq. 2; with V = σ² / t it is the mixture test of Johari et al. 2022, eq. 6, inverted): keeps its level however often
  the test is read, and may be stopped at any time. ρ makes it narrowest at a planned number of users.
* **CUPED** (Deng et al. 2013, eq. 4): y less θ times what the user did before the test, centred; the difference keeps
  its mean and loses the variance that the past explains.
* **Sample-ratio check** (Fabijan et al. 2019): χ² of the users in each arm against the planned share; at p < .001 the
  arms are not comparable, and no difference may be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import lambertw
from scipy.stats import chi2, t

from tailor.config import Count, Options
from tailor.errors import BadInputError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
#: p below which the split is taken to be broken.
MISMATCH = 1e-3
#: Users in each arm without which nothing is said: both intervals are asymptotic.
MIN_USERS = 30


class ABTestOptions(Options):
    """How a test is read; all of it is set before the test begins."""

    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """Planned share of the users in the treatment arm."""
    level: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """α: chance that an interval does not hold the difference."""
    planned_users: Count = 10_000
    """Users in both arms at which the confidence sequence is narrowest."""


@dataclass(frozen=True)
class Sample:
    """What the users of a test did, in the order in which they entered it."""

    treated: Flags
    """Users of the treatment arm (n,)."""
    value: Floats
    """y (n,)."""
    denominator: Floats | None = None
    """n (n,), not negative, of a ratio; None: the metric is a mean over users."""
    before: Floats | None = None
    """What the user did before the test (n,), NaN where nothing is known; None: no CUPED."""

    def __post_init__(self) -> None:
        """Check lengths and numbers.

        Raises:
            BadInputError: an array has another length, or holds what is no number.
        """
        n = len(self.treated)
        for name in ("value", "denominator", "before"):
            column = getattr(self, name)
            if column is None:
                continue
            if len(column) != n:
                raise BadInputError(f"{name} has {len(column)} entries for {n} users: give one for each")
            bad = np.isinf(column) | (np.isnan(column) & (name != "before"))
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise BadInputError(
                    f"{name} of user {row} is {column[row]}: give a finite number, or leave the user out"
                )
        if self.denominator is not None and (self.denominator < 0).any():
            row = int(np.flatnonzero(self.denominator < 0)[0])
            raise BadInputError(f"denominator of user {row} is {self.denominator[row]:g}: it must not be negative")

    def first(self, n: int) -> "Sample":
        """Return the users who entered first."""
        parts = (self.treated, self.value, self.denominator, self.before)
        return Sample(*(None if part is None else part[:n] for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Analysis:
    """What a test says, in units of the metric."""

    users: tuple[int, int]
    """In control and in treatment."""
    means: tuple[float, float]
    """Metric of either arm; with CUPED, at the same past."""
    difference: float
    """Treatment less control."""
    low: float
    high: float
    """Fixed interval."""
    p_value: float
    """Of the fixed interval's test."""
    sequence_low: float
    sequence_high: float
    """Confidence sequence."""
    variance_explained: float
    """Share of the variance that CUPED took off; 0 without."""
    ratio_p: float
    """p of the sample-ratio check."""

    @property
    def mismatch(self) -> bool:
        """Whether the split is broken, so that the difference must not be read."""
        return self.ratio_p < MISMATCH

    @property
    def verdict(self) -> str:
        """``mismatch``, ``better``, ``worse`` or ``no difference shown``, by the confidence sequence."""
        if self.mismatch:
            return "mismatch"
        if self.sequence_low > 0:
            return "better"
        return "worse" if self.sequence_high < 0 else "no difference shown"


def analyse(sample: Sample, options: ABTestOptions | None = None) -> Analysis:
    """Compare the arms of a test.

    Args:
        sample: users in the order in which they entered.
        options: planned share, level, planned number of users.

    Raises:
        BadInputError: an arm has fewer than ``MIN_USERS`` users, or its denominators sum to 0.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> treated = rng.random(4000) < 0.5
        >>> result = analyse(Sample(treated, rng.poisson(1 + 0.5 * treated).astype(float)))
        >>> result.verdict, round(result.difference, 2)
        ('better', 0.54)
    """
    options = options or ABTestOptions()
    arms = (~sample.treated, sample.treated)
    users = (int(arms[0].sum()), int(arms[1].sum()))
    if min(users) < MIN_USERS:
        raise BadInputError(
            f"The test has {users[0]} users in control and {users[1]} in treatment; wait for {MIN_USERS} in each arm"
        )
    z = np.empty(len(sample.value))
    for arm in arms:
        z[arm] = linearised(sample.value[arm], None if sample.denominator is None else sample.denominator[arm])
    plain = _within(z, arms)
    if sample.before is not None:
        z = z - cuped_adjustment(z, sample.before, arms)
    rest = _within(z, arms)
    means = (float(z[arms[0]].mean()), float(z[arms[1]].mean()))
    parts = [float(z[arm].var(ddof=1)) / int(arm.sum()) for arm in arms]
    difference, variance = means[1] - means[0], sum(parts)
    margin, p_value = _welch(difference, parts, users, options.level)
    radius = sequence_radius(variance, sum(users), options)
    return Analysis(
        users=users,
        means=means,
        difference=difference,
        low=difference - margin,
        high=difference + margin,
        p_value=p_value,
        sequence_low=difference - radius,
        sequence_high=difference + radius,
        variance_explained=1 - rest / plain if plain > 0 else 0.0,
        ratio_p=sample_ratio_p(users, options.share),
    )


def read_along(sample: Sample, counts: Sequence[int], options: ABTestOptions | None = None) -> list[Analysis]:
    """Return what the test said after so many users had entered; counts with too few users in an arm are left out."""
    parts = [sample.first(n) for n in counts]
    enough = [part for part in parts if min(part.treated.sum(), (~part.treated).sum()) >= MIN_USERS]
    return [analyse(part, options) for part in enough]


def linearised(value: Floats, denominator: Floats | None) -> Floats:
    """Return z (n,) whose mean is Σ y / Σ n and whose variance is, to first order, n times that of the ratio.

    Raises:
        BadInputError: the denominators sum to 0.
    """
    if denominator is None:
        return np.asarray(value, dtype=np.float64)
    mean = denominator.mean()
    if mean == 0:
        raise BadInputError("The denominators of an arm sum to 0: nobody in it was shown anything")
    ratio = value.mean() / mean
    return np.asarray(ratio + (value - ratio * denominator) / mean)


def cuped_adjustment(z: Floats, before: Floats, arms: tuple[Flags, Flags]) -> Floats:
    """Return θ (x - x̄) (n,), θ = cov(z, x) / var(x) within the arms.

    Users of whom nothing is known have x̄: they keep their value.
    """
    known = ~np.isnan(before)
    centred = np.where(known, before, 0.0) - (before[known].mean() if known.any() else 0.0)
    centred[~known] = 0.0
    covariance = variance = 0.0
    for arm in arms:
        x = centred[arm] - centred[arm].mean()
        covariance += float(x @ z[arm])
        variance += float(x @ x)
    return np.asarray(centred * (covariance / variance if variance > 0 else 0.0))


def sample_ratio_p(users: tuple[int, int], share: float) -> float:
    """Return p of the χ² test that ``share`` of the users are in the treatment arm.

    Example:
        >>> sample_ratio_p((5000, 5000), 0.5), sample_ratio_p((5000, 5400), 0.5) < MISMATCH
        (1.0, True)
    """
    total = sum(users)
    expected = (total * (1 - share), total * share)
    statistic = sum((seen - planned) ** 2 / planned for seen, planned in zip(users, expected, strict=True))
    return float(chi2.sf(statistic, 1))


def sequence_radius(variance: float, n_users: int, options: ABTestOptions) -> float:
    """Return half the width of the confidence sequence after ``n_users``.

    ρ² = (-W₋₁(-α² / e) - 1) / planned_users makes it narrowest there (Waudby-Smith et al. 2021, §2.3).

    Args:
        variance: V, of the difference.
        n_users: t, in both arms.
        options: level, planned_users.
    """
    alpha = options.level
    rho_squared = float(-lambertw(-(alpha**2) / np.e, -1).real - 1) / options.planned_users
    grown = n_users * rho_squared + 1
    return float(np.sqrt(2 * variance * grown / (grown - 1) * np.log(np.sqrt(grown) / alpha)))


def _within(z: Floats, arms: tuple[Flags, Flags]) -> float:
    return float(sum(((z[arm] - z[arm].mean()) ** 2).sum() for arm in arms))


def _welch(difference: float, parts: list[float], users: tuple[int, int], level: float) -> tuple[float, float]:
    """Return the margin of the fixed interval, and p."""
    variance = sum(parts)
    if variance == 0:
        return 0.0, 1.0 if difference == 0 else 0.0
    freedom = variance**2 / sum(part**2 / (n - 1) for part, n in zip(parts, users, strict=True))
    error = float(np.sqrt(variance))
    return float(t.ppf(1 - level / 2, freedom)) * error, float(2 * t.sf(abs(difference) / error, freedom))
