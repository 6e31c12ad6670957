"""Which models of other libraries there are: the entries of peers/models.yml, and the interpreters that have them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from catalogues import ROOT
from pydantic import Field, ValidationError

from tailor.config import Options
from tailor.errors import ConfigurationError, did_you_mean
from tailor.models.registry import BASELINES, model_class

TRIALS = 4
MODELS = ROOT / "benchmarks" / "peers" / "models.yml"


@dataclass(frozen=True)
class Library:
    """A library with the interpreter that has it, and the script that runs its models there."""

    interpreter: Path
    runner: Path
    make: str
    """The target that builds the environment."""

    @classmethod
    def of(cls, environment: str, runner: str) -> "Library":
        """Return the library of an environment of this project."""
        python, script = ROOT / environment / "bin" / "python", ROOT / "benchmarks" / "peers" / f"{runner}_models.py"
        return cls(python, script, f"make {environment}/built")


LIBRARIES = {
    "implicit": Library.of(".venv-implicit", "implicit"),
    "lenskit": Library.of(".venv-lenskit", "lenskit"),
    "rectools": Library.of(".venv-peers", "rectools"),
    "rectools_torch": Library.of(".venv-rectools-torch", "rectools"),
}


class SameAs(Options):
    """A model of Tailor that makes the same lists."""

    model: str
    options: dict[str, Any]
    """Its own."""
    peer_options: dict[str, Any]
    """The peer's, under which that is so."""


class Peer(Options):
    """An entry of models.yml."""

    name: str = Field(pattern=r"^[a-z0-9_.]+$")
    library: str
    class_path: str = Field(pattern=r"^\w+(\.\w+)+$")
    options: list[dict[str, Any]] = Field(min_length=1, max_length=TRIALS)
    on_request: bool = False
    same_as: SameAs | None = None

    @property
    def digest(self) -> str:
        """What tells one version of the entry from another."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]


def read_peers(path: Path, libraries: Mapping[str, Library]) -> list[Peer]:
    """Read the entries of a file.

    Args:
        path: the YAML file.
        libraries: those there are, by name.

    Raises:
        ConfigurationError: names file, entry and key, and what would be right.
    """
    try:
        entries = yaml.safe_load(path.read_text())
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(exc).split())}.") from None
    if not isinstance(entries, list):
        raise ConfigurationError(f"{path} holds {type(entries).__name__}: write a list of entries, each with a name.")
    peers: list[Peer] = []
    for number, entry in enumerate(entries, start=1):
        peer = _entry(path, number, entry)
        _check(f"{path}, entry {number} ('{peer.name}')", peer, [other.name for other in peers], libraries)
        peers.append(peer)
    return peers


def _check(where: str, peer: Peer, earlier: Sequence[str], libraries: Mapping[str, Library]) -> None:
    """Refuse names that are taken, libraries and models that do not exist."""
    if peer.library not in libraries:
        hint = did_you_mean(peer.library, libraries)
        raise ConfigurationError(f"{where}: no library '{peer.library}'.{hint} Known: {', '.join(libraries)}.")
    if peer.name in earlier:
        raise ConfigurationError(f"{where}: another entry has this name; choose another one.")
    if peer.name in BASELINES:
        raise ConfigurationError(f"{where}: a model of Tailor is called so; write '{peer.library}.{peer.name}'.")
    if peer.same_as is not None:
        try:
            model_class(peer.same_as.model)
        except ConfigurationError as exc:
            raise ConfigurationError(f"{where}, same_as: {exc}") from None


def _entry(path: Path, number: int, entry: object) -> Peer:
    name = entry.get("name") if isinstance(entry, dict) else None
    where = f"{path}, entry {number}" + (f" ('{name}')" if name else "")
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where} is {entry!r}: write name, library, class_path and options.")
    try:
        return Peer.model_validate(entry)
    except ValidationError as exc:
        raise ConfigurationError("\n".join(_problem(where, error) for error in exc.errors())) from None


def _problem(where: str, error: Any) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        known = [*(SameAs if len(error["loc"]) > 1 else Peer).model_fields]
        return f"{where}: no key '{key}'.{did_you_mean(str(error['loc'][-1]), known)} Known here: {', '.join(known)}."
    if error["type"] == "missing":
        return f"{where}: '{key}' is missing."
    if error["loc"] == ("options",) and error["type"] == "too_long":
        given = error["ctx"]["actual_length"]
        return f"{where}: {given} option sets; at most {TRIALS}, as many as Tailor's own models have."
    return f"{where}: {key} = {error['input']!r}: {error['msg']}."


def chosen_peers(peers: Sequence[Peer], names: Sequence[str]) -> list[Peer]:
    """Return the peers that are named, or all that are not on request.

    Raises:
        ConfigurationError: there is none of a name.
    """
    by_name = {peer.name: peer for peer in peers}
    for name in names:
        if name not in by_name:
            hint = did_you_mean(name, by_name)
            raise ConfigurationError(f"ONLY names '{name}', which is no peer.{hint} Known: {', '.join(by_name)}.")
    return [by_name[name] for name in names] or [peer for peer in peers if not peer.on_request]
