"""Planning an A/B test: how many users show a difference, and what a number of users can show.

Two-sided z-tests, users as the unit, equal or unequal arms.
"""

import math

from scipy.stats import norm

from tailor.errors import BadInputError


def sample_size_rates(base: float, lift: float, power: float = 0.8, level: float = 0.05, ratio: float = 1.0) -> int:
    """Return users needed in the control arm to show that a rate went from ``base`` to ``base * (1 + lift)``.

    n = (z_(1-α/2) √((1 + 1/r) p̄ q̄) + z_power √(p₁q₁ + p₂q₂ / r))² / (p₂ - p₁)², p̄ = (p₁ + r p₂) / (1 + r).
    Fleiss, Levin & Paik 2003, eq. 4.14 (without continuity correction).

    Args:
        base: rate in control, in (0, 1).
        lift: relative change to be shown, not 0.
        power: chance to show it if it is there.
        level: chance to show it if it is not.
        ratio: r, users in the treatment arm per user in control.

    Raises:
        BadInputError: an argument is out of its range.
    """
    changed = base * (1 + lift)
    _check(power, level, ratio)
    if not (0 < base < 1 and 0 < changed < 1) or lift == 0:
        raise BadInputError(
            f"base = {base:g} and base * (1 + lift) = {changed:g} must lie in (0, 1), lift must not be 0"
        )
    mean = (base + ratio * changed) / (1 + ratio)
    under_null = math.sqrt((1 + 1 / ratio) * mean * (1 - mean))
    under_lift = math.sqrt(base * (1 - base) + changed * (1 - changed) / ratio)
    z = norm.ppf(1 - level / 2) * under_null + norm.ppf(power) * under_lift
    return math.ceil((z / (changed - base)) ** 2)


def sample_size_means(
    deviation: float, difference: float, power: float = 0.8, level: float = 0.05, ratio: float = 1.0
) -> int:
    """Return users needed in the control arm to show a difference of means: n = (1 + 1/r) (z_(1-α/2) + z_power)² σ²/δ².

    Args:
        deviation: σ of a user's value, alike in both arms (of the paired difference, if users see both).
        difference: δ to be shown, not 0.
        power: chance to show it if it is there.
        level: chance to show it if it is not.
        ratio: r, users in the treatment arm per user in control.

    Raises:
        BadInputError: an argument is out of its range.
    """
    _check(power, level, ratio)
    if deviation <= 0 or difference == 0:
        raise BadInputError(f"deviation = {deviation:g} must be positive and difference = {difference:g} not 0")
    z = norm.ppf(1 - level / 2) + norm.ppf(power)
    return math.ceil((1 + 1 / ratio) * (z * deviation / difference) ** 2)


def power_means(n: int, deviation: float, difference: float, level: float = 0.05, ratio: float = 1.0) -> float:
    """Return the chance to show a difference δ of means with ``n`` users in control and r n in treatment."""
    _check(0.5, level, ratio)
    if n < 1 or deviation <= 0:
        raise BadInputError(f"n = {n} must be at least 1 and deviation = {deviation:g} positive")
    shift = abs(difference) / (deviation * math.sqrt((1 + 1 / ratio) / n))
    border = norm.ppf(1 - level / 2)
    return float(norm.sf(border - shift) + norm.cdf(-border - shift))


def detectable_difference(
    n: int, deviation: float, power: float = 0.8, level: float = 0.05, ratio: float = 1.0
) -> float:
    """Return the smallest difference of means that ``n`` users in control show with the given power."""
    _check(power, level, ratio)
    if n < 1 or deviation <= 0:
        raise BadInputError(f"n = {n} must be at least 1 and deviation = {deviation:g} positive")
    return float((norm.ppf(1 - level / 2) + norm.ppf(power)) * deviation * math.sqrt((1 + 1 / ratio) / n))


def _check(power: float, level: float, ratio: float) -> None:
    if not (0 < power < 1 and 0 < level < 1 and ratio > 0):
        raise BadInputError(f"power = {power:g} and level = {level:g} must lie in (0, 1), ratio = {ratio:g} above 0")
