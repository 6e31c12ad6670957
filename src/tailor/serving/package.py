"""A hash of every file of a package, so that what was damaged or exchanged is refused when it is loaded."""

import hashlib
import json
from pathlib import Path

from tailor.errors import BadInputError

MANIFEST = "manifest.json"


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def write(folder: Path) -> None:
    """Write the SHA-256 of every file below ``folder``."""
    (folder / MANIFEST).write_text(json.dumps(_hashes(folder), indent=2))


def check(folder: Path) -> None:
    """Refuse a folder that is not what was written.

    Raises:
        BadInputError: naming the files that are missing, changed or unexpected.
    """
    try:
        expected = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        raise BadInputError(f"{folder.name}/{MANIFEST} is missing or unreadable. Register the model anew.") from None
    found = _hashes(folder)
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise BadInputError(f"Damaged package: {', '.join(wrong)} is not what was registered. Register the model anew.")
