"""`make new`: look at the tables of a catalogue and write a commented conf folder for it."""

import argparse
import os
import sys
from pathlib import Path

from tailor.errors import BadInputError, TailorError
from tailor.onboarding import check_name, propose, read_table, write_conf
from tailor.onboarding.conf import next_steps
from tailor.onboarding.database import MAX_TABLES, Database, read_database_tables
from tailor.onboarding.sizes import read_base
from tailor.onboarding.tables import RawTable, table_files
from tailor.onboarding.which_table import choose_tables
from tailor.user_errors import sentence_of, verbose

KINDS = ("interactions", "items", "users")


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, look, write, say what was chosen; return the exit status."""
    args = _parser().parse_args(arguments)
    try:
        print("\n".join(create(args)))
    except TailorError as error:
        if verbose():
            raise
        print(sentence_of(error), file=sys.stderr)
        return 1
    return 0


def create(args: argparse.Namespace) -> list[str]:
    """Write the folder and return what to say.

    Raises:
        BadInputError: something is missing or does not fit; nothing was written.
    """
    conf: Path = args.conf
    check_name(args.name, conf)
    database = Database.parse(args.database, os.environ, args.name) if args.database else None
    tables, reasons = _tables(args, database)
    proposal = propose(tables, _pairs(args.map), read_base(conf))
    folder = write_conf(args.name, proposal, conf, database)
    return [*reasons, *next_steps(args.name, proposal, folder, database)]


def _tables(args: argparse.Namespace, database: Database | None) -> tuple[dict[str, RawTable], list[str]]:
    """Return the tables by what they hold; which is which is guessed where the caller does not say."""
    named = {kind: getattr(args, kind) for kind in KINDS if getattr(args, kind)}
    if database is not None:
        tables = read_database_tables(database, list(named.values()))
        return (dict(zip(named, tables, strict=True)), []) if named else choose_tables(tables)
    if args.raw and not named:
        return _guess(table_files(args.raw))
    folder = args.raw or Path()
    return {kind: read_table(folder / name) for kind, name in named.items()}, []


def _guess(files: list[Path]) -> tuple[dict[str, RawTable], list[str]]:
    """Choose among the files that can be read; say which cannot."""
    tables, passed_over = [], []
    for file in files[:MAX_TABLES]:
        try:
            tables.append(read_table(file))
        except BadInputError as error:
            passed_over.append(f"Passed over: {error}")
    if len(files) > MAX_TABLES or not tables:
        raise BadInputError(
            "\n".join([*passed_over, f"{len(files)} files. Name yours: INTERACTIONS=file ITEMS=file [USERS=file]."])
        )
    chosen, reasons = choose_tables(tables)
    return chosen, [*passed_over, *reasons]


def _pairs(words: list[str]) -> dict[str, str]:
    """Read ``ours=theirs``."""
    for word in words:
        if "=" not in word:
            raise BadInputError(f'MAP="{word}": write OURS=THEIRS, for example MAP="user_id=customer item_id=sku".')
    return dict(word.split("=", 1) for word in words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tailor.new", description=__doc__)
    parser.add_argument("name", help="of the new folder in conf/")
    parser.add_argument("--raw", type=Path, help="folder of the files; alone, which is which is guessed")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", help="a file (CSV, TSV, Parquet, Excel), or a table of the database")
    parser.add_argument("--database", help="its address, or the environment variable that holds it")
    parser.add_argument("--map", nargs="*", default=[], metavar="OURS=THEIRS", help="columns of ids, user_id=customer")
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="the folder of environments")
    return parser


if __name__ == "__main__":
    sys.exit(main())
