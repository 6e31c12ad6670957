"""Prose of the docs fits an editor: lines of at most 120 characters, tables and code aside."""

import re

from tests.conftest import ROOT

_MOST = 120


def long_lines(text: str) -> list[str]:
    """Return the lines of prose that are too long; a fence or a table row is none, a command cannot be broken."""
    prose, inside = [], False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        inside ^= fence
        if not (inside or fence or line.lstrip().startswith("|")):
            prose.append(line)
    return [line for line in prose if len(line) > _MOST and " " in re.sub("`[^`]*`", "", line).strip()]


def test_no_line_of_prose_is_too_long():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    left = {str(page.relative_to(ROOT)): long_lines(page.read_text()) for page in pages}
    assert not {page: lines for page, lines in left.items() if lines}


def test_code_and_tables_may_be_long():
    long = "word " * 30
    assert long_lines(f"{long}\n```\n{long}\n```\n| {long} |\nshort") == [long]
