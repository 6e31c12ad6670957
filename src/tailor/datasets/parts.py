"""A table too long to make in one go: written part by part, taken up again after an interruption."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError

from tailor.datasets.local import LocalFileDataset
from tailor.files import write_aside
from tailor.progress import progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """A table that is yet to be made."""

    key: Mapping[str, Any]
    """Everything that the rows depend on; parts that were made under another key are thrown away."""
    n: int
    make: Callable[[int], pd.DataFrame]
    """Returns part 0 … n - 1; all with the same columns."""


class ResumableParquetDataset(LocalFileDataset[Any]):
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
            raise DatasetError(f"{self._filepath}: a table of no parts cannot be written")
        folder = self._folder(data.key)
        self._clear(but=folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{at:06d}.parquet" for at in range(data.n)]
        missing = [at for at, file in enumerate(files) if not file.exists()]
        if len(missing) < data.n:
            log.info("%s: %d of %d parts were made before", self._filepath.name, data.n - len(missing), data.n)
        for at in progress(missing, self._filepath.stem, "part"):
            with write_aside(files[at]) as aside:
                data.make(at).to_parquet(aside, index=False)
        with write_aside(self._filepath) as aside:
            _join(files, aside)
        shutil.rmtree(folder)

    def _folder(self, key: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:16]
        return self._filepath.with_name(f".{self._filepath.name}.{digest}.parts")

    def _clear(self, but: Path) -> None:
        for old in self._filepath.parent.glob(f".{self._filepath.name}.*.parts"):
            if old != but:
                shutil.rmtree(old)


def _join(files: list[Path], target: Path) -> None:
    tables = (pq.read_table(file) for file in files)
    first = next(tables)
    with pq.ParquetWriter(target, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(pa.table(table.columns, schema=first.schema))
