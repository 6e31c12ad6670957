"""Where people who were forgotten still are: versions, artifacts of runs, files; listed, and deleted on request.

No id is written into the list. What holds them is told in three words:

| holds | |
|---|---|
| ids | the person's id stands in it |
| rows | rows of the person, by number |
| learnt | weights or figures that were made with the person's rows |
"""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tailor import columns as c
from tailor.data.people import SuppressionList
from tailor.registry.publish import EVALUATED
from tailor.registry.store import sqlite_file
from tailor.registry.versions import CHAMPION, delete_version
from tailor.serving.package import ARTIFACT

log = logging.getLogger(__name__)
IDS, ROWS, LEARNT = "ids", "rows", "learnt"
#: Columns of the list.
COLUMNS = ["what", "path", "holds", "deleted", "remedy"]
#: File of a package that names its users.
_IDS_FILE = "ids.npz"
_REPORT = "report.html"
_ANEW = "delete it; `kedro run` makes it anew without them"
#: Folders of the data folder, by what their files hold where no column user_id tells.
_OF_LAYER = {"04_feature": ROWS, "06_models": LEARNT}
_LAYERS = ("02_intermediate", "03_primary", "04_feature", "06_models", "07_model_output", "08_reporting")
#: Files of items alone, unless their texts quote users; and what is learnt of them.
_OF_ITEMS, _EMBEDDINGS = ("item_text", "item_categories", "item_embeddings_frozen"), "item_embeddings"


@dataclass(frozen=True)
class Holder:
    """Something that still holds people who were forgotten."""

    what: str
    path: str
    holds: str
    remedy: str
    delete: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    """Deletes it; None: it is not ours to delete, or nobody can say whether it holds anybody."""

    @property
    def unread(self) -> "Holder":
        """The same where what it holds could not be read: it is listed, and never deleted."""
        return replace(self, remedy=f"look into it, and if it holds them: {self.remedy}", delete=None)


@dataclass(frozen=True)
class Folders:
    """Where a project keeps what is no part of the registry."""

    data: Path
    raw: Path
    checkpoints: Path | None
    """Of fits that were interrupted; None: none are kept."""
    searches: str
    """Address of Optuna's store."""


def find_holders(name: str, suppressed: SuppressionList, folders: Folders) -> list[Holder]:
    """Find whatever holds people of the list, but for the champion's package, which holds them no more.

    Args:
        name: of the model in the registry.
        suppressed: who was forgotten.
        folders: of the project.
    """
    if not suppressed:
        return []
    holders = [*_versions(name, suppressed), *_artifacts(name, suppressed), *_files(folders, suppressed)]
    # Whether these saw somebody cannot be told from them: where nothing else names anybody, they are taken to be later.
    made_with = [*_checkpoints(folders.checkpoints), *_searches(folders.searches)] if holders else []
    if all(one.delete is None for one in holders):  # nothing that could be read names anybody
        made_with = [one.unread for one in made_with]
    return [*holders, *made_with, *_raw(folders.raw)]


def tell(holders: Iterable[Holder], delete: bool) -> pd.DataFrame:
    """Return the list as a table; on request delete what can be, one by one, so that a killed run goes on.

    Args:
        holders: as of :func:`find_holders`.
        delete: whether to delete.

    Returns:
        Columns what, path, holds, deleted, remedy.
    """
    rows = []
    for holder in holders:
        deletes = delete and holder.delete is not None
        if deletes and holder.delete is not None:
            holder.delete()
            log.info("Deleted %s: %s", holder.what, holder.path)
        rows.append((holder.what, holder.path, holder.holds, deletes, "" if deletes else holder.remedy))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"deleted": bool})


def _versions(name: str, suppressed: SuppressionList) -> Iterator[Holder]:
    """Yield the registered versions whose packages hold somebody."""
    client = mlflow.MlflowClient()
    champion = str(client.get_registered_model(name).aliases.get(CHAMPION, ""))
    versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version))
    for version in versions:
        if str(version.version) != champion:
            uri = f"models:/{name}/{version.version}"
            names = _names_somebody(f"{uri}/artifacts/{ARTIFACT}/{_IDS_FILE}", suppressed)
            if names is not False:
                number, where = version.version, client.get_model_version_download_uri(name, version.version)
                remedy = f"mlflow.MlflowClient().delete_model_version('{name}', '{number}'), then delete the path"
                holder = Holder(
                    f"version {number}", str(where), IDS, remedy, partial(delete_version, name, str(number))
                )
                yield holder if names else holder.unread


