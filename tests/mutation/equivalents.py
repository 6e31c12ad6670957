"""Mutants that no test can kill, each with its reason, in equivalents.toml."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache

from tests.mutation.mirror import FOLDER, ROOT


@dataclass(frozen=True)
class Equivalent:
    """A change of lines that changes no behaviour: lines are compared without their indentation."""

    module: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    reason: str


def stripped(text: str) -> tuple[str, ...]:
    """Return the lines of a text that hold something, without indentation and with single spaces."""
    return tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())


@cache
def contents() -> dict[str, list[dict[str, str]]]:
    """Read the file."""
    return dict(tomllib.loads((ROOT / FOLDER / "equivalents.toml").read_text()))


def matches_pattern(line_so_far: str) -> bool:
    """Say whether a line, up to the end of what is mutated, is one whose changes have no meaning anywhere."""
    return any(re.search(entry["pattern"] + "$", line_so_far) for entry in contents().get("everywhere", []))


@cache
def equivalents() -> tuple[Equivalent, ...]:
    """Return the listed mutants."""
    entries = contents().get("mutant", [])
    return tuple(
        Equivalent(entry["module"], stripped(entry["before"]), stripped(entry["after"]), entry["reason"])
        for entry in entries
    )


@cache
def known() -> frozenset[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Return the changes that the list holds."""
    return frozenset((entry.module, entry.before, entry.after) for entry in equivalents())


def stale() -> list[str]:
    """Say which entries change lines that the module no longer has."""
    return [
        f"equivalents.toml: {entry.module} no longer has {' / '.join(entry.before)}: remove the entry"
        for entry in equivalents()
        if not (ROOT / entry.module).exists()
        or not set(entry.before) <= set(stripped((ROOT / entry.module).read_text()))
    ]
