"""The conf folder of a catalogue: written whole or not at all, every line with its reason."""

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.files import write_aside
from tailor.onboarding.database import Database
from tailor.onboarding.propose import Proposal
from tailor.onboarding.tables import PARQUET, SQL, TEXT, RawTable
from tailor.onboarding.wording import wrapped

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}")
_TAKEN: Final = ("base", "local", "test")
#: Width of a line that its reason may stand behind.
_WIDTH: Final = 120


def check_name(name: str, conf: Path) -> None:
    """Refuse a name that no environment can have, or that one has.

    Args:
        name: of the new folder.
        conf: the folder it goes to.

    Raises:
        BadInputError: says what is wrong with it.
    """
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"NAME={name!r} is no name of a folder: a letter, then letters, digits, _ or -: NAME=myshop."
        )
    if name.lower() in _TAKEN:
        raise BadInputError(f"NAME={name}: conf/{name} belongs to the project. Take another name: NAME=myshop.")
    if not (conf / "base").is_dir():
        raise BadInputError(f"{conf} has no folder base. Run the command in the project's folder.")
    if (conf / name).exists():
        raise BadInputError(f"{conf / name} exists and stays as it is. Take another NAME, or remove the folder first.")


def write_conf(name: str, proposal: Proposal, conf: Path, database: Database | None = None) -> Path:
    """Write globals.yml, catalog.yml and parameters.yml, and credentials.yml for a database.

    Args:
        name: of the environment.
        proposal: what to write.
        conf: the folder of environments; its parent is where runs start.
        database: where the tables are, None for files.

    Returns:
        The new folder.

    Raises:
        BadInputError: see :func:`check_name`.
    """
    check_name(name, conf)
    with write_aside(conf / name) as folder:
        folder.mkdir()
        for file, text in render(name, proposal, conf.resolve().parent, database).items():
            (folder / file).write_text(text, encoding="utf-8")
    return conf / name


