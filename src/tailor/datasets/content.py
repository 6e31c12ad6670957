"""What a dataset holds, as a hash: of its file, of its table, of the version of a model."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import IO, Any

import fsspec
import mlflow
import numpy as np
import pandas as pd
from fsspec.implementations.local import LocalFileSystem
from kedro.io import AbstractDataset, AbstractVersionedDataset
from mlflow.exceptions import MlflowException

from tailor.datasets.costs import NodeCostsDataset
from tailor.datasets.location import Location
from tailor.datasets.raw import AbsentDataset, DomainsDataset, PlantedDataset
from tailor.source_code import source_hash

#: What a file system says of a file whose content it has hashed itself.
_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "checksum")
#: What a dataset says of itself that is no matter of its content: where it lies, when the session began.
_NOT_CONTENT = ("filepath", "version", "protocol", "save_args")
_BLOCK = 2**22
#: Files whose header is hashed with its keys in order, and the bytes that hold the length of this header.
_SAFETENSORS, _LENGTH = ".safetensors", 8


def content_hash(dataset: AbstractDataset[Any, Any], load: Callable[[], object]) -> str:
    """Hash what a dataset holds and how it is read.

    Local files are hashed by content. Files elsewhere by the file system's own stamp (ETag, MD5) and their size, and by
    content where it gives none. A table of a database is loaded, a registered model is asked for its identity.

    Args:
        dataset: any dataset of a catalog.
        load: returns its data; called only where nothing else tells.

    Returns:
        16 hexadecimal digits.
    """
    if isinstance(dataset, DomainsDataset):
        return value_hash({name: content_hash(part, part.load) for name, part in dataset.domains.items()})
    described = {key: value for key, value in dataset._describe().items() if key not in _NOT_CONTENT}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    for part in _parts(dataset, load):
        digest.update(part)
    return digest.hexdigest()[:16]


def value_hash(value: object) -> str:
    """Hash a parameter, or anything else that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _parts(dataset: AbstractDataset[Any, Any], load: Callable[[], object]) -> Iterator[bytes]:
    if isinstance(dataset, PlantedDataset):
        yield source_hash("tailor.data.fabricate").encode()
        return
    if isinstance(dataset, AbsentDataset | NodeCostsDataset):  # what nodes took makes no output stale
        return
    if hasattr(dataset, "model_uri"):
        yield _model(dataset.model_uri)
        return
    place = _place(dataset)
    if place is None:
        yield _bytes_of(load())
    elif place.exists():
        yield from _hash_of_files(place)


def _place(dataset: AbstractDataset[Any, Any]) -> Location | None:
    """Return where a dataset's files are, None for what lies in no file."""
    location = getattr(dataset, "location", None)
    if isinstance(location, Location):
        return location
    fs = getattr(dataset, "_fs", None)
    if isinstance(dataset, AbstractVersionedDataset) and isinstance(fs, fsspec.AbstractFileSystem):
        return Location(fs, str(dataset._get_load_path()))
    return None


def _hash_of_files(place: Location) -> Iterator[bytes]:
    files = sorted(place.fs.find(place.path))
    for path in files or ([] if place.fs.isdir(place.path) else [place.path]):
        yield path.removeprefix(place.path).encode() + b"\0"
        stamp = None if isinstance(place.fs, LocalFileSystem) else _stamp(place.fs.info(path))
        if stamp is not None:
            yield stamp
            continue
        with place.fs.open(path, "rb") as file:
            if path.endswith(_SAFETENSORS):
                yield _header(file)
            while block := file.read(_BLOCK):
                yield block


def _header(file: IO[bytes]) -> bytes:
    """Read the header of a safetensors file and sort its keys: the library writes metadata in any order."""
    start = file.read(_LENGTH)
    text = file.read(int.from_bytes(start, "little"))
    try:
        return json.dumps(json.loads(text), sort_keys=True).encode()
    except ValueError:  # the file is damaged, or is none: its bytes are hashed
        return start + text


def _stamp(info: dict[str, Any]) -> bytes | None:
    stamps = {key: str(info[key]) for key in _STAMPS if info.get(key)}
    return json.dumps(stamps | {"size": info.get("size")}, sort_keys=True).encode() if stamps else None


def _model(uri: str) -> bytes:
    try:
        return str(mlflow.models.get_model_info(uri).model_uuid).encode()
    except MlflowException:  # there is none yet
        return b""


def file_hash(place: Location) -> str:
    """Hash a file, or all files of a folder; of a safetensors file, whatever the order of its metadata.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for part in _hash_of_files(place):
        digest.update(part)
    return digest.hexdigest()[:16]


def table_hash(table: pd.DataFrame) -> str:
    """Hash a table by its cells and the types of its columns, whatever file holds it.

    Returns:
        16 hexadecimal digits.
    """
    return hashlib.sha256(_bytes_of(table)).hexdigest()[:16]


def _bytes_of(data: object) -> bytes:
    """Return hashes of a table's rows; of anything else only what the dataset says of itself can be told."""
    if not isinstance(data, pd.DataFrame):
        return type(data).__name__.encode()
    cells = data.astype({name: "str" for name in data.columns if data[name].dtype == object})
    return json.dumps(data.dtypes.astype(str).to_dict(), default=str).encode() + bytes(
        np.ascontiguousarray(pd.util.hash_pandas_object(cells, index=False).to_numpy()).tobytes()
    )
