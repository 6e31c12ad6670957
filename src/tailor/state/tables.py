"""The tables of the state, how they came to be version by version, and what is said where a database refuses.

| table | holds |
|---|---|
| state_version | the version of these tables |
| changes | by model: a counter that every change raises |
| items | items that were put: the columns as they were sent (JSON), when, and the change that put them |
| removals | items that are listed no more: since when, and the change that removed them |
| embeddings | of items that were put: the vector that an encoder made of a text, and hashes of both |
| event_counters | by model: the place of its latest event, which no deletion lowers |
| events | what people did, one row each, in the order it came |
| suppressions | people who are left out of all data: a keyed hash of the id, which key, and since when |
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from tailor.errors import BadInputError
from tailor.state.address import STATE_VARIABLE

#: Seconds that a process waits for another one's change.
_PATIENCE_S = 30
#: Ids that one statement names.
_IDS_AT_ONCE = 500
#: Any number: the lock of PostgreSQL under which tables are made.
_MIGRATING = 7341
_FULL = ("disk is full", "No space left", "disk quota exceeded")

metadata = sa.MetaData()
versions = sa.Table("state_version", metadata, sa.Column("version", sa.Integer, primary_key=True))
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("counter", sa.BigInteger, nullable=False),
)
items = sa.Table(
    "items",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Column("columns", sa.Text, nullable=False),
    sa.Column("put_at", sa.Float, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
)
removals = sa.Table(
    "removals",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("removed_at", sa.Float, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
)
embeddings = sa.Table(
    "embeddings",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("encoder", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)
event_counters = sa.Table(
    "event_counters",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("last_place", sa.BigInteger, nullable=False),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Column("received_at", sa.Float, nullable=False),
    sa.Column("occurred_at", sa.Float, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("item_id", sa.Text),
    sa.Column("value", sa.Float),
    sa.Column("words", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("rank", sa.Integer),
    sa.Column("propensity", sa.Float),
    sa.Column("variant", sa.Text),
    sa.Column("version", sa.Text),
    sa.Column("session_id", sa.Text),
)

suppressions = sa.Table(
    "suppressions",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("user_hash", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("added_at", sa.Float, nullable=False),
)


class StateError(BadInputError):
    """The database of the state did not take or give something; nothing of the call was kept."""

    def __init__(self, message: str, disk_full: bool = False) -> None:
        super().__init__(message)
        self.disk_full = disk_full

    @property
    def http_status(self) -> int:
        """507 where the disk is full, else 503."""
        return 507 if self.disk_full else 503


def _first_tables(operations: Operations) -> None:
    """Version 1: items and removals."""
    operations.create_table(
        "changes", sa.Column("model", sa.Text, primary_key=True), sa.Column("counter", sa.BigInteger, nullable=False)
    )
    operations.create_table(
        "items",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
        sa.Column("put_at", sa.Float, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
    )
    operations.create_table(
        "removals",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("removed_at", sa.Float, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
    )
    operations.create_index("items_by_change", "items", ["model", "change"])


def _embeddings(operations: Operations) -> None:
    """Version 2: embeddings of items, so that a server that starts does not encode them all again."""
    operations.create_table(
        "embeddings",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("encoder", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )


def _events(operations: Operations) -> None:
    """Version 3: what people did, and by model a counter of it."""
    operations.create_table(
        "event_counters",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("last_place", sa.BigInteger, nullable=False),
    )
    operations.create_table(
        "events",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.Float, nullable=False),
        sa.Column("occurred_at", sa.Float, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("user_id", "item_id")),
        sa.Column("value", sa.Float),
        *(sa.Column(name, sa.Text) for name in ("words", "request_id")),
        sa.Column("rank", sa.Integer),
        sa.Column("propensity", sa.Float),
        *(sa.Column(name, sa.Text) for name in ("variant", "version")),
    )
    operations.create_index("events_by_place", "events", ["model", "place"], unique=True)
    operations.create_index("events_by_user", "events", ["model", "user_id", "place"])
    operations.create_index("events_by_time", "events", ["model", "occurred_at"])


def _suppressions(operations: Operations) -> None:
    """Version 4: people who are left out of all data, by keyed hash."""
    operations.create_table(
        "suppressions",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("user_hash", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("added_at", sa.Float, nullable=False),
    )


def _sessions(operations: Operations) -> None:
    """Version 5: which session an anonymous visitor's event was of."""
    operations.add_column("events", sa.Column("session_id", sa.Text))


#: What each version adds to the one before it. A new version is a function more; none is ever changed.
MIGRATIONS: list[Callable[[Operations], None]] = [_first_tables, _embeddings, _events, _suppressions, _sessions]


