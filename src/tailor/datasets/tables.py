"""Tables as parquet: plain ones, and one that grows."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview

from tailor import columns as c
from tailor.datasets.base import FileDataset

#: What stands in a preview for ids of users: previews may be published.
HIDDEN = "(not shown)"
#: In a table of people: columns that say who somebody is, or hold their own words.
_OF_PEOPLE = (c.USER, "about", "comment", c.TEXT)


def table_preview(rows: pd.DataFrame) -> TablePreview:
    """Return rows for kedro-viz, in which nobody is named: `kedro viz build` makes files of them."""
    hidden = {name: HIDDEN for name in _OF_PEOPLE if name in rows and c.USER in rows}
    return TablePreview(rows.assign(**hidden).to_dict(orient="split"))


class ParquetDataset(FileDataset[pd.DataFrame]):
    """One DataFrame in one parquet file."""

    def _read(self, path: Path) -> pd.DataFrame:
        return pd.read_parquet(path)

    def _write(self, path: Path, data: pd.DataFrame) -> None:
        if not isinstance(data, pd.DataFrame):
            raise DatasetError(
                f"{self.filepath} takes a table, not a {type(data).__name__}: give this dataset an entry of its own in "
                "conf/base/catalog, or name it among the pipeline's private datasets"
            )
        data.to_parquet(path)

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows, for kedro-viz."""
        with self.location.open_for_reading() as path, pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(nrows), None)
            first = file.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch])
        return table_preview(first.to_pandas())


class AccumulatedDataset(ParquetDataset):
    """A table that grows: saving replaces the rows that agree with the new ones in ``keys``, and keeps all others."""

    def __init__(self, *, keys: list[str], **kwargs: Any) -> None:
        """Remember the keys.

        Args:
            keys: columns that say which rows are the same.
            kwargs: as of :class:`ParquetDataset`.
        """
        super().__init__(**kwargs)
        self._keys = keys

    def save(self, data: pd.DataFrame) -> None:
        """Merge with what is there, write aside, replace."""
        if self.exists():
            old = self.load()
            if set(old) == set(data):
                new = pd.MultiIndex.from_frame(data[self._keys])
                data = pd.concat([old[~pd.MultiIndex.from_frame(old[self._keys]).isin(new)], data], ignore_index=True)
        super().save(data)
