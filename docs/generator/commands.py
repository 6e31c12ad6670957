"""The page of commands: the helps of `tailor`, the targets of the Makefile, the pipelines."""

import re
from pathlib import Path

from click.testing import CliRunner

from docs.generator.markdown import code, table
from tailor.cli import tailor

ROOT = Path(__file__).resolve().parents[2]
TARGET = re.compile(r"^([a-z-]+):.*## (.*)$", re.MULTILINE)
INTRODUCTION = """# Commands

## tailor

The same with and without a checkout; `make` is for a checkout. [Deployment](../deployment.md) says what each needs.
"""


def targets(makefile: str) -> list[tuple[str, str]]:
    """Return every target of a Makefile with the text behind its two hashes.

    >>> targets("run: x ## all of it\\nhidden:\\n")
    [('run', 'all of it')]
    """
    return TARGET.findall(makefile)


def pipelines() -> list[tuple[str, str]]:
    """Return every pipeline with the first line of its ``pipeline.py``."""
    files = sorted((ROOT / "src/tailor/pipelines").glob("*/pipeline.py"))
    lines = ((file.parent.name, file.read_text().splitlines()[0]) for file in files)
    return [(name, line.strip('"').strip()) for name, line in lines]


def help_of(*command: str) -> str:
    """Return what ``tailor COMMAND --help`` prints.

    Raises:
        RuntimeError: the command has no help.
    """
    done = CliRunner().invoke(tailor, [*command, "--help"], prog_name="tailor", env={"COLUMNS": "100"})
    if done.exit_code:
        raise RuntimeError(f"tailor {' '.join(command)} --help ended with {done.exit_code}: {done.output}")
    return done.output.strip()


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION, f"```text\n{help_of()}\n```\n"]
    parts += [f"### tailor {name}\n\n```text\n{help_of(name)}\n```\n" for name in sorted(tailor.commands)]
    rows = ((code(f"make {name}"), said) for name, said in targets((ROOT / "Makefile").read_text()))
    parts.append(f"## make\n\n`ENV=NAME` chooses a folder of `conf/`.\n\n{table(('command', 'what it does'), rows)}\n")
    of_pipelines = table(("pipeline", "what it does"), ((code(name), said) for name, said in pipelines()))
    parts.append(f"## Pipelines\n\n`kedro run --pipelines=NAME`, or `tailor run`.\n\n{of_pipelines}\n")
    return "\n".join(parts)
