"""A table too long to make in one go: written part by part, taken up again after an interruption."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError

from tailor.datasets.base import FileDataset
from tailor.datasets.location import Location
from tailor.progress import progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """A table that is yet to be made."""

    key: Mapping[str, object]
    """Everything that the rows depend on; parts that were made under another key are thrown away."""
    n: int
    make: Callable[[int], pd.DataFrame]
    """Returns part 0 … n - 1; all with the same columns."""


class ResumableParquetDataset(FileDataset[Any]):
    """One parquet file, saved from :class:`Parts` and loaded as a DataFrame.

    Finished parts lie in a folder beside the file until all are there; then they are joined aside, one in memory at a
    time, and the file is replaced at once. A process that is killed leaves the old file, and the next save makes the
    missing parts only.
    """

    def _read(self, path: Path) -> pd.DataFrame:
        return pd.read_parquet(path)

    def save(self, data: Parts) -> None:
        """Make what is missing, join, replace.

        Raises:
            DatasetError: there are no parts.
        """
        if data.n < 1:
            raise DatasetError(f"{self.filepath}: a table of no parts cannot be written")
        folder = self._folder(data.key)
        for old in self.location.siblings(f".{self.location.name}.*.parts"):
            if old.path != folder.path:
                old.remove()
        files = [folder.sibling(f"{folder.name}/{part:06d}.parquet") for part in range(data.n)]
        missing = [part for part, file in enumerate(files) if not file.exists()]
        if len(missing) < data.n:
            log.info("%s: %d of %d parts were made before", self.location.name, data.n - len(missing), data.n)
        for part in progress(missing, self.location.name.partition(".")[0], "part"):
            with files[part].writing() as aside:
                data.make(part).to_parquet(aside, index=False)
        with self.location.writing() as aside:
            _join(files, aside)
        folder.remove()

    def _folder(self, key: Mapping[str, object]) -> Location:
        digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:16]
        return self.location.sibling(f".{self.location.name}.{digest}.parts")


def _join(files: list[Location], target: Path) -> None:
    with files[0].open_for_reading() as path:
        schema = pq.read_schema(path)
    with pq.ParquetWriter(target, schema) as writer:
        for file in files:
            with file.open_for_reading() as path:
                writer.write_table(pa.table(pq.read_table(path).columns, schema=schema))
