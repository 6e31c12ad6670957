"""What users did since the fit, in their answers: read from the database of the state at every request."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Literal, Protocol, get_args

import pandas as pd
from pydantic import Field

from tailor import columns as c
from tailor.config import Options
from tailor.data.ids import IdMap
from tailor.errors import BadInputError
from tailor.serving.package import CATALOGUE_READ_AT
from tailor.serving.schema import Request

if TYPE_CHECKING:
    from tailor.serving.recommender import Recommender
    from tailor.state.events import Event, EventStore
    from tailor.state.store import StateStore

log = logging.getLogger(__name__)
#: Key of ``about``: how events are read, see :class:`EventOptions`; and the last one that an update has taken in.
EVENTS, EVENTS_UNTIL = "events", "events_until"
#: Kinds that speak for an item, and the one that speaks against it.
Positive = Literal["view", "click", "cart", "buy", "rate", "like"]
NOT_FOR_ME: Final = "not_for_me"
POSITIVE: Final[tuple[str, ...]] = get_args(Positive)
_READ: Final = (*POSITIVE, NOT_FOR_ME)
#: Events of each kind that are read of a user, the latest.
MAX_EVENTS = 1000
#: Seconds in which a database that did not answer is not asked again.
_AFTER_FAILURE_S = 1.0
#: Seconds for which what is trending holds: it is the same for everybody, and reads the events of all.
_TREND_S, _DAY_S = 10.0, 86_400.0
_WEIGHTS: Final[dict[Positive, float]] = {
    "view": 0.2,
    "click": 0.3,
    "cart": 0.6,
    "buy": 1.0,
    "rate": 1.0,
    "like": 1.0,
}


class EventOptions(Options):
    """``parameters/events.yml``: what an event says of an item."""

    weights: dict[Positive, Annotated[float, Field(ge=0, le=100)]] = dict(_WEIGHTS)
    """Confidence of an item in a history, by kind of event; a kind that is left out says nothing."""
    least: Annotated[float, Field(gt=0, le=100)] = 0.5
    """What weighs less becomes no part of a history, and no interaction of an update."""
    least_rating: float | None = None
    """A ``rate`` below it says nothing for the item; None: what `data_processing.cleaning.implicit_threshold` says."""

    def weight(self, event: "Event") -> float:
        """Return how much an event says for its item; 0: nothing."""
        if event.kind == "rate" and self.least_rating is not None and (event.value or 0.0) < self.least_rating:
            return 0.0
        return self.weights.get(event.kind, 0.0)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class UserEvents:
    """What the events of a user say; of an item that he turned down and took, the later event counts."""

    history: tuple[str, ...] = ()
    """Items that join his history, in the order of their latest event."""
    weights: tuple[float, ...] = ()
    """Confidence of each: the largest of its events."""
    bought: frozenset[str] = frozenset()
    """Items that are known to him, whatever they weigh."""
    not_for_him: frozenset[str] = frozenset()
    """Items that must not be listed."""

    @classmethod
    def of(
        cls,
        events: Sequence["Event"],
        options: EventOptions,
        taken_in: Callable[["Event"], bool] = lambda _: False,
    ) -> "UserEvents":
        """Read events in the order they came.

        Args:
            events: on items, of one user.
            options: what they weigh.
            taken_in: whether an event is in the stored history already.
        """
        weights, not_for_him, bought = dict[str, float](), set[str](), set[str]()
        for event in events:
            item, weight = str(event.item_id), options.weight(event)
            if event.kind == NOT_FOR_ME:
                weights.pop(item, None)
                not_for_him.add(item)
                continue
            if event.kind == "buy":
                bought.add(item)
            if event.kind == "buy" or weight >= options.least:
                not_for_him.discard(item)
            if weight >= options.least and not taken_in(event):
                weights[item] = max(weight, weights.pop(item, 0.0))
        return cls(tuple(weights), tuple(weights.values()), frozenset(bought), frozenset(not_for_him))

    def before(self, request: Request, items: IdMap, *, exclude_seen: bool) -> tuple[Request, int]:
        """Return a request behind these events, and how many items they brought to its history.

        Args:
            request: of this user; what it says itself comes later and counts.
            items: of the catalogue; events on others bring nothing.
            exclude_seen: whether what was bought is left out.
        """
        pairs = zip(self.history, self.weights, strict=True)
        joins = {item: weight for item, weight in pairs if item in items and item not in request.history}
        left_out = self.not_for_him | self.bought if exclude_seen else self.not_for_him
        return request.behind(joins, sorted(left_out)), len(joins)


@dataclass(frozen=True)
class TakenIn:
    """Events as interactions."""

    rows: pd.DataFrame
    """user_id, item_id, timestamp, and confidence where it is asked for: one row for each user and item, in the order
    of the latest event."""
    counts: dict[str, int]
    """Events by what became of them."""


def as_interactions(
    batches: Iterable[Sequence["Event"]],
    options: EventOptions,
    items: IdMap,
    *,
    sure: bool = False,
    name: Callable[[str], str | None] = str,
    taken_in: Callable[[str, "Event"], bool] = lambda *_: False,
) -> TakenIn:
    """Make interactions of what weighs enough; what a user turned down later is none.

    Args:
        batches: events in the order they came.
        options: what they weigh.
        items: of the catalogue; events on others are counted and left out.
        sure: whether rows say how sure they are (``confidence``), by the strongest event of the pair.
        name: under which a stored user joins; None: nothing of this user may be taken in.
        taken_in: whether an event of a user, by that name, is in the stored history already.
    """
    latest, counts = dict[tuple[str, str], tuple[float, float]](), Counter[str]()
    for event in (event for batch in batches for event in batch):
        user = None if event.user_id is None else name(event.user_id)
        pair = (str(user), str(event.item_id))
        if event.user_id is None:
            counts["of anonymous visitors"] += 1
        elif user is None:
            counts["of people who are suppressed"] += 1
        elif event.kind == NOT_FOR_ME:
            counts["not for me"] += 1
            latest.pop(pair, None)
        elif options.weight(event) < options.least:
            counts["that weigh too little"] += 1
        elif event.item_id not in items:
            counts["on unknown items"] += 1
        elif taken_in(user, event):
            counts["taken in already"] += 1
        else:
            counts["that say something"] += 1
            _, before = latest.pop(pair, (0.0, 0.0))
            # An event of the future counts as of when it came: a client's clock must not move the newest interaction.
            latest[pair] = min(event.occurred_at, event.received_at), max(before, options.weight(event))
    rows = [(*pair, *of_pair) for pair, of_pair in latest.items()]
    table = pd.DataFrame(rows, columns=[c.USER, c.ITEM, c.TIMESTAMP, c.CONFIDENCE])
    table = table.astype({c.USER: str, c.ITEM: str, c.TIMESTAMP: "float64", c.CONFIDENCE: "float64"})
    return TakenIn(table if sure else table.drop(columns=c.CONFIDENCE), dict(counts))


class EventLog(Protocol):
    """Where events are read from."""

    def latest(self, user_ids: Sequence[str]) -> Mapping[str, Sequence["Event"]]:
        """Return the latest events of users on items, in the order they came."""
        ...

    def trend(self, days: int, until: float | None, options: EventOptions, since_place: int = 0) -> "Trend":
        """Return what was taken in the last days before the newest interaction."""
        ...


@dataclass(frozen=True)
class Trend:
    """What was taken lately, by events."""

    newest: float | None
    """Time of the newest interaction or event, seconds since 1970; None: nothing is known of times."""
    takers: Mapping[str, int] = field(default_factory=dict)
    """Users who took each item, by item."""


def behind_events(
    model: "Recommender", requests: Sequence[Request], *, exclude_seen: bool
) -> list[tuple[Request, int]]:
    """Return requests behind what their users did since the fit, and how many items that brought to each history.

    Args:
        model: that answers.
        requests: (B,).
        exclude_seen: whether what was bought is left out.
    """
    names = [model.people.name(model.users, request.user_id) for request in requests]
    latest = {} if model.events is None else model.events.latest([name for name in names if name is not None])
    joined = []
    for name, request in zip(names, requests, strict=True):
        if name is None or name not in latest:
            joined.append((request, 0))
            continue
        did = UserEvents.of(latest[name], model.event_options, taken_in_of(model, name))
        joined.append(did.before(request, model.items, exclude_seen=exclude_seen))
    return joined


def taken_in_of(model: "Recommender", name: str) -> Callable[["Event"], bool]:
    """Return what tells whether an event of a user is in his stored history already.

    Args:
        model: that holds the histories; an update has noted up to which event, a fit when its catalogue was read.
        name: of the user, as the model knows him.
    """
    user = model.users.index(name)
    if user < 0:
        return lambda _: False
    stored = set(model.histories.history[[user]].indices.tolist())
    until, read_at = int(model.about.get(EVENTS_UNTIL, 0)), float(model.about.get(CATALOGUE_READ_AT, 0))

    def taken_in(event: "Event") -> bool:
        before = event.place <= until or event.received_at < read_at
        return before and model.items.index(event.item_id) in stored

    return taken_in


@dataclass
class StoredEvents:
    """The events of a model, in the database of its state."""

    state: "StateStore"
    until_place: int | None = None
    """Later events are not read; None: all are, those too that another process stored a moment ago."""
    _next: float = field(default=0.0, repr=False)
    _trends: dict[tuple[int, float | None, int], tuple[float, Trend]] = field(default_factory=dict, repr=False)

    @cached_property
    def store(self) -> "EventStore":
        """The events of the model."""
        from tailor.state.events import EventStore  # noqa: PLC0415  (what only answers needs no SQLAlchemy)

        return EventStore(self.state.engine, self.state.model)

    def latest(self, user_ids: Sequence[str]) -> Mapping[str, Sequence["Event"]]:
        """Return the latest events of users; none where the database cannot be read, which the log says.

        A list without them is better than none; an event that was acknowledged is in the answer after that.
        """
        if not user_ids or time.monotonic() < self._next:
            return {}
        try:
            return self.store.latest_of_users(user_ids, _READ, MAX_EVENTS, self.until_place)
        except BadInputError as problem:
            self._next = time.monotonic() + _AFTER_FAILURE_S
            log.warning("Answers are without events: %s", problem)
            return {}

    def trend(self, days: int, until: float | None, options: EventOptions, since_place: int = 0) -> Trend:
        """Return what was taken in the last days before the newest interaction; it may be some seconds old.

        Args:
            days: of the window.
            until: time of the newest interaction of the fit; None: nothing is known of times.
            options: which events count.
            since_place: events of known users up to it are among the interactions.
        """
        asked = (days, until, since_place)
        made_at, trend = self._trends.get(asked, (-math.inf, Trend(until)))
        if time.monotonic() < made_at + _TREND_S:
            return trend
        kinds = [kind for kind, weight in options.weights.items() if weight >= options.least]
        try:
            newest = self.store.newest(kinds) if kinds else None
            times = [each for each in (newest, until) if each is not None]
            trend = Trend(max(times, default=None))
            if newest is not None and trend.newest is not None:
                since = trend.newest - days * _DAY_S
                trend = Trend(trend.newest, self.store.takers(kinds, since, options.least_rating, since_place))
        except BadInputError as problem:
            log.warning("What is trending is without events: %s", problem)
        self._trends[asked] = (time.monotonic(), trend)
        return trend
