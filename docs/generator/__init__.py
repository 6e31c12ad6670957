"""The reference of the documentation, written from the code: options, catalog, models, metrics, requests, commands.

``python -m docs.generator`` writes ``docs/reference/*.md``, which git ignores; ``make docs`` does it first. A page is a
function that returns Markdown, so that tests compare what it names with what there is.
"""

from collections.abc import Callable
from pathlib import Path

from docs.generator import api, catalog, commands, metrics, models, options, requests

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/reference"
#: Every generated page by the name of its file.
PAGES: dict[str, Callable[[], str]] = {
    "options.md": options.page,
    "models.md": models.page,
    "metrics.md": metrics.page,
    "catalog.md": catalog.page,
    "requests.md": requests.page,
    "commands.md": commands.page,
    "api.md": api.page,
}


def write(folder: Path = FOLDER) -> list[Path]:
    """Write every page into a folder, and return their paths; pages that are no longer made are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.md"):
        if old.name not in PAGES:
            old.unlink()
    written = []
    for name, page in PAGES.items():
        path = folder / name
        path.write_text(page())
        written.append(path)
    return written
