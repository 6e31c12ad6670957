"""Writing files so that nothing half-written is ever left under the final name."""

import contextlib
import glob
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

#: Seconds after which what a process that was killed left aside is swept.
_LEFT_S = 24 * 3600


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``path`` (a file or a folder); it replaces ``path`` only if the block succeeds.

    The new name is on disk when the block ends. What a process that was killed left aside of this path is swept after
    a day.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield aside
        if aside.is_dir() and path.exists():
            shutil.rmtree(path)
        aside.replace(path)
        _sync(path.parent)
    finally:
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what was left aside of a path, but not what another process may be writing now."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        with contextlib.suppress(OSError):  # another process swept it
            if time.time() - left.stat().st_mtime > _LEFT_S:
                _remove(left)


def _sync(folder: Path) -> None:
    """Write a folder to disk: a renamed file has its new name after a loss of power only then."""
    with contextlib.suppress(OSError):  # of file systems that open no folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
