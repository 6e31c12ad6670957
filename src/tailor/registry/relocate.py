"""Repair the MLflow store of a project that was moved: ``python -m tailor.registry.relocate OLD NEW``.

MLflow writes absolute paths of artifacts into its SQLite file. This replaces the folder OLD by NEW in all of them.
"""

import argparse
import contextlib
import os
import sqlite3
import sys
import time
from pathlib import Path

from tailor.errors import BadInputError, TailorError

#: Where MLflow keeps locations of artifacts.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
_WAIT_S = 5.0


def relocate(store: Path, old: Path | str, new: Path) -> dict[str, int]:
    """Replace the folder ``old`` by ``new`` in every location of artifacts; a copy of the store is kept beside it.

    Args:
        store: MLflow's SQLite file.
        old: folder that the locations start with.
        new: folder where the artifacts are.

    Returns:
        Changed locations by ``table.column``.

    Raises:
        BadInputError: the file is no store of MLflow or in use, ``new`` does not exist, or no location is in ``old``.
    """
    if not store.is_file():
        raise BadInputError(f"{store}: there is no such file; name MLflow's database with --store.")
    if not new.is_dir():
        raise BadInputError(f"{new}: there is no such folder; NEW is the folder where the artifacts are now.")
    database = sqlite3.connect(store, timeout=_WAIT_S, isolation_level=None)
    try:
        tables = {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"experiments", "runs"} <= tables:
            raise BadInputError(f"{store}: this is no store of MLflow, it has no tables experiments and runs.")
        return _replace(database, store, tables, Path(os.path.abspath(old)), new.resolve())  # noqa: PTH100
    except sqlite3.OperationalError as problem:
        raise BadInputError(f"{store}: {problem}; stop the runs and servers that use it, and start again.") from None
    except sqlite3.DatabaseError as problem:
        raise BadInputError(f"{store}: this is no SQLite file ({problem}); name MLflow's with --store.") from None
    finally:
        database.close()


def _replace(database: sqlite3.Connection, store: Path, tables: set[str], old: Path, new: Path) -> dict[str, int]:
    """Copy the store, then change all columns in one transaction; without any change there is no copy."""
    changed: dict[str, int] = {}
    database.execute("BEGIN IMMEDIATE")  # others may read, as the copy does, and not write
    copy = _back_up(store)
    try:
        for table, column in _COLUMNS:
            if table in tables:
                counts = [_replace_prefix(database, table, column, str(old), str(new))]
                counts += [_replace_prefix(database, table, column, old.as_uri(), new.as_uri())]
                changed[f"{table}.{column}"] = sum(counts)
        if not sum(changed.values()):
            raise BadInputError(f"{store}: no location of artifacts is in {old}; {_locations(database)}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        copy.unlink()
        raise
    return changed


def _replace_prefix(database: sqlite3.Connection, table: str, column: str, old: str, new: str) -> int:
    """Replace a folder at the start of a column's values: of the folder itself and of what is in it."""
    cursor = database.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608  (names of the constant above)
        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )
    return cursor.rowcount


def _back_up(store: Path) -> Path:
    """Copy the store beside itself, and return the copy."""
    copy = store.with_name(f"{store.name}.{time.strftime('%Y%m%d-%H%M%S')}.bak")
    with contextlib.closing(sqlite3.connect(store)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _locations(database: sqlite3.Connection) -> str:
    locations = sorted({str(value) for (value,) in database.execute("SELECT artifact_location FROM experiments")})
    return f"experiments have {', '.join(locations[:3])}."


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, repair, say what was changed; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tailor.registry.relocate", description=__doc__)
    parser.add_argument("old", type=Path, help="folder where the project was")
    parser.add_argument("new", type=Path, help="folder where it is")
    parser.add_argument("--store", type=Path, default=Path("mlflow.db"), help="MLflow's SQLite file (mlflow.db)")
    args = parser.parse_args(arguments)
    try:
        changed = relocate(args.store, args.old, args.new)
    except TailorError as problem:
        print(problem, file=sys.stderr)
        return 1
    print("\n".join(f"{name}: {count} changed" for name, count in changed.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
