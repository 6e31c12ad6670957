"""What several pages are written with: tables, and the words of docstrings and comments."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import pairwise

from pydantic import BaseModel

ROLE = re.compile(r":\w+:`~?([^`]+)`")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar in a cell is escaped, a line break becomes a space."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def code(text: object) -> str:
    """Return text as code; nothing for an empty one.

    >>> code("k"), code("")
    ('`k`', '')
    """
    return f"`{text}`" if str(text) else ""


def plain(text: str | None) -> str:
    """Return a docstring as Markdown: roles and double backticks become code, lines are joined.

    >>> plain("Rows of :class:`tailor.Request`, ``k`` each.")
    'Rows of `tailor.Request`, `k` each.'
    """
    return re.sub(r"``([^`]+)``", r"`\1`", ROLE.sub(r"`\1`", " ".join((text or "").split())))


def first_sentence(text: str | None) -> str:
    """Return the first paragraph of a docstring, as Markdown."""
    return plain((text or "").strip().split("\n\n", maxsplit=1)[0])


def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return what stands below each field of a pydantic model and its parents, by name."""
    docs: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if parent in (object, BaseModel) or not parent.__module__.startswith(("tailor", "tests")):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(parent))).body
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for entry, after in pairwise(statements):
            said = after.value if isinstance(after, ast.Expr) else None
            if (
                isinstance(entry, ast.AnnAssign)
                and isinstance(entry.target, ast.Name)
                and entry.target.id in model.model_fields
                and isinstance(said, ast.Constant)
            ):
                docs[entry.target.id] = plain(str(said.value))
    return docs
