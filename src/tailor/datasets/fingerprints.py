"""What made each output of a data folder: one JSON file, which several runs may write at once."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from tailor.datasets.base import FileDataset
from tailor.datasets.location import Location
from tailor.errors import BadInputError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

_THREADS = threading.Lock()


class Fingerprint(TypedDict):
    """What made one output."""

    inputs: dict[str, str] | None
    """Hash of each input of its node and of the node's code, by name; None while the output is being written."""
    identity: str
    """What nodes that read the output depend on."""
    run: str
    """Id of the run that made it."""
    made_at: str
    """When, in UTC (ISO 8601): of two entries the later one is right."""


Fingerprints = dict[str, Fingerprint]


class FingerprintsDataset(FileDataset[Fingerprints]):
    """Fingerprints of outputs by name; an absent file has none."""

    def load(self) -> Fingerprints:
        """Read the file."""
        return self.known()

    def known(self) -> Fingerprints:
        """Read the file; what it raises is no error of Kedro's.

        Raises:
            BadInputError: it is damaged.
        """
        if not self.location.exists():
            return {}
        with self.location.open_for_reading() as path:
            return self._read(path)

    def update(self, changes: Mapping[str, Fingerprint]) -> None:
        """Replace some entries, unless the file has later ones; the file as a whole is replaced at once.

        Local files are locked meanwhile, so that two runs lose none of each other's entries. Elsewhere a run gives
        every entry that it has made so far, and one that was lost comes back with the next.
        """
        with locked(self.location):
            self.save(latest(self.known(), changes))

    def _read(self, path: Path) -> Fingerprints:
        try:
            entries: Fingerprints = json.loads(path.read_text())
            complete = all(set(entry) == set(Fingerprint.__annotations__) for entry in entries.values())
        except (ValueError, AttributeError, TypeError):
            complete = False
        if not complete:
            raise BadInputError(f"{self.filepath} is damaged: delete it; the next resume then runs every node again.")
        return entries

    def _write(self, path: Path, data: Fingerprints) -> None:
        path.write_text(json.dumps(data, indent=1, sort_keys=True))


def latest(known: Mapping[str, Fingerprint], others: Mapping[str, Fingerprint]) -> Fingerprints:
    """Return the later entry of each output."""
    later = {name: new for name, new in others.items() if name not in known or known[name]["made_at"] <= new["made_at"]}
    return dict(known) | later


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
