"""The base of every dataset of ours: one place on any file system, and how its content is read and written."""

from pathlib import Path
from typing import Generic, TypeVar

from kedro.io import AbstractDataset

from tailor.datasets.location import Location
from tailor.types import JsonObject

T = TypeVar("T")


class FileDataset(AbstractDataset[T, T], Generic[T]):
    """A file or folder that is written aside; subclasses say, with ``_read`` and ``_write``, what is in it.

    Both are handed a local :class:`~pathlib.Path`, whatever the file system is.
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: JsonObject | None = None,
        fs_args: JsonObject | None = None,
        metadata: JsonObject | None = None,
    ) -> None:
        """Remember the place.

        Args:
            filepath: a path, or a URL of any file system that fsspec knows (``s3://…``, ``memory://…``).
            credentials: for the file system, from ``conf/local/credentials.yml``.
            fs_args: other options of the file system.
            metadata: for kedro-viz.
        """
        self.location = Location.parse(filepath, **(credentials or {}), **(fs_args or {}))
        self.metadata = metadata

    @property
    def filepath(self) -> str:
        """Where the data are: a local path, or a URL."""
        return str(self.location)

    def load(self) -> T:
        """Read what is there."""
        with self.location.open_for_reading() as path:
            return self._read(path)

    def save(self, data: T) -> None:
        """Write aside, then replace what is there."""
        with self.location.writing() as path:
            self._write(path, data)

    def _read(self, path: Path) -> T:
        raise NotImplementedError

    def _write(self, path: Path, data: T) -> None:
        raise NotImplementedError

    def _exists(self) -> bool:
        return self.location.exists()

    def _describe(self) -> JsonObject:
        return {"filepath": self.filepath}
