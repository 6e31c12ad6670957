"""People whom a recommender must not know any more: hidden at once, or taken out of what it holds."""

from dataclasses import dataclass, replace

import numpy as np

from tailor.data.ids import IdMap
from tailor.data.people import SuppressionList
from tailor.serving.recommender import Recommender


def with_suppressed(recommender: Recommender, suppressed: SuppressionList) -> Recommender:
    """Return a recommender that answers people of the list like anybody unknown; what it holds stays.

    Cheap whatever the number of users: ids are compared when they are asked for.
    """
    if suppressed == recommender.people.suppressed:
        return recommender
    people = replace(recommender.people, suppressed=suppressed)
    return recommender.keeping_the_encoder(replace(recommender, people=people))


@dataclass(frozen=True)
class Forgotten:
    """A recommender without some people, and what went with them."""

    recommender: Recommender
    counts: dict[str, int]
    """users, interactions."""
    model_id: str | None = None
    """Of the logged model that these people were taken out of; None where it is not known."""


def without_suppressed(recommender: Recommender, suppressed: SuppressionList) -> Forgotten:
    """Take people out of everything that is held by user: ids, histories, profiles, sums of what they wrote.

    What was fitted stays as it is, and so do the lists of all others: item factors, item-item weights, popularity and
    the language model saw the rows of these people, and no arithmetic on a fitted model takes that back.
    :func:`tailor.registry.forget.refitted` does.

    Args:
        recommender: whose users go by ids or by pseudonyms.
        suppressed: names of either kind.
    """
    stays = np.flatnonzero(~suppressed.mask(recommender.user_ids))
    rest = recommender.histories.take(stays)
    counts = {
        "users": len(recommender.user_ids) - len(stays),
        "interactions": int(recommender.histories.history.nnz - rest.history.nnz),
    }
    histories = replace(rest, user_index=np.arange(len(stays)), memo={})
    users = IdMap(recommender.user_ids[stays])
    blocked = None if recommender.blocked is None else recommender.blocked[stays]
    reduced = replace(recommender, users=users, histories=histories, blocked=blocked)
    return Forgotten(recommender.keeping_the_encoder(reduced), counts)
