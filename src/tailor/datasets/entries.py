"""One JSON file of entries by name, which several runs may write at once."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from tailor.datasets.base import FileDataset
from tailor.datasets.location import Location
from tailor.errors import BadInputError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

_THREADS = threading.Lock()
E = TypeVar("E", bound=Mapping[str, Any])


class EntriesDataset(FileDataset[dict[str, E]], Generic[E]):
    """Entries by name; an absent file has none. A kind of entries says which keys one has."""

    entry: ClassVar[type]
    """The TypedDict of an entry."""
    remedy: ClassVar[str]
    """What becomes of a damaged file that is deleted, for the error."""

    def load(self) -> dict[str, E]:
        """Read the file."""
        return self.known()

    def known(self) -> dict[str, E]:
        """Read the file; what it raises is no error of Kedro's.

        Raises:
            BadInputError: it is damaged.
        """
        if not self.location.exists():
            return {}
        with self.location.open_for_reading() as path:
            return self._read(path)

    def update(self, changes: Mapping[str, E]) -> None:
        """Replace some entries; the file as a whole is replaced at once.

        Local files are locked meanwhile, so that two runs lose none of each other's entries.
        """
        with locked(self.location):
            self.save(self.merged(self.known(), changes))

    @staticmethod
    def merged(known: Mapping[str, E], changes: Mapping[str, E]) -> dict[str, E]:
        """Return what the file holds after changes."""
        return dict(known) | dict(changes)

    def _read(self, path: Path) -> dict[str, E]:
        try:
            entries: dict[str, E] = json.loads(path.read_text())
            complete = all(set(entry) == set(self.entry.__annotations__) for entry in entries.values())
        except (ValueError, AttributeError, TypeError):
            complete = False
        if not complete:
            raise BadInputError(f"{self.filepath} is damaged: delete it; {self.remedy}.")
        return entries

    def _write(self, path: Path, data: dict[str, E]) -> None:
        path.write_text(json.dumps(data, indent=1, sort_keys=True))


@contextlib.contextmanager
def locked(location: Location) -> Iterator[None]:
    """Keep other threads away, and from a local file other processes; a process that ends gives its lock back."""
    with _THREADS:
        if fcntl is None or not location.is_local:
            yield
            return
        path = Path(location.sibling(f".{location.name}.lock").path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
