"""The record of how a version was made: parameters, code, packages, raw data, and the hash of every output."""

import hashlib
import platform
import re
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import mlflow
import yaml

from tailor._version import __version__
from tailor.errors import BadInputError
from tailor.registry.versions import git_commit, git_is_dirty
from tailor.source_code import package_hash
from tailor.types import JsonObject

#: Folder of a run that holds the record: all parameters as YAML, and the rest as JSON.
FOLDER = "reproduce"
PARAMETERS, RECORD = f"{FOLDER}/parameters.yml", f"{FOLDER}/record.json"
#: The distribution whose requirements are written down, and the file that pins them in a checkout.
_DISTRIBUTION, _LOCK = "tailor-recsys", "requirements.lock"
#: Extras of Tailor that hold what pipelines need.
_OF_RUNS = ("serve", "encoder", "train", "multilingual")
PYTHON, MACHINE = "Python", "machine"


@dataclass(frozen=True)
class Output:
    """One output of a node."""

    node: str
    """Its name, with that of the pipeline: ``data_processing.split``."""
    name: str
    """Of the dataset."""
    digest: str
    """Hash of its content."""


@dataclass(frozen=True)
class Code:
    """The code that made a version."""

    tailor_version: str
    git_commit: str
    git_dirty: bool
    """Whether tracked files had changes that were not committed."""
    lock: str
    """SHA-256 of requirements.lock; empty where there is none."""
    source: str
    """Hash of Tailor's own code."""
    packages: dict[str, str]
    """Version of every package that Tailor requires, directly or not; of Python, and the kind of machine."""


@dataclass(frozen=True)
class Record:
    """How a version was made."""

    environment: str
    """Folder of conf/; empty for the default."""
    data: str
    """Folder that the run wrote to."""
    parameters: JsonObject
    """All parameters as they were in force: those of the command line and tuned options too."""
    raw: dict[str, str]
    """Hash of every raw table, by name."""
    fingerprint: dict[str, str]
    """data_hash and split_hash."""
    code: Code
    outputs: list[Output]
    """In the order of the pipelines."""


def code_in_force(project: Path) -> Code:
    """Return what a run from this working tree, with the packages of this process, is made by."""
    lock = project / _LOCK
    digest = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else ""
    return Code(__version__, git_commit(), git_is_dirty(), digest, package_hash(), packages_in_force())


def packages_in_force() -> dict[str, str]:
    """Return the versions of all packages that Tailor requires here, of Python, and the kind of machine."""
    versions = {PYTHON: platform.python_version(), MACHINE: f"{platform.system()} {platform.machine()}"}
    left, seen = [_DISTRIBUTION], {_DISTRIBUTION}
    while left:
        try:
            distribution = metadata.distribution(left.pop())
        except metadata.PackageNotFoundError:  # it is for another system
            continue
        name = _normal(distribution.name)
        versions |= {name: distribution.version} if name != _DISTRIBUTION else {}
        required = {_normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in _required(distribution)}
        left += required - seen
        seen |= required
    return dict(sorted(versions.items()))


def write(run_id: str, record: Record) -> None:
    """Log a record to a run."""
    client = mlflow.MlflowClient()
    rest = {name: value for name, value in asdict(record).items() if name != "parameters"}
    client.log_text(run_id, yaml.safe_dump(record.parameters, sort_keys=False, allow_unicode=True), PARAMETERS)
    client.log_dict(run_id, rest, RECORD)


def read(run_id: str) -> Record | None:
    """Read the record of a run; None where it has none.

    Raises:
        BadInputError: it is damaged.
    """
    if not {PARAMETERS, RECORD} <= _logged(run_id):
        return None
    try:
        rest = mlflow.artifacts.load_dict(f"runs:/{run_id}/{RECORD}")
        parameters = yaml.safe_load(mlflow.artifacts.load_text(f"runs:/{run_id}/{PARAMETERS}"))
        outputs = [Output(**output) for output in rest.pop("outputs")]
        return Record(parameters=parameters, outputs=outputs, code=Code(**rest.pop("code")), **rest)
    except (yaml.YAMLError, mlflow.exceptions.MlflowException, TypeError, KeyError, AttributeError) as problem:
        raise BadInputError(f"{FOLDER}/ of run {run_id} cannot be read: {problem}. Register the model anew.") from None


def _logged(run_id: str) -> set[str]:
    """Return the files of a run's record; none where the run is gone."""
    try:
        return {file.path for file in mlflow.MlflowClient().list_artifacts(run_id, FOLDER)} if run_id else set()
    except mlflow.exceptions.MlflowException:
        return set()


def _required(distribution: metadata.Distribution) -> list[str]:
    """Return what a distribution requires, without its extras; of Tailor those that a run needs."""
    extras = _OF_RUNS if _normal(distribution.name) == _DISTRIBUTION else ()
    lines = distribution.requires or []
    return [line for line in lines if "extra ==" not in line or any(f'"{name}"' in line for name in extras)]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
