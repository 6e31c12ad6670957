"""What people did, in the database of the state: stored once, durable before it is acknowledged, read in order."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tailor.errors import BadInputError, did_you_mean
from tailor.state.tables import (
    event_counters,
    events,
    insert_once,
    open_engine,
    parts,
    read_connection,
    write_transaction,
)
from tailor.types import JsonObject

#: What people do.
KINDS: Final = ("view", "click", "cart", "buy", "rate", "like", "not_for_me", "search", "exposure")
#: Events that one batch of a long read holds.
_EVENTS_AT_ONCE = 5000
#: Columns that the store gives a value to.
_GIVEN_HERE = frozenset({"model", "place", "received_at"})


@dataclass(frozen=True)
class Event:
    """One thing that somebody did."""

    model: str
    """Name in the registry."""
    event_id: str
    """The caller's, or one that was made when it came."""
    place: int
    """Order of arrival, unique per model, from 1 on."""
    received_at: float
    """Seconds since 1970 by the clock of the server."""
    occurred_at: float
    """Seconds since 1970; ``received_at`` where none was sent."""
    kind: str
    """One of ``KINDS``."""
    user_id: str | None = None
    """None: an anonymous visitor."""
    item_id: str | None = None
    """None: of a search."""
    value: float | None = None
    """Of a rating."""
    words: str | None = None
    """Of a search."""
    request_id: str | None = None
    """Of the answer that listed the item: of an exposure, and of what follows from it."""
    rank: int | None = None
    """Of an exposure: position in that list, from 1 on."""
    propensity: float | None = None
    """Of an exposure: probability of the item at this rank, given those above it, where the server explores."""
    variant: str | None = None
    """Of an experiment: ``champion`` or ``challenger``."""
    version: str | None = None
    """Of the model that answered."""
    session_id: str | None = None
    """Of an anonymous visitor; None beside a user."""


_COLUMNS = tuple(each.name for each in fields(Event))
#: What one event may differ in from another one of its id; the time last.
_COMPARED = (*(name for name in _COLUMNS if name not in _GIVEN_HERE | {"event_id", "occurred_at"}), "occurred_at")

#: When an event occurred; one of the future, when it came.
_HAPPENED = sa.case((events.c.occurred_at < events.c.received_at, events.c.occurred_at), else_=events.c.received_at)


class Appended(NamedTuple):
    """What became of events."""

    n_new: int
    """Stored by this call."""
    n_known: int
    """Stored before, or more than once in this call, with the same content."""


