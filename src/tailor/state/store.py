"""The state of one model in the database: read whole or from a change on, changed in transactions."""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.state.tables import (
    changes,
    embeddings,
    explained,
    insert_once,
    items,
    masked,
    open_engine,
    parts,
    read_connection,
    removals,
    write_transaction,
)
from tailor.types import JsonObject

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredItem:
    """An item that was put."""

    item_id: str
    columns: JsonObject
    """As they were sent."""
    put_at: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class State:
    """What a model's state was at a change."""

    change: int
    """Number of the last change that is in it."""
    items: list[StoredItem]
    """In the order of their first put; of a read from a change on, those that were put since."""
    removed: set[str] = field(default_factory=set)
    """Everything that is listed no more."""


@dataclass(frozen=True, eq=False)
class StateStore:
    """Added items and removals of one model. Any number of processes may have it open."""

    engine: Engine
    model: str

    @classmethod
    def open(cls, address: str, model: str, imported: "Imported | None" = None) -> Self:
        """Open the state of a model.

        Args:
            address: of the database, see :func:`tailor.state.tables.open_engine`.
            model: its name in the registry.
            imported: what is written first where the database knows nothing of this model yet.

        Raises:
            StateError: the database cannot be opened.
        """
        store = cls(open_engine(address), model)
        with explained(store.engine, "opened"), store.engine.begin() as connection:
            known = connection.execute(sa.select(changes.c.model).where(changes.c.model == model)).first()
            if not known:
                connection.execute(insert_once(store.engine, changes, model=model, counter=0))
            if imported is not None:
                store._import(connection, imported)
        return store

    def _import(self, connection: Connection, imported: "Imported") -> None:
        """Take in what an earlier version kept, where nothing was ever put or removed here."""
        mine = changes.c.model == self.model
        # Of two processes that open a new state, one waits here, and then has nothing to import.
        connection.execute(sa.update(changes).where(mine).values(counter=changes.c.counter))
        if self._counter(connection):
            return
        connection.execute(sa.update(changes).where(mine).values(counter=1))
        self._write(connection, imported.rows, imported.written_at, 1)
        self._remove(connection, sorted(imported.removed), imported.written_at, 1)
        log.info(
            "%d items and %d removals of an earlier version are taken in", len(imported.rows), len(imported.removed)
        )

    @property
    def name(self) -> str:
        """The database's address without its password."""
        return masked(self.engine)

    @property
    def change(self) -> int:
        """Number of the last change; cheap enough to be asked every second."""
        with self._snapshot() as connection:
            return self._counter(connection)

    def read(self, since: int = -1) -> State:
        """Return the state; with ``since``, only the items that later changes put.

        Raises:
            StateError: the database cannot be read.
        """
        mine = items.c.model == self.model
        chosen = sa.select(items.c.item_id, items.c.columns, items.c.put_at).where(mine, items.c.change > since)
        gone = sa.select(removals.c.item_id).where(removals.c.model == self.model)
        with self._snapshot() as connection:
            counter = self._counter(connection)
            rows = connection.execute(chosen.order_by(items.c.place)).all()
            removed = set(connection.execute(gone).scalars())
        return State(counter, [StoredItem(row[0], json.loads(row[1]), row[2]) for row in rows], removed)

    def put(self, rows: Sequence[JsonObject], most: int) -> int:
        """Store items, in the place of what was stored of them; what was removed of them is listed again.

        Args:
            rows: columns as they were sent, ``item_id`` a string.
            most: items that may be stored in all.

        Returns:
            The number of this change.

        Raises:
            StateError: they could not be stored; nothing was changed.
            BadInputError: there would be too many.
        """
        with self._changing() as (connection, change):
            self._write(connection, {str(row[c.ITEM]): row for row in rows}, time.time(), change)
            count = sa.select(sa.func.count()).select_from(items).where(items.c.model == self.model)
            stored = int(connection.execute(count).scalar() or 0)
            if stored > most:
                raise BadInputError(f"{stored} items added in all; at most {most}: fit a model that knows them")
        return change

    def remove(self, item_ids: Sequence[str]) -> int:
        """Store that items are listed no more; return the number of this change.

        Raises:
            StateError: that could not be stored; nothing was changed.
        """
        with self._changing() as (connection, change):
            self._delete(connection, removals, item_ids)
            self._remove(connection, item_ids, time.time(), change)
        return change

    def embeddings(self, encoder: str, item_ids: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        """Return what an encoder made of items: the hash of a text and the vector's bytes, by item; others lack.

        Raises:
            StateError: the database cannot be read.
        """
        mine = (embeddings.c.model == self.model, embeddings.c.encoder == encoder)
        known: dict[str, tuple[str, bytes]] = {}
        with self._snapshot() as connection:
            for some in parts(item_ids):
                chosen = sa.select(embeddings.c.item_id, embeddings.c.text, embeddings.c.vector)
                rows = connection.execute(chosen.where(*mine, embeddings.c.item_id.in_(some)))
                known |= {row[0]: (row[1], bytes(row[2])) for row in rows}
        return known

    def keep_embeddings(self, encoder: str, vectors: Mapping[str, tuple[str, bytes]]) -> None:
        """Store what an encoder made of items, in the place of what was stored of them; it is no change.

        Raises:
            StateError: they could not be stored.
        """
        values = [
            {"model": self.model, "item_id": name, "encoder": encoder, "text": text, "vector": vector}
            for name, (text, vector) in vectors.items()
        ]
        with write_transaction(self.engine) as connection:
            # Under the lock of a change: two processes that start keep one after the other.
            mine = changes.c.model == self.model
            connection.execute(sa.update(changes).where(mine).values(counter=changes.c.counter))
            self._delete(connection, embeddings, list(vectors))
            if values:
                connection.execute(sa.insert(embeddings), values)

    def _write(self, connection: Connection, rows: Mapping[str, JsonObject], when: float, change: int) -> None:
        ids, mine = list(rows), items.c.model == self.model
        positions: dict[str, int] = {}
        for some in parts(ids):
            chosen = sa.select(items.c.item_id, items.c.place).where(mine, items.c.item_id.in_(some))
            positions |= {row[0]: row[1] for row in connection.execute(chosen)}
        free = int(connection.execute(sa.select(sa.func.max(items.c.place)).where(mine)).scalar() or 0)
        positions |= {name: place for place, name in enumerate((n for n in ids if n not in positions), start=free + 1)}
        self._delete(connection, items, ids)
        self._delete(connection, removals, ids)
        values = [
            {"model": self.model, "item_id": name, "place": positions[name], "put_at": when, "change": change}
            | {"columns": json.dumps(rows[name], ensure_ascii=False)}
            for name in ids
        ]
        if values:
            connection.execute(sa.insert(items), values)

    def _remove(self, connection: Connection, item_ids: Sequence[str], when: float, change: int) -> None:
        values = [{"model": self.model, "item_id": name, "removed_at": when, "change": change} for name in item_ids]
        if values:
            connection.execute(sa.insert(removals), values)

    def _delete(self, connection: Connection, table: sa.Table, item_ids: Sequence[str]) -> None:
        for some in parts(item_ids):
            connection.execute(sa.delete(table).where(table.c.model == self.model, table.c.item_id.in_(some)))

    def _counter(self, connection: Connection) -> int:
        return int(connection.execute(sa.select(changes.c.counter).where(changes.c.model == self.model)).scalar() or 0)

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database."""
        of_sqlite = self.engine.dialect.name == "sqlite"
        with read_connection(self.engine) as connection:
            yield connection if of_sqlite else connection.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def _changing(self) -> Iterator[tuple[Connection, int]]:
        """Yield a transaction and the number of its change; changes of one model stand in a row."""
        mine = changes.c.model == self.model
        with write_transaction(self.engine) as connection:
            # The row stays locked until the transaction ends: the next change waits here.
            connection.execute(sa.update(changes).where(mine).values(counter=changes.c.counter + 1))
            yield connection, self._counter(connection)


@dataclass(frozen=True)
class Imported:
    """What an earlier version kept in a file."""

    rows: Mapping[str, JsonObject]
    """Items put, by id."""
    removed: set[str]
    written_at: float
    """When the file was written last, in seconds since 1970."""


def models_of(address: str) -> list[str]:
    """Return the names of the models that a database holds the state of.

    Raises:
        StateError: it cannot be opened.
    """
    engine = open_engine(address)
    with read_connection(engine) as connection:
        return sorted(connection.execute(sa.select(changes.c.model)).scalars())
