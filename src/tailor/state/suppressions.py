"""The suppression list of one model: who is left out of data, histories and updates, by keyed hash.

The database holds no id: :mod:`tailor.data.people` says how hashes are made and compared.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tailor.data.people import SUPPRESSION_KEY, SuppressionList, key_id, key_of_environment, keyed_hash
from tailor.state.events import EventStore
from tailor.state.store import StateStore
from tailor.state.tables import StateError, changes, read_connection, suppressions, write_transaction

_WHAT_FOR = "the suppression list holds hashes that only this key can compare"


def suppression_key() -> bytes:
    """Return the key of the list.

    Raises:
        ConfigurationError: TAILOR_SUPPRESSION_KEY is not set, or too short; with how to make one.
    """
    return key_of_environment(SUPPRESSION_KEY, _WHAT_FOR)


@dataclass(frozen=True, eq=False)
class SuppressionStore:
    """People who are left out, of one model. Any number of processes may have it open.

    Example:
        >>> store = SuppressionStore.open("sqlite:///data/serving/tailor.db", "tailor")  # doctest: +SKIP
        >>> store.add(["u7"])  # doctest: +SKIP
        1
        >>> "u7" in store.read()  # doctest: +SKIP
        True
    """

    engine: Engine
    model: str

    @classmethod
    def open(cls, address: str, model: str) -> Self:
        """Open the list of a model.

        Args:
            address: of the database, see :func:`tailor.state.tables.open_engine`.
            model: its name in the registry.

        Raises:
            StateError: the database cannot be opened.
        """
        return cls.of(StateStore.open(address, model))

    @classmethod
    def of(cls, state: StateStore) -> Self:
        """Return the list that lies beside the items of a model."""
        return cls(state.engine, state.model)

    def add(self, user_ids: Sequence[str]) -> int | None:
        """Leave people out from now on, in one transaction; those who are left out already stay so.

        It is a change of the model's state, so all that answer follow it as they follow items.

        Args:
            user_ids: every name that a person goes by.

        Returns:
            The number of this change; None where all of them were in the list.

        Raises:
            ConfigurationError: see :func:`suppression_key`.
            StateError: they could not be stored; or the list was made with another key.
        """
        key = suppression_key()
        hashes = dict.fromkeys(keyed_hash(key, one) for one in user_ids)
        mine = changes.c.model == self.model
        with write_transaction(self.engine) as connection:
            # The row stays locked until the transaction ends: who adds at the same time waits here.
            connection.execute(sa.update(changes).where(mine).values(counter=changes.c.counter))
            known = self._hashes(connection, key)
            rows = [
                {"model": self.model, "user_hash": one, "key_id": key_id(key), "added_at": time.time()}
                for one in hashes
                if one not in known
            ]
            if not rows:
                return None
            connection.execute(sa.insert(suppressions), rows)
            connection.execute(sa.update(changes).where(mine).values(counter=changes.c.counter + 1))
            return int(connection.execute(sa.select(changes.c.counter).where(mine)).scalar_one())

    def read(self) -> SuppressionList:
        """Return the list; where it holds nobody, no key is needed.

        Raises:
            ConfigurationError: see :func:`suppression_key`.
            StateError: the database cannot be read; or the list was made with another key.
        """
        with read_connection(self.engine) as connection:
            if not connection.execute(sa.select(suppressions.c.user_hash).where(self._mine).limit(1)).first():
                return SuppressionList()
            key = suppression_key()
            return SuppressionList(frozenset(self._hashes(connection, key)), key)

    def forget_events(self, user_ids: Sequence[str]) -> int:
        """Delete what was recorded of people; return how many events that were.

        Args:
            user_ids: every name that they go by.

        Raises:
            StateError: they could not be deleted.
        """
        return self._events.forget(user_ids)

    def forget_all_events(self) -> int:
        """Delete what is recorded of anybody in the list, whenever it came; return how many events that were.

        Raises:
            ConfigurationError: see :func:`suppression_key`.
            StateError: see :meth:`read` and :meth:`forget_events`.
        """
        listed = self.read()
        return self._events.forget([name for name in self._events.user_ids() if name in listed]) if listed else 0

    @property
    def _events(self) -> EventStore:
        return EventStore(self.engine, self.model)

    def digest(self) -> str:
        """Return what differs as soon as somebody is added, empty where nobody was; no key is needed for it."""
        with read_connection(self.engine) as connection:
            chosen = sa.select(suppressions.c.user_hash).where(self._mine)
            hashes = sorted(connection.execute(chosen).scalars())
            return hashlib.sha256(",".join(hashes).encode()).hexdigest()[:16] if hashes else ""

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return suppressions.c.model == self.model

    def _hashes(self, connection: Connection, key: bytes) -> set[str]:
        """Return all hashes.

        Raises:
            StateError: some were made with another key, so that nobody can be compared with them.
        """
        rows = connection.execute(sa.select(suppressions.c.user_hash, suppressions.c.key_id).where(self._mine)).all()
        n_others = sum(row[1] != key_id(key) for row in rows)
        if n_others:
            raise StateError(
                f"{n_others} of {len(rows)} people in the suppression list of '{self.model}' were added with another "
                f"{SUPPRESSION_KEY}: set that key, or these people would come back."
            )
        return {str(row[0]) for row in rows}