@dataclass(frozen=True, eq=False)
class EventStore:
    """Events of one model. Any number of processes may append to it."""

    engine: Engine
    """See :func:`tailor.state.tables.open_engine`."""
    model: str
    """Name in the registry."""

    @classmethod
    def open(cls, address: str, model: str) -> Self:
        """Open the events of a model.

        Raises:
            StateError: the database cannot be opened.
        """
        return cls(open_engine(address), model)

    @property
    def last_place(self) -> int:
        """Place of the latest event that was ever stored; 0 where there was none.

        Raises:
            StateError: the database cannot be read.
        """
        with read_connection(self.engine) as connection:
            return self._last_place(connection)

    def has(self, kind: str) -> bool:
        """Whether there is an event of a kind.

        Raises:
            StateError: the database cannot be read.
        """
        chosen = sa.select(events.c.place).where(events.c.model == self.model, events.c.kind == kind).limit(1)
        with read_connection(self.engine) as connection:
            return connection.execute(chosen).first() is not None

    def append(self, rows: Sequence[JsonObject], patience_s: float | None = None) -> Appended:
        """Store events, all of them or none; they are durable when it returns.

        Args:
            rows: columns of :class:`Event` by name, ``kind`` among them. Where no ``event_id`` is sent, one is made.
            patience_s: seconds that it waits for another one's change; None: 30.

        Raises:
            BadInputError: a kind or a column is unknown, or an id is known with another content.
            StateError: they could not be stored.

        Example:
            >>> store.append([{"kind": "buy", "user_id": "u1", "item_id": "i7", "event_id": "o-1"}])  # doctest: +SKIP
            Appended(n_new=1, n_known=0)
        """
        for row in rows:
            _check(row)
        now = time.time()
        with write_transaction(self.engine, patience_s) as connection:
            place = self._begin(connection)
            sent = [{**row, "event_id": row.get("event_id") or str(uuid.uuid4())} for row in rows]
            new = _unknown(sent, self._stored(connection, [row["event_id"] for row in sent]))
            if new:
                stored = [self._event(row, place + n, now) for n, row in enumerate(new, start=1)]
                connection.execute(sa.insert(events), [{name: getattr(e, name) for name in _COLUMNS} for e in stored])
                mine = event_counters.c.model == self.model
                connection.execute(sa.update(event_counters).where(mine).values(last_place=place + len(new)))
        return Appended(len(new), len(rows) - len(new))

    def of_user(self, user_id: str) -> list[Event]:
        """Return all events of a user in the order they came.

        Raises:
            StateError: the database cannot be read.
        """
        chosen = sa.select(events).where(events.c.model == self.model, events.c.user_id == user_id)
        return self._read(chosen.order_by(events.c.place))

    def user_ids(self) -> list[str]:
        """Return the id of everybody of whom something is stored.

        Raises:
            StateError: the database cannot be read.
        """
        chosen = sa.select(events.c.user_id).where(events.c.model == self.model, events.c.user_id.is_not(None))
        with read_connection(self.engine) as connection:
            ids = connection.execute(chosen.distinct()).scalars()
            return [str(one) for one in ids]

    def latest_of_users(
        self, user_ids: Sequence[str], kinds: Sequence[str], most: int, until_place: int | None = None
    ) -> dict[str, list[Event]]:
        """Return the latest events of each user in the order they came; users without any are left out.

        Args:
            user_ids: of known and unknown users.
            kinds: that are read.
            most: events of each kind and user.
            until_place: later events are not read; None: all are.

        Raises:
            StateError: the database cannot be read.
        """
        latest: dict[str, list[Event]] = {}
        for some in parts(list(dict.fromkeys(user_ids))):
            mine = [events.c.model == self.model, events.c.user_id.in_(some), events.c.kind.in_(kinds)]
            mine += [] if until_place is None else [events.c.place <= until_place]
            by_kind = sa.func.row_number().over(
                partition_by=(events.c.user_id, events.c.kind), order_by=events.c.place.desc()
            )
            numbered = sa.select(events, by_kind.label("number")).where(*mine).subquery()
            columns = [numbered.c[name] for name in _COLUMNS]
            for event in self._read(sa.select(*columns).where(numbered.c.number <= most).order_by(numbered.c.place)):
                latest.setdefault(str(event.user_id), []).append(event)
        return latest

    def newest(self, kinds: Sequence[str]) -> float | None:
        """Return when the newest event of some kinds occurred; None where there is none. The future does not count.

        Raises:
            StateError: the database cannot be read.
        """
        chosen = sa.select(sa.func.max(_HAPPENED)).where(events.c.model == self.model, events.c.kind.in_(kinds))
        with read_connection(self.engine) as connection:
            value = connection.execute(chosen).scalar()
        return None if value is None else float(value)

    def takers(
        self, kinds: Sequence[str], since: float, least_rating: float | None = None, since_place: int = 0
    ) -> dict[str, int]:
        """Return how many users took each item since a time, by item; each anonymous event counts as one.

        An event of the future counts as of when it came.

        Args:
            kinds: of events that count.
            since: seconds since 1970.
            least_rating: ratings below it do not count; None: all do.
            since_place: events of users up to it do not count, those of anonymous visitors do.

        Raises:
            StateError: the database cannot be read.
        """
        n_users = sa.func.count(sa.distinct(sa.func.coalesce(events.c.user_id, events.c.event_id)))
        counted = [events.c.model == self.model, events.c.kind.in_(kinds)]
        counted += [events.c.occurred_at > since, since < _HAPPENED]  # the first, which the second implies, by an index
        counted.append(events.c.item_id.is_not(None))
        counted.append(sa.or_(events.c.place > since_place, events.c.user_id.is_(None)))
        if least_rating is not None:
            counted.append(sa.or_(events.c.kind != "rate", events.c.value >= least_rating))
        chosen = sa.select(events.c.item_id, n_users).where(*counted).group_by(events.c.item_id)
        with read_connection(self.engine) as connection:
            return {row[0]: int(row[1]) for row in connection.execute(chosen)}

    def read(self, since_place: int = 0, until_place: int | None = None) -> Iterator[list[Event]]:
        """Yield events in the order they came, in batches.

        Args:
            since_place: events behind it are read.
            until_place: the last one that is read; None: the latest one when this begins.

        Raises:
            StateError: the database cannot be read.
        """
        last = self.last_place if until_place is None else until_place
        chosen = sa.select(events).where(events.c.model == self.model, events.c.place <= last)
        while batch := self._read(
            chosen.where(events.c.place > since_place).order_by(events.c.place).limit(_EVENTS_AT_ONCE)
        ):
            yield batch
            since_place = batch[-1].place

    def forget(self, user_ids: Sequence[str]) -> int:
        """Delete all events of users; return how many there were.

        Raises:
            StateError: they could not be deleted; none was.
        """
        n_deleted = 0
        with write_transaction(self.engine) as connection:
            for some in parts(list(user_ids)):
                theirs = sa.delete(events).where(events.c.model == self.model, events.c.user_id.in_(some))
                n_deleted += connection.execute(theirs).rowcount
        return n_deleted

    def _begin(self, connection: Connection) -> int:
        """Wait for whoever appends to this model; return the place of its latest event."""
        connection.execute(insert_once(self.engine, event_counters, model=self.model, last_place=0))
        mine = event_counters.c.model == self.model
        # The row stays locked until the transaction ends, so places become visible in their order.
        connection.execute(sa.update(event_counters).where(mine).values(last_place=event_counters.c.last_place))
        return self._last_place(connection)

    def _last_place(self, connection: Connection) -> int:
        mine = event_counters.c.model == self.model
        return int(connection.execute(sa.select(event_counters.c.last_place).where(mine)).scalar() or 0)

    def _stored(self, connection: Connection, event_ids: Sequence[str]) -> dict[str, Event]:
        """Return the events that have one of these ids, by id."""
        known: dict[str, Event] = {}
        for some in parts(event_ids):
            chosen = sa.select(events).where(events.c.model == self.model, events.c.event_id.in_(some))
            known |= {row.event_id: Event(**row._mapping) for row in connection.execute(chosen)}
        return known

    def _event(self, row: JsonObject, place: int, now: float) -> Event:
        occurred = row.get("occurred_at")
        here = {"model": self.model, "place": place, "received_at": now}
        return Event(**row | here | {"occurred_at": now if occurred is None else float(occurred)})

    def _read(self, statement: sa.Select[tuple[object, ...]]) -> list[Event]:
        with read_connection(self.engine) as connection:
            rows = connection.execute(statement)
            return [Event(**row._mapping) for row in rows]