def _artifacts(name: str, suppressed: SuppressionList) -> Iterator[Holder]:
    """Yield what runs have logged: the measured model, and the report with the histories of three users."""
    client = mlflow.MlflowClient()
    run = mlflow.active_run()
    experiments = {run.info.experiment_id} if run else set()
    experiments |= {one.experiment_id for one in client.search_experiments() if one.name == name}
    for one in mlflow.search_runs(sorted(experiments), output_format="list") if experiments else []:
        location = str(one.info.artifact_uri)
        logged = {file.path for file in client.list_artifacts(one.info.run_id)}
        names = EVALUATED in logged and _names_somebody(f"{location}/{EVALUATED}/{_IDS_FILE}", suppressed)
        if names is not False:
            # The package last: by it the run is found again after an interruption.
            parts = ({_REPORT: ROWS} if _REPORT in logged else {}) | {EVALUATED: IDS}
            for part, holds in parts.items():
                holder = Holder("artifact of a run", f"{location}/{part}", holds, "delete it", _deleted(location, part))
                yield holder if names else holder.unread


def _deleted(location: str, part: str) -> Callable[[], None]:
    return lambda: get_artifact_repository(location).delete_artifacts(part)


def _names_somebody(uri: str, suppressed: SuppressionList) -> bool | None:
    """Whether a package names somebody of the list; None, and a warning, where it cannot be read."""
    try:
        with TemporaryDirectory() as folder:
            file = mlflow.artifacts.download_artifacts(uri, dst_path=folder)
            with np.load(file, allow_pickle=False) as ids:
                return bool(suppressed.mask(ids["users"].astype(object)).any())
    except (mlflow.exceptions.MlflowException, OSError, ValueError, KeyError, BadZipFile) as problem:
        log.warning("%s cannot be read (%s): it is listed, and not deleted", uri, type(problem).__name__)
        return None


def _files(folders: Folders, suppressed: SuppressionList) -> Iterator[Holder]:
    """Yield the files of the data folder: those that name somebody, and those made of the same rows.

    Files without ids come first: by the tables they are recognised again after an interruption. Those that are older
    than the table of users that is there now are of an earlier one, which cannot be asked any more: they are listed.
    """
    data, search = folders.data, sqlite_file(folders.searches)
    paths = [path for layer in _LAYERS for path in sorted((data / layer).rglob("*")) if path.is_file()]
    paths = [path for path in paths if folders.checkpoints not in path.parents and path != search]
    named = {path for path in paths if _names(path, suppressed)}
    users, texts = data / "03_primary" / "users.parquet", _quote_users(data)
    for path in paths:
        if path not in named and (users in named or not _is_later(path, users)):
            holds = _without_ids(path, data, texts)
            if holds:
                yield Holder("file", str(path), holds, _ANEW, path.unlink)
    for path in sorted(named):
        yield Holder("file", str(path), IDS, _ANEW, path.unlink)


def _names(path: Path, suppressed: SuppressionList) -> bool:
    """Whether a table has a row of somebody of the list."""
    if path.suffix != ".parquet" or c.USER not in pq.read_schema(path).names:
        return False
    batches = pq.ParquetFile(path).iter_batches(columns=[c.USER])
    return any(suppressed.mask(batch.column(0).to_pandas()).any() for batch in batches)


def _is_later(path: Path, users: Path) -> bool:
    """Whether a file was made after the table of users that is there now, and so of it."""
    return users.is_file() and path.stat().st_mtime_ns >= users.stat().st_mtime_ns


def _quote_users(data: Path) -> bool:
    """Whether texts of items may quote what users wrote about them."""
    rows = data / "02_intermediate" / "interactions.parquet"
    return rows.is_file() and c.TEXT in pq.read_schema(rows).names


def _without_ids(path: Path, data: Path, texts: bool) -> str:
    """Say what a file of a data folder holds whose tables name somebody, though it has no ids; empty: nobody."""
    layer = path.relative_to(data).parts[0]
    if path.suffix == ".json" or (path.name.startswith(_OF_ITEMS) and not texts):
        return ""
    if path.name.startswith(_EMBEDDINGS) or path.name == _REPORT:
        return LEARNT if path.name != _REPORT else ROWS
    return _OF_LAYER.get(layer, "")


def _checkpoints(folder: Path | None) -> Iterator[Holder]:
    """Yield what interrupted fits have left."""
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        yield Holder("checkpoints", str(folder), LEARNT, "delete the folder", lambda: shutil.rmtree(folder))


def _searches(address: str) -> Iterator[Holder]:
    """Yield Optuna's store: figures of fits on the rows, no id and no row."""
    file = sqlite_file(address)
    if file is None and address:
        yield Holder("Optuna's store", address.rpartition("@")[2], LEARNT, "`optuna delete-study` for each study")
    elif file is not None and file.is_file():
        yield Holder("Optuna's store", str(file), LEARNT, "delete it; searches begin anew", file.unlink)


def _raw(raw: Path) -> Iterator[Holder]:
    """Yield the folder of raw tables, whatever is in it: it is not ours to change."""
    if raw.exists():
        remedy = "yours: take their rows out where the tables come from; until then each run leaves them out"
        yield Holder("raw tables", str(raw), IDS, remedy)
