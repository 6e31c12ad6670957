"""What timestamps are: dates, or mere places in an order."""

from typing import Final

import pandas as pd

#: Seconds since 1970 at the begin of the years 1800 and 2200.
_FIRST_SECOND, _LAST_SECOND = -5_364_662_400.0, 7_258_118_400.0
#: Times that all lie from 0 to here (March 1973, as seconds) are places in an order: no rate and no date follows.
PLACES: Final = 1e8


def are_dates(times: pd.Series) -> bool:
    """Tell whether times are seconds since 1970; if not they are places in an order, or of another unit.

    Args:
        times: at least one, none of them missing.

    Example:
        >>> [are_dates(pd.Series(times)) for times in ([1, 2, 3], [1_300_000_000, 1_400_000_000], [1.3e12])]
        [False, True, False]
    """
    first, last = float(times.min()), float(times.max())
    return first >= _FIRST_SECOND and last <= _LAST_SECOND and not (first >= 0 and last < PLACES)