def open_engine(address: str) -> Engine:
    """Return an engine on a database whose tables are of this version.

    Args:
        address: ``sqlite:///state.db``, ``postgresql+psycopg://user:password@host/shop``.

    Raises:
        StateError: the address is none, its driver is not installed, the database does not answer, or a later version
            made its tables.
    """
    try:
        url = make_url(address)
        if url.get_backend_name() == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, pool_pre_ping=True, connect_args=_connect_args(url))
    except (ArgumentError, NoSuchModuleError, ImportError) as problem:
        raise StateError(f"{STATE_VARIABLE} is no address of a database that can be used here: {problem}.") from None
    except OSError as problem:
        raise StateError(f"The state cannot be kept in {make_url(address).database}: {problem}.") from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    with explained(engine, "opened"), engine.begin() as connection:
        _migrate(connection, engine)
    return engine


def _connect_args(url: sa.URL) -> dict[str, object]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": _PATIENCE_S, "check_same_thread": False}
    if url.get_backend_name() != "postgresql":
        return {}
    # A host that drops packets is noticed, and no lost connection holds a change for ever.
    alive = {"keepalives_idle": _PATIENCE_S, "tcp_user_timeout": 1000 * _PATIENCE_S}
    return {"connect_timeout": 5, "options": f"-c lock_timeout={_PATIENCE_S}s"} | alive


def _prepare_sqlite(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
    """Let readers read while one writes, and let what was acknowledged survive a loss of power."""
    connection.isolation_level = None  # transactions begin where we say so, not where the driver thinks
    cursor = connection.cursor()
    _retried(lambda: cursor.execute("PRAGMA journal_mode=WAL"))
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _retried(ask: Callable[[], object]) -> None:
    """Ask again while another process makes the file: SQLite's own patience does not reach that far."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            ask()
            return
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: Connection) -> None:
    """Begin a transaction that writes as the only one, so that it never fails where it stands half-way."""
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA busy_timeout={round(1000 * options.get('patience_s', _PATIENCE_S))}")
    connection.exec_driver_sql("BEGIN" if options.get("reads", False) else "BEGIN IMMEDIATE")


def _migrate(connection: Connection, engine: Engine) -> None:
    """Bring the tables to this version, in one transaction; another process waits."""
    if engine.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
    versions.create(connection, checkfirst=True)
    version = connection.execute(sa.select(versions.c.version)).scalar() or 0
    if version > len(MIGRATIONS):
        raise StateError(
            f"A later Tailor made the tables of {masked(engine)} (version {version}, this one knows "
            f"{len(MIGRATIONS)}): install that version."
        )
    if version == len(MIGRATIONS):
        return
    operations = Operations(MigrationContext.configure(connection))
    for migration in MIGRATIONS[version:]:
        migration(operations)
    connection.execute(sa.delete(versions))
    connection.execute(sa.insert(versions).values(version=len(MIGRATIONS)))


def masked(engine: Engine) -> str:
    """Return the address of a database without its password."""
    return engine.url.render_as_string(hide_password=True)


def parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield ids in so many at a time as one statement names."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[start : start + _IDS_AT_ONCE]


def insert_once(engine: Engine, table: sa.Table, **values: object) -> sa.Insert:
    """Return a statement that makes a row where there is none with its key."""
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    return insert(table).values(**values).on_conflict_do_nothing()


@contextmanager
def read_connection(engine: Engine) -> Iterator[Connection]:
    """Open a connection that only reads, so that it waits for nobody who writes.

    Raises:
        StateError: the database cannot be read.
    """
    with explained(engine, "read"), engine.connect() as connection:
        yield connection.execution_options(reads=True)


@contextmanager
def write_transaction(engine: Engine, patience_s: float | None = None) -> Iterator[Connection]:
    """Open a transaction that writes.

    Args:
        engine: of the state.
        patience_s: seconds that it waits for another one's change; None: 30.

    Raises:
        StateError: the database cannot be written, or another one's change takes longer.
    """
    patient = engine if patience_s is None else engine.execution_options(patience_s=patience_s)
    with explained(engine, "written"), patient.begin() as connection:
        if patience_s is not None and engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(1000 * patience_s)}")
        yield connection


@contextmanager
def explained(engine: Engine, done: str) -> Iterator[None]:
    """Say in one sentence why a database could not be ``done`` (opened, read, written).

    Raises:
        StateError: for any error of the database or its driver.
    """
    try:
        yield
    except SQLAlchemyError as problem:
        reason = str(getattr(problem, "orig", None) or problem).strip().splitlines()[0].rstrip(".")
        full = any(words in reason for words in _FULL)
        remedy = "Free space there" if full else "See that it runs and may be written to"
        message = f"The state in {masked(engine)} could not be {done}: {reason}. {remedy}; nothing was changed."
        raise StateError(message, full) from None
