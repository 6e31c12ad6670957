"""A file or folder on any fsspec file system: read through a local path, written aside, so it is whole or absent."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

import fsspec
from fsspec.implementations.local import LocalFileSystem

from tailor.files import write_aside


@dataclass(frozen=True)
class Location:
    """A place on a file system; nothing has to be there yet.

    Example:
        >>> place = Location.parse("memory://shop/items.txt")
        >>> with place.writing() as path:
        ...     _ = path.write_text("one item")
        >>> with place.open_for_reading() as path:
        ...     path.read_text()
        'one item'
    """

    fs: fsspec.AbstractFileSystem
    path: str
    """As the file system names it, without protocol."""

    @classmethod
    def parse(cls, filepath: str, **options: Any) -> Self:
        """Resolve a path or URL (``data/x.npz``, ``memory://x``, ``s3://bucket/x``); options go to the file system."""
        return cls(*fsspec.url_to_fs(str(filepath), **options))

    @property
    def is_local(self) -> bool:
        """Whether this is a path of the machine itself."""
        return isinstance(self.fs, LocalFileSystem)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return PurePosixPath(self.path).name

    def __str__(self) -> str:
        """Return the path; on another file system, the URL."""
        return self.path if self.is_local else str(self.fs.unstrip_protocol(self.path))

    def sibling(self, name: str) -> "Location":
        """Return a place in the same folder; ``name`` may lie in a folder of its own there (``parts/0.parquet``)."""
        return Location(self.fs, str(PurePosixPath(self.path).parent / name))

    def siblings(self, pattern: str) -> list["Location"]:
        """Return what exists in the same folder and matches a glob pattern."""
        return [Location(self.fs, path) for path in sorted(self.fs.glob(self.sibling(pattern).path))]

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        self.fs.invalidate_cache()
        return bool(self.fs.exists(self.path))

    def remove(self) -> None:
        """Delete the file, or the folder with everything in it, where it exists."""
        if self.exists():
            self.fs.rm(self.path, recursive=True)

    @contextlib.contextmanager
    def open_for_reading(self) -> Iterator[Path]:
        """Yield a local path: the file or folder itself, or a copy that is gone after the block.

        Raises:
            FileNotFoundError: nothing is there.
        """
        if self.is_local:
            yield Path(self.path)
            return
        if not self.exists():
            raise FileNotFoundError(str(self))
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / self.name
            self.fs.get(self.path, str(copy), recursive=bool(self.fs.isdir(self.path)))
            yield copy

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield a local path for a new file or folder; it takes this place only if the block succeeds.

        A local file is renamed. Elsewhere a file is put in one fsspec transaction, and a folder beside the old one,
        which it then replaces.
        """
        if self.is_local:
            with write_aside(Path(self.path)) as aside:
                yield aside
            return
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / self.name
            yield made
            self._replace_folder(made) if made.is_dir() else self._replace_file(made)

    def _replace_file(self, made: Path) -> None:
        self.fs.makedirs(str(PurePosixPath(self.path).parent), exist_ok=True)
        with self.fs.transaction:
            self.fs.put_file(str(made), self.path)

    def _replace_folder(self, made: Path) -> None:
        aside = self.sibling(f".{self.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            self.fs.makedirs(str(PurePosixPath(aside.path).parent), exist_ok=True)
            self.fs.put(str(made), aside.path, recursive=True)
            self.remove()
            self.fs.mv(aside.path, self.path, recursive=True)
        finally:
            aside.remove()


def copy_into(source: Path, target: Location) -> None:
    """Copy a local file to a place."""
    with target.writing() as aside:
        shutil.copy(source, aside)
