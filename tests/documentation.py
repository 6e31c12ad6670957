"""Pages of the documentation as tests: their commands are run, their files are written, their output is compared.

Before a fenced block a comment says what it is; on the page it is not seen.

    <!-- run -->            commands for sh, run in the folder of a project
    <!-- slow -->           the same, where a run of all pipelines takes minutes: `make test-docs` alone
    <!-- file: PATH -->     the text of a file
    <!-- merge: PATH -->    YAML that is merged into a file of the configuration
    <!-- prints -->         lines that the commands before it print, in this order; … stands for any text
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from tests.conftest import PATIENCE_S, ROOT, environment, make_project

BLOCK = re.compile(r"^<!-- (run|slow|file|merge|prints)(?:: (\S+))? -->\n+```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"^<!-- (run|slow|file|merge|prints)\b", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One marked block of a page."""

    kind: str
    path: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """Return the marked blocks of a page.

    Raises:
        ValueError: a mark stands before no block, or names no file where it must.

    >>> blocks("<!-- run -->\\n```sh\\nls\\n```\\n")
    [Block(kind='run', path='', text='ls\\n', line=1)]
    """
    found = [Block(m[1], m[2] or "", m[3], page[: m.start()].count("\n") + 1) for m in BLOCK.finditer(page)]
    marks = len(MARK.findall(page))
    if marks != len(found):
        raise ValueError(f"{marks} marks, but {len(found)} marked blocks: a mark stands right before a fenced block")
    if nameless := [block.line for block in found if block.kind in ("file", "merge") and not block.path]:
        raise ValueError(f"lines {nameless}: name the file, <!-- file: PATH -->")
    return found


def missing_line(expected: str, output: str) -> str | None:
    """Return the first expected line that does not follow those before it in the output; None where all do.

    >>> missing_line("version …\\n", "a\\nversion 3\\n"), missing_line("b\\na\\n", "a\\nb\\n")
    (None, 'a')
    """
    rest = iter(output.splitlines())
    for line in filter(str.strip, expected.splitlines()):
        pattern = ".*".join(map(re.escape, line.strip().split("…")))
        if not any(re.fullmatch(pattern, printed.strip()) for printed in rest):
            return line
    return None


def make_checkout(folder: Path) -> Path:
    """Lay out what a reader has after `git clone` and the first `make`: the project, its Makefile and `.venv`."""
    project = make_project(folder)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy2(ROOT / name, project / name)
    (project / "conf/local").mkdir(exist_ok=True)
    _make_environment(project)
    return project


def _make_environment(project: Path) -> None:
    """Lay out a `.venv` that is this environment and, to make, as new as the lock: nothing is installed into it."""
    (project / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != "requirements.lock":
            (project / ".venv" / path.name).symlink_to(path)
    shutil.copy(project / "requirements.lock", project / ".venv/requirements.lock")


def run_page(page: Path, project: Path, *, slow: bool) -> None:
    """Do what a page says, block by block, in a project; without ``slow`` up to the first slow block.

    Raises:
        AssertionError: a command failed, or printed something else; the page and the line are named.
    """
    output = ""
    for block in blocks(page.read_text()):
        where = f"{page.name}:{block.line}"
        if block.kind == "slow" and not slow:
            return
        if block.kind in ("run", "slow"):
            output = _run(block.text, project, where)
        elif block.kind == "prints":
            missing = missing_line(block.text, output)
            assert missing is None, f"{where}: not printed: {missing}\n{output[-3000:]}"
        else:
            _write(block, project / block.path)


def _run(commands: str, project: Path, where: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=project,
        env=environment() | {"COLUMNS": "300", "PYTHONPATH": str(project / "src"), "PYTHONHASHSEED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{where}: status {done.returncode}\n{done.stdout[-6000:]}"
    return done.stdout


def _write(block: Block, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if block.kind == "file":
        path.write_text(block.text)
        return
    given = OmegaConf.load(path) if path.exists() else OmegaConf.create()
    path.write_text(OmegaConf.to_yaml(OmegaConf.merge(given, OmegaConf.create(block.text))))


def marked_pages() -> Iterator[Path]:
    """Yield the pages that have marked blocks."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        if MARK.search(path.read_text()):
            yield path


def runs_slow_blocks() -> bool:
    """Whether `make test-docs` runs: slow blocks too."""
    return os.environ.get("DOCS") == "all"
