"""A hash of every file of a package, so that what was damaged or exchanged is refused when it is loaded."""

import hashlib
import json
from pathlib import Path

from tailor.errors import BadInputError

#: Name of the MLflow artifact that holds a package.
ARTIFACT = "recommender"
MANIFEST = "manifest.json"
_REMEDY = "Register the model anew."


def write_manifest(folder: Path) -> None:
    """Write the SHA-256 of every file below ``folder``.

    Raises:
        BadInputError: there is a symbolic link, which a copy of the package would not carry.
    """
    (folder / MANIFEST).write_text(json.dumps(_hashes(folder), indent=2))


def verify_manifest(folder: Path) -> None:
    """Refuse a folder that is not what was written.

    Raises:
        BadInputError: naming the files that are missing, changed, unexpected or symbolic links.
    """
    expected, present = _read(folder), _hashes(folder)
    wrong = sorted(name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name))
    if wrong:
        raise BadInputError(f"Damaged package: {', '.join(wrong)} is not what was registered. {_REMEDY}")


def _read(folder: Path) -> dict[str, str]:
    """Return the hashes that were written, by file."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        raise BadInputError(f"{folder.name}/{MANIFEST} is missing or unreadable. {_REMEDY}") from None
    if not isinstance(manifest, dict) or not all(isinstance(value, str) for value in manifest.values()):
        raise BadInputError(f"{folder.name}/{MANIFEST} is no mapping from files to hashes. {_REMEDY}")
    return manifest


def _hashes(folder: Path) -> dict[str, str]:
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise BadInputError(f"Damaged package: {name} is a symbolic link. {_REMEDY}")
        if path.is_file() and name != MANIFEST:
            with path.open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes
