"""A test of the challenger against the champion while both answer: who gets which, and what the log says was listed."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailor.columns import CHALLENGER, CHAMPION
from tailor.data.hashing import seeded_hash
from tailor.data.units import unit_of
from tailor.errors import BadInputError
from tailor.serving.recommender import Recommender
from tailor.types import JsonObject

if TYPE_CHECKING:
    from tailor.serving.champion import Champion
    from tailor.state.events import EventStore

log = logging.getLogger(__name__)
#: Seconds in which a database that did not take exposures is not asked again.
_AFTER_FAILURE_S = 15.0
#: Seconds that a list waits for a database that another process changes.
_PATIENCE_S = 1.0


class Assigned(NamedTuple):
    """Which model answers a request."""

    model: Recommender
    version: str
    variant: str | None
    """Arm of the experiment; None: the request is in none."""


@dataclass(frozen=True)
class Experiment:
    """Users are dealt out by a hash of the experiment's name and their id: for good, evenly, with nothing stored.

    Another name deals them out anew, independently of this one. A session stands for who has no id. Requests with
    neither are in no arm: the champion answers them, since whoever comes back could not be recognised.
    """

    name: str
    share: float
    """Of the users who get the challenger, in (0, 1)."""
    challenger: "Champion"

    def variant(self, unit: str) -> str:
        """Return the arm of a user, or of a session as :func:`tailor.data.units.unit_of` names it.

        Example:
            >>> Experiment("buttons", 0.5, challenger=None).variant("u1")
            'champion'
        """
        return CHALLENGER if positions(self.name, [unit])[0] < self.share else CHAMPION

    def assign(self, champion: "Champion", user_id: str | None, session_id: str | None = None) -> Assigned:
        """Return what answers a user, or somebody without an id in a session."""
        unit = unit_of(user_id, session_id)
        if unit is None:
            return Assigned(*champion.up_to_date(), None)
        variant = self.variant(unit)
        return Assigned(*(self.challenger if variant == CHALLENGER else champion).up_to_date(), variant)

    def describe(self) -> JsonObject:
        """Return name, share, the challenger's version, and why a later one does not answer."""
        about = {"version": self.challenger.version, "last_error": self.challenger.last_error}
        return {"name": self.name, "share": self.share, "challenger": about}


def positions(experiment: str, user_ids: Sequence[str]) -> NDArray[np.float64]:
    """Return where in [0, 1) users stand in an experiment (n,): uniform, and independent between experiments."""
    names = np.full(len(user_ids), experiment, dtype=object)
    hashed = seeded_hash(0, names, np.asarray(user_ids, dtype=object))
    return (hashed >> np.uint64(11)).astype(np.float64) / 2**53


@dataclass
class ExposureLog:
    """Writes what was listed to the events, before the answer is sent.

    The list comes first: a database that does not take exposures refuses no answer, and delays none by more than a
    second. Then the answer says ``exposures_logged: false``, the log says why, and the database is left alone for a
    while.
    """

    store: "EventStore"
    on_loss: Callable[[int], None] = field(default=lambda _: None, repr=False)
    """Is given the number of exposures of a list that was not written."""
    _next: float = field(default=0.0, repr=False)

    def write(
        self,
        assigned: Assigned,
        user_id: str | None,
        request_id: str,
        listed: Sequence[JsonObject],
        session_id: str | None = None,
    ) -> bool:
        """Store one event per item of a list; return whether they are durable.

        Args:
            assigned: what answered.
            user_id: who asked.
            request_id: of the answer; with the rank it is the event's id, so that an answer that is repeated is stored
                once.
            listed: ``item_id``, ``rank`` and, of a list that was drawn, ``propensity``, by item.
            session_id: of the request; it is stored where no user asked.
        """
        name = assigned.model.people.name(assigned.model.users, user_id)
        about = {"kind": "exposure", "user_id": name, "request_id": request_id}
        about |= {"variant": assigned.variant, "version": assigned.version}
        about |= {"session_id": session_id} if user_id is None else {}
        rows = [about | entry | {"event_id": f"{request_id}:{entry['rank']}"} for entry in listed]
        if not rows:
            return True
        # An id that no database holds is no reason to leave this one alone.
        if time.monotonic() >= self._next and (user_id or "").isprintable():
            try:
                self.store.append(rows, _PATIENCE_S)
                return True
            except BadInputError as problem:
                # Of the database, not of an id that was sent before for another list.
                if hasattr(problem, "http_status"):
                    self._next = time.monotonic() + _AFTER_FAILURE_S
                log.warning("Exposures are not stored: %s", problem)
        self.on_loss(len(rows))
        return False
