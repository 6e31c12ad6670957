"""Lists of many models: a folder of parquet files, one for each model, made and read one at a time."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview
from pandera.errors import SchemaError

from tailor.datasets.base import FileDataset
from tailor.datasets.location import Location
from tailor.datasets.tables import table_preview
from tailor.schemas import Lists

#: Bytes of a file's dictionary of ids; a longer one would be written as plain texts, one for each row.
_DICTIONARY_BYTES = 2**28
#: Rows that are decoded at a time.
_ROW_GROUP = 2**20
#: File with the names of the models.
_MODELS = "_models.json"
Tables = Mapping[str, Callable[[], pd.DataFrame]]


class ListsDataset(FileDataset[Tables]):
    """Tables by model, in the order in which they are given; each is made when it is written, and read when asked for.

    ``000-popular.parquet``, ``001-ease.parquet``, …: pandas, polars and duckdb read the folder as one table. The folder
    is written aside, so an interrupted run leaves the old one. Every table is checked by :class:`tailor.schemas.Lists`.

    Example:
        >>> dataset = ListsDataset(filepath="memory://doc/lists")
        >>> row = {"user_id": ["u1"], "item_id": ["i1"], "rank": [1], "score": [0.5], "model": ["ease"]}
        >>> dataset.save({"ease": lambda: pd.DataFrame(row)})
        >>> dataset.load()["ease"]()["item_id"].tolist()
        ['i1']
    """

    def save(self, data: Tables) -> None:
        """Make and write one table after the other.

        Raises:
            DatasetError: these are no functions by model, or a table is none of lists.
        """
        if not isinstance(data, Mapping) or not all(map(callable, data.values())):
            raise DatasetError(
                f"{self.filepath} takes functions that make tables, by model, not a {type(data).__name__}"
            )
        super().save(data)

    def load(self) -> Tables:
        """Return, by model, what reads its table.

        Raises:
            DatasetError: there is no such folder, or the table of a model is missing in it.
        """
        files = self._files()
        if files is None:
            raise DatasetError(
                f"There are no lists in {self.filepath}, or not of every model: run the pipeline that makes them"
            )
        return {name: partial(self._table, file) for name, file in files.items()}

    def _exists(self) -> bool:
        return self._files() is not None

    def _files(self) -> dict[str, Location] | None:
        """Return the file of each model, in order; None where a table is missing, or nothing was written."""
        models = self.location.sibling(f"{self.location.name}/{_MODELS}")
        if not models.exists():
            return None
        with models.open_for_reading() as path:
            names = json.loads(path.read_text())
        files = {name: models.sibling(_file_name(number, name)) for number, name in enumerate(names)}
        return files if all(file.exists() for file in files.values()) else None

    def _table(self, file: Location) -> pd.DataFrame:
        with file.open_for_reading() as path:
            return self._checked(pd.read_parquet(path))

    def _write(self, path: Path, data: Tables) -> None:
        path.mkdir(parents=True)
        # What reads a folder as one table passes over names like this.
        (path / _MODELS).write_text(json.dumps(list(data)))
        for number, (name, make) in enumerate(data.items()):
            table = self._checked(make())
            table.to_parquet(
                path / _file_name(number, name),
                index=False,
                row_group_size=_ROW_GROUP,
                dictionary_pagesize_limit=_DICTIONARY_BYTES,
            )

    def _checked(self, table: Any) -> pd.DataFrame:
        if not isinstance(table, pd.DataFrame):
            raise DatasetError(f"{self.filepath} takes tables, not a {type(table).__name__}")
        try:
            return pd.DataFrame(Lists.validate(table))
        except SchemaError as problem:
            raise DatasetError(f"{self.filepath}: not a table of lists: {problem}") from problem

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows of the first model, for kedro-viz."""
        first = next(iter((self._files() or {}).values()), None)
        if first is None:
            return TablePreview(pd.DataFrame().to_dict(orient="split"))
        with first.open_for_reading() as path, pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(nrows), None)
            table = file.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch])
        return table_preview(table.to_pandas())


def _file_name(number: int, model: str) -> str:
    return f"{number:03d}-{quote(model, safe=' ')}.parquet"