def _check(row: Mapping[str, object]) -> None:
    """Refuse an event that has no kind or columns that no event has."""
    kind = row.get("kind")
    if kind not in KINDS:
        raise BadInputError(f"kind = '{str(kind)[:50]}' is no kind of event.{did_you_mean(str(kind), KINDS)}")
    sendable = [name for name in _COLUMNS if name not in _GIVEN_HERE]
    for name in row:
        if name not in sendable:
            raise BadInputError(f"Unknown column '{name[:50]}' of an event.{did_you_mean(name, sendable)}")


def _unknown(sent: Sequence[JsonObject], stored: Mapping[str, Event]) -> list[JsonObject]:
    """Return the events that are stored under none of these ids, each once.

    Raises:
        BadInputError: an id is known with another content.
    """
    new: dict[str, JsonObject] = {}
    for row in sent:
        name = row["event_id"]
        before = _stored_values(stored[name]) if name in stored else _sent_values(new.setdefault(name, row))
        if _sent_values(row) != before:
            raise BadInputError(f"event_id '{name[:50]}' is stored with another content: give each event its own id")
    return list(new.values())


def _sent_values(row: Mapping[str, object]) -> tuple[object, ...]:
    """Return what an event says, as it was sent."""
    return tuple(row.get(name) for name in _COMPARED)


def _stored_values(event: Event) -> tuple[object, ...]:
    """Return what a stored event says; no time was sent of one that happened when it came."""
    occurred = None if event.occurred_at == event.received_at else event.occurred_at
    return (*(getattr(event, name) for name in _COMPARED[:-1]), occurred)
