"""The page of the catalog: every dataset of conf/base, with its type, its path, its layer and the comment above it."""

import re
from pathlib import Path
from typing import Any

import yaml

from docs.generator.markdown import code, plain, table

CONF = Path(__file__).resolve().parents[2] / "conf/base/catalog"
INTRODUCTION = """# Catalog

Every dataset that `conf/base/catalog` names: `catalog.load("summary")` in a notebook or in `kedro ipython` reads one.
`{braces}` stand for a part of the name. An environment replaces entries by name in its `catalog.yml`, and everything
lies below the folder that `data` of its `globals.yml` says.
"""


def comments(text: str) -> dict[str, str]:
    """Return the comment above each entry of a catalog file, by name."""
    said, above = {}, []
    for line in text.splitlines():
        if line.startswith("#"):
            above.append(line.lstrip("# "))
            continue
        if line and not line[0].isspace() and ":" in line:
            said[line.split(":")[0].strip("\"'")] = " ".join(above)
        above = []
    return said


def entries(file: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a file by name; those that begin with an underscore are templates, and left out."""
    loaded = yaml.safe_load(file.read_text())
    return {name: entry for name, entry in loaded.items() if not name.startswith("_")}


def _row(name: str, entry: dict[str, Any], said: str) -> tuple[str, ...]:
    layer = entry.get("metadata", {}).get("kedro-viz", {}).get("layer", "")
    path = re.sub(r"\$\{globals:\w+,(\$\{[^}]*\}[^}]*)\}", r"\1", str(entry.get("filepath", "")))
    path = path.replace("${globals:data}/", "").replace("${globals:raw}", "01_raw")
    return code(name), code(entry["type"]), code(path), str(layer), plain(said)


def page() -> str:
    """Return the page: one table for each file."""
    parts = [INTRODUCTION]
    for file in sorted(CONF.glob("*.yml")):
        said = comments(file.read_text())
        cells = (_row(name, entry, said.get(name, "")) for name, entry in entries(file).items())
        parts.append(f"## {file.name}\n\n{table(('dataset', 'type', 'path', 'layer', 'comment'), cells)}\n")
    return "\n".join(parts)
