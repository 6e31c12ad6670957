"""Rankings that are the same for everybody: what is trending, what is new."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tailor.data.item_dates import RELEASED
from tailor.errors import BadInputError
from tailor.serving.events import EVENTS_UNTIL, Trend

if TYPE_CHECKING:
    from tailor.serving.recommender import Recommender


def trending(model: "Recommender", days: int) -> NDArray[np.float64]:
    """Return how many took each item in the last days (n_items,), events included; ties go to the more popular.

    Args:
        model: with the times of items, or events.
        days: before the newest interaction.

    Raises:
        BadInputError: nothing is known of times.
    """
    until = None if model.item_times is None else model.item_times.until
    # What an update has taken in counts among the times of items.
    since = 0 if until is None else int(model.about.get(EVENTS_UNTIL, 0))
    trend = Trend(until) if model.events is None else model.events.trend(days, until, model.event_options, since)
    if trend.newest is None:
        raise BadInputError("rank_by = trending: nothing is known of when items were taken. Rank by score.")
    n_taken = np.zeros(len(model.items))
    if model.item_times is not None:
        n_taken += model.item_times.window(days, trend.newest)
    items, takers = model.item_indices(list(trend.takers)), np.array(list(trend.takers.values()), dtype=float)
    np.add.at(n_taken, items[items >= 0], takers[items >= 0])
    return np.asarray(n_taken + model.popularity / (model.popularity.max(initial=0) + 1))


def newness(model: "Recommender") -> NDArray[np.float64]:
    """Return how far in front of the oldest each item stands (n_items,), from 0 to 1; what has no date is 0.

    By the release date that the catalogue names, else by the first interaction.

    Raises:
        BadInputError: neither is known.
    """
    table = None if model.metadata is None else model.metadata.table
    if table is not None and RELEASED in table:
        dates = table[RELEASED].to_numpy()
    elif model.item_times is not None:
        dates = model.item_times.first
    else:
        raise BadInputError(
            "rank_by = newest: neither feature_engineering.dates.released nor the times of interactions say what is"
            " new. Rank by score."
        )
    known = ~np.isnan(dates)
    # Ranks, since seconds would lose their last digits.
    ranks = np.searchsorted(np.unique(dates[known]), dates, side="right") / len(dates)
    return np.where(known, ranks, 0.0)