def render(name: str, proposal: Proposal, project: Path, database: Database | None = None) -> dict[str, str]:
    """Return the files of a conf folder by name.

    Args:
        name: of the environment.
        proposal: what to write.
        project: where runs start; paths below it are written relative to it.
        database: where the tables are, None for files.
    """
    environment = Environment(
        loader=PackageLoader("tailor.onboarding", "."),
        autoescape=False,  # noqa: S701  (YAML, not HTML)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"flow": flow, "comment": comment, "quoted": json.dumps}
    environment.globals |= {"line": line, "wrapped": wrapped}
    raw = _raw_folder(proposal, project) or f"data/01_raw/{name}"
    values = {
        "name": name,
        "p": proposal,
        "raw": raw,
        "database": database,
        "datasets": {kind: _dataset(proposal, kind, raw, project) for kind in ("interactions", "items", "users")},
        "update": _new_interactions(proposal),
    }
    files = ["globals", "catalog", "parameters", *(["credentials"] if database else [])]
    return {f"{file}.yml": environment.get_template(f"{file}.yml.j2").render(values) for file in files}


def flow(value: object) -> str:
    """Write a value as YAML on one line; ``${`` of the data stays text.

    Example:
        >>> flow({"sep": ";"}), flow("a: b")
        ("{sep: ;}", "'a: b'")
    """
    text = yaml.safe_dump(
        [_escaped(value)], default_flow_style=True, width=1 << 30, allow_unicode=True, sort_keys=False
    )
    return text.strip()[1:-1]


def _escaped(value: object) -> object:
    if isinstance(value, dict):
        return {_escaped(key): _escaped(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(part) for part in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def comment(text: str) -> str:
    """Return text that fits on one line of comment."""
    return " ".join(str(text).split())


def line(text: str, reason: str, indent: int) -> str:
    """Return an indented line with its reason behind it, or above it where both are too long for one line."""
    blank = " " * indent
    if not reason:
        return blank + text
    short = f"{blank}{text}  # {comment(reason)}"
    return short if len(short) <= _WIDTH else f"{wrapped(reason, indent)}\n{blank}{text}"


def _raw_folder(proposal: Proposal, project: Path) -> str | None:
    """Return the folder of the interactions, relative to the project where it lies within."""
    path = proposal.tables["interactions"].path
    return None if path is None else _written(path.resolve().parent, project)


def _written(path: Path, project: Path) -> str:
    absolute = path.absolute()
    return absolute.relative_to(project).as_posix() if absolute.is_relative_to(project) else absolute.as_posix()


def _dataset(proposal: Proposal, kind: str, raw: str, project: Path) -> dict[str, Any] | None:
    """Return type, place and arguments of a raw dataset; None for a table that is not there."""
    table = proposal.tables.get(kind)
    if table is None:
        return None
    args = dict(table.load_args)
    reasons = dict(table.reasons)
    if table.dataset == TEXT:
        ids = {choice.theirs: "str" for choice in proposal.ids[kind]}
        args["dtype"] = "str" if kind == "items" else ids
        reasons["dtype"] = "everything is text" if kind == "items" else "ids are text: 007 is not 7"
    if table.dataset == PARQUET and (path := table.path) is not None and path.is_dir():
        reasons["folder"] = "all Parquet files of the folder"
    return {
        "type": table.dataset,
        "table": table.table if table.dataset == SQL else None,
        "filepath": _filepath(table, raw, project),
        "args": [(key, value, reasons.get(key, "")) for key, value in args.items()],
        "notes": [f"{table.name}: {table.size}", *table.notes],
    }


def _new_interactions(proposal: Proposal) -> dict[str, Any]:
    """Return how the file that `update` reads is read: as the interactions where these are text, else as CSV."""
    table = proposal.tables["interactions"]
    args = dict(table.load_args) if table.dataset == TEXT else {}
    ids = [choice.theirs for choice in proposal.ids["interactions"]]
    args["dtype"] = dict.fromkeys([*ids, c.USER, c.ITEM], "str")  # `update` takes our names too
    return {"same": table.dataset == TEXT, "args": list(args.items())}


def _filepath(table: RawTable, raw: str, project: Path) -> str:
    """Return where a file is as YAML, below the global ``raw`` where it lies there."""
    if table.path is None:
        return ""
    path = table.path.resolve()
    if _written(path.parent, project) == raw:
        return _below_raw(path.name)
    return flow(_written(path, project))


def _below_raw(name: str) -> str:
    place = f"${{globals:raw}}/{name}"
    return place if re.fullmatch(r"[\w.-]+", name) else yaml.safe_dump([place], width=1 << 30).strip()[2:]


def next_steps(name: str, proposal: Proposal, folder: Path, database: Database | None = None) -> list[str]:
    """Return what to tell: what was chosen, and what to do next.

    Args:
        name: of the environment.
        proposal: what was written.
        folder: where it was written.
        database: where the tables are.
    """
    lines = [proposal.size.words[:1].upper() + proposal.size.words[1:] + "."]
    for kind, choices in proposal.columns.items():
        lines.append(f"{kind}: {proposal.tables[kind].name}")
        lines += [f"  {choice.ours} <- {choice.theirs}  ({comment(choice.reason)})" for choice in choices]
    positives = proposal.interactions.positives
    if positives.threshold is not None:
        lines.append(f"Positives: {c.VALUE} >= {positives.threshold:g} ({positives.threshold_reason}).")
    if positives.events:
        lines.append(f"Positives: {', '.join(positives.events)} ({positives.events_reason}).")
    if positives.day_first:
        lines.append(f"To do: data_processing.cleaning.day_first in {folder}/parameters.yml: {positives.day_first}.")
    lines += [f"Left out: {source} ({reason})." for source, reason in proposal.options.left_out.items()]
    if database is not None and database.has_secret:
        lines.append(
            f"The address has a password, so it is not written down: export {database.variable}=... before a run."
        )
    return [
        *lines,
        f"Wrote {folder}: every line says why. Read it, change what is wrong, then",
        f"  .venv/bin/kedro run --env={name} --pipelines=data_processing   # what is dropped or repaired: data_quality",
        f"  make run ENV={name}",
    ]
