"""Tables of a database, through SQLAlchemy: SQLite, PostgreSQL and whatever else it has a driver for."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from tailor.errors import BadInputError, did_you_mean
from tailor.onboarding.tables import SQL, RawTable
from tailor.onboarding.text_format import MAX_ROWS

#: Tables that are looked at, where none is named.
MAX_TABLES = 20
#: What pip calls a driver, where its module is called otherwise.
_PACKAGES = {"psycopg": "'psycopg[binary]'", "MySQLdb": "mysqlclient"}
_SECRET = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)


@dataclass(frozen=True)
class Database:
    """A database, and the environment variable that a run finds its address in."""

    url: URL
    variable: str
    """A run reads the address there."""
    address: str = field(repr=False)
    """As it was given; never write it down where ``has_secret``."""

    @classmethod
    def parse(cls, address: str, environment: Mapping[str, str], name: str) -> "Database":
        """Read an address, or the name of an environment variable that holds one.

        Args:
            address: ``sqlite:///shop.db``, ``postgresql://user:password@host/shop``, or ``SHOP_DATABASE``.
            environment: where variables are looked up.
            name: of the new environment of Kedro, which the variable is called after.

        Raises:
            BadInputError: there is no such variable, or it is no address.
        """
        variable = f"{re.sub(r'[^A-Z0-9]', '_', name.upper())}_DATABASE"
        if "://" not in address:
            if address not in environment:
                raise BadInputError(
                    f"DATABASE={address}: neither an address such as sqlite:///shop.db, nor an environment variable."
                )
            variable, address = address, environment[address]
        try:
            return cls(make_url(address), variable, address)
        except ArgumentError:
            raise BadInputError(
                "The database's address is none that SQLAlchemy reads: dialect://user@host/name."
            ) from None

    @property
    def has_secret(self) -> bool:
        """Whether the address holds a password or a key."""
        return self.url.password is not None or any(_SECRET.search(key) for key in self.url.query)

    @property
    def masked(self) -> str:
        """The address without what is secret."""
        query = {key: "***" if _SECRET.search(key) else value for key, value in self.url.query.items()}
        return self.url.set(query=query).render_as_string(hide_password=True)


def read_database_tables(database: Database, names: list[str]) -> list[RawTable]:
    """Look at tables of a database; without names, at all of them.

    Args:
        database: where they are.
        names: ``table`` or ``schema.table``.

    Raises:
        BadInputError: the database cannot be reached, its driver is not installed, or it has no such table.
    """
    with _engine(database) as engine:
        inspector = sa.inspect(engine)
        known = [*inspector.get_table_names(), *inspector.get_view_names()]
        if not names and not 0 < len(known) <= MAX_TABLES:
            raise BadInputError(
                f"{database.masked} has {len(known)} tables. Name yours: INTERACTIONS=table ITEMS=table [USERS=table]."
            )
        for name in names:
            schema, _, table = name.rpartition(".")
            if not inspector.has_table(table, schema=schema or None):
                raise BadInputError(
                    f"{database.masked} has no table '{name}'.{did_you_mean(name, known)} "
                    f"It has: {', '.join(known[:30])}."
                )
        tables = [_read(engine, name) for name in names or known]
        if names and (empty := [table.name for table in tables if not table.n_rows]):
            raise BadInputError(f"Table '{empty[0]}' of {database.masked} has no rows.")
        return [table for table in tables if table.n_rows]


def _read(engine: Engine, name: str) -> RawTable:
    schema, _, plain = name.rpartition(".")
    table = sa.Table(plain, sa.MetaData(), autoload_with=engine, schema=schema or None)
    with engine.connect() as connection:
        rows = pd.read_sql_query(sa.select(table).limit(MAX_ROWS), connection)
        n_rows = len(rows)
        if n_rows == MAX_ROWS:
            n_rows = int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
    load_args = {"schema": schema} if schema else {}
    return RawTable(name, rows, n_rows, n_rows == len(rows), SQL, table=plain, load_args=load_args)


@contextmanager
def _engine(database: Database) -> Iterator[Engine]:
    """Connect; whatever goes wrong is told without the password."""
    try:
        if database.url.get_backend_name() == "sqlite" and database.url.database:
            _check_file(database)
        engine = sa.create_engine(database.url)
    except (ImportError, NoSuchModuleError) as error:
        missing = str(getattr(error, "name", None) or database.url.drivername)
        package = _PACKAGES.get(missing, missing)
        raise BadInputError(
            f"{database.masked} needs the driver '{missing}': .venv/bin/python -m pip install {package}."
        ) from None
    try:
        yield engine
    except SQLAlchemyError as error:
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        if database.url.password:
            cause = cause.replace(str(database.url.password), "***")
        raise BadInputError(f"{database.masked} cannot be read ({cause[:300]}).") from None
    finally:
        engine.dispose()


def _check_file(database: Database) -> None:
    if not Path(str(database.url.database)).is_file():
        raise BadInputError(f"There is no file {database.url.database} (DATABASE={database.masked}).")
