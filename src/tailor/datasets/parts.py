"""A table too long to make in one go: written part by part, taken up again after an interruption."""

import contextlib
import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError

from tailor.datasets.base import FileDataset
from tailor.datasets.location import Location
from tailor.processes import in_processes
from tailor.progress import progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """A table that is yet to be made."""

    key: Mapping[str, object]
    """Everything that the rows depend on; parts that were made under another key are thrown away."""
    of: Sequence[Any]
    """What each part is made of, in the order of the rows."""
    make: Callable[[Any], pd.DataFrame]
    """Returns a part, given what it is made of; all have the same columns."""
    workers: int = 1
    """Processes that make parts at the same time; of more than one, ``make`` and ``of`` can be pickled."""
    option: str = "workers"
    """That sets ``workers``, for errors."""


class ResumableParquetDataset(FileDataset[Any]):
    """One parquet file, saved from :class:`Parts` and loaded as a DataFrame.

    Finished parts lie in a folder beside the file until all are there; then they are joined aside, one in memory at a
    time, and the file is replaced at once. A process that is killed leaves the old file, and the next save makes the
    missing parts only. Parts may be made by several processes; the file is the same.
    """

    def _read(self, path: Path) -> pd.DataFrame:
        return pd.read_parquet(path)

    def save(self, data: Parts) -> None:
        """Make what is missing, join, replace.

        Raises:
            DatasetError: there are no parts, or another process is writing this table.
        """
        if not data.of:
            raise DatasetError(f"{self.filepath}: a table of no parts cannot be written")
        with self._alone():
            folder = self._folder(data.key)
            for old in self.location.siblings(f".{self.location.name}.*.parts"):
                if old.path != folder.path:
                    old.remove()
            files = self._parts(folder, data)
            with self.location.writing() as aside:
                _join(files, aside)
            folder.remove()

    def _parts(self, folder: Location, data: Parts) -> list[Location]:
        """Make the parts that are missing; return the files of all."""
        files = [folder.sibling(f"{folder.name}/{part:06d}.parquet") for part in range(len(data.of))]
        missing = [(file, of) for file, of in zip(files, data.of, strict=True) if not file.exists()]
        if len(missing) < len(files):
            log.info("%s: %d of %d parts were made before", self.location.name, len(files) - len(missing), len(files))
        made = zip((file for file, _ in missing), _made(data, [of for _, of in missing]), strict=True)
        for file, table in progress(made, self.location.name.partition(".")[0], "part", len(missing)):
            with file.writing() as aside:
                table.to_parquet(aside, index=False)
        return files

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes of this machine from writing the same table; elsewhere nobody is kept.

        The lock is the operating system's: it ends with the process, and its file lies among temporary ones.
        """
        if not self.location.is_local:
            yield
            return
        digest = hashlib.sha256(str(Path(self.location.path).resolve()).encode()).hexdigest()[:16]
        lock = filelock.FileLock(Path(tempfile.gettempdir()) / f"tailor-{digest}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise DatasetError(f"{self.filepath}: another run is writing it; wait for its end, or stop it") from None
        try:
            yield
        finally:
            lock.release()

    def _folder(self, key: Mapping[str, object]) -> Location:
        digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:16]
        return self.location.sibling(f".{self.location.name}.{digest}.parts")


def _made(data: Parts, tasks: list[Any]) -> Iterator[pd.DataFrame]:
    """Make parts, in order; other processes hand theirs over, so that this one alone writes."""
    if data.workers == 1 or len(tasks) <= 1:
        return map(data.make, tasks)
    return in_processes(data.make, tasks, data.workers, data.option)


def _join(files: list[Location], target: Path) -> None:
    with files[0].open_for_reading() as path:
        schema = pq.read_schema(path)
    with pq.ParquetWriter(target, schema) as writer:
        for file in files:
            with file.open_for_reading() as path:
                writer.write_table(pa.table(pq.read_table(path).columns, schema=schema))
