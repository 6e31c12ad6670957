"""Where fits that take minutes leave their state, so that an interrupted one goes on.

It is a property of the process, not of a recipe: what is fitted does not depend on it, and no saved model names it.
"""

from pathlib import Path

_folder: Path | None = None


def set_folder(folder: str | None) -> None:
    """Set the folder of this process; None: nothing is left."""
    global _folder  # noqa: PLW0603  (one per process, as its working directory is)
    _folder = Path(folder) if folder else None


def folder() -> Path | None:
    """Return the folder, None where nothing is to be left."""
    return _folder
