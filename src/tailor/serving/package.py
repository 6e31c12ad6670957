"""The package of a recommender: its files, and a hash of each, so that what was damaged or exchanged is refused.

| file | holds |
|---|---|
| model.safetensors | the fitted model, sources and weights by name |
| histories.safetensors | of every user: items, order, confidence, profiles, sums of texts; blocked pairs |
| ids.npz | external ids, order of ties |
| about.json | format, version of Tailor, tags, scenarios, encoders of profiles and contexts |
| items.parquet | titles, texts, categories, numbers |
| encoder/, student/ | from words to embeddings: the base encoder, the adapter and those of domains; the token table |
| words/ | the items in the space that words are read in, see :mod:`tailor.serving.word_reader` |
| manifest.json | format, the SHA-256 of every other file |
| plugins/ | the modules that define sources, models or re-rankers of its own |
| code.json | the SHA-256 of every file of code that MLflow keeps beside the package |

The hashes tell what was damaged or exchanged by accident. They are no signature: who can write to the store can write
them anew. Packages whose encoder is merged (format 2) are read too.

Packages of 0.1 (``history.safetensors``, ``facts.parquet``) are read too.
"""

import hashlib
import importlib.util
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tailor._version import __version__
from tailor.data.config import TextOptions
from tailor.data.ids import IdMap
from tailor.data.interactions import binary
from tailor.data.item_metadata import ItemMetadata
from tailor.data.item_times import ItemTimes
from tailor.data.people import ALL_PEOPLE, People, Pseudonyms
from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid import model as _  # noqa: F401  (makes the hybrid known to the loader)
from tailor.lm.sentence_encoder import Prefixed, SentenceEncoder
from tailor.lm.static_encoder import StaticEncoder
from tailor.models import legacy
from tailor.models.base import Csr, FittedModel, Query
from tailor.models.store import load_models, map_arrays, save_models, sparse_from_state, sparse_state
from tailor.plugins import load_plugins
from tailor.serving.word_reader import WordReader
from tailor.types import AnyArray, JsonObject

log = logging.getLogger(__name__)
#: Name of the MLflow artifact that holds a package.
ARTIFACT = "recommender"
#: Raised when this version writes what an older one cannot read.
FORMAT = 3
ITEMS, ENCODER, STUDENT, PLUGINS, WORDS = "items.parquet", "encoder", "student", "plugins", "words"
TIMES = "item_times.npz"
MANIFEST, CODE = "manifest.json", "code.json"
#: Keys of the manifest; the first also of about.json.
_FORMAT, _FILES = "format", "files"
_MODEL, _HISTORIES, _IDS, _ABOUT = "model.safetensors", "histories.safetensors", "ids.npz", "about.json"
#: Tag of packages whose scenarios set boosts; since 0.2 they are steps from the operating point.
ABSOLUTE_SCENARIOS = "absolute_scenarios"
_HISTORY_0_1, _ITEMS_0_1 = "history.safetensors", "facts.parquet"
#: Tag: when the run began that read the catalogue a model was fitted on, in seconds since 1970.
CATALOGUE_READ_AT = "catalogue_read_at"
#: Key of about.json: names of the catalogues that are joined, in the order of their numbers; empty: there is one.
DOMAINS = "domains"
#: Key of about.json: the name that a package was registered under.
REGISTERED_AS = "registered_as"
#: Key of about.json: which key the pseudonyms were made with that people are known by; absent: they go by their ids.
PSEUDONYMS = "pseudonyms"
#: "static": words are encoded by the packaged token table, and torch is never imported.
ENCODER_VARIABLE = "TAILOR_ENCODER"
#: What the tuned encoder needs, and how to get it.
_OF_ENCODER = ("torch", "transformers")
INSTALL_ENCODER = "To read words so: pip install 'tailor-recsys[encoder]'"
_REMEDY = "Register the model anew."


def write_model(
    folder: Path,
    model: FittedModel,
    users: IdMap,
    items: IdMap,
    histories: Query,
    tie_rank: NDArray[np.int64],
    about: JsonObject,
    blocked: Csr | None = None,
) -> None:
    """Write what every package has; see the table above."""
    save_models(folder / _MODEL, {"model": model})
    arrays = {"profiles": np.ascontiguousarray(histories.profile), **sparse_state("items", histories.history)}
    if histories.order is not None:
        arrays |= sparse_state("order", histories.order)
    if histories.confidence is not None:
        arrays |= sparse_state("confidence", histories.confidence)
    if blocked is not None:
        arrays |= sparse_state("blocked", blocked)
    if histories.user_text.any():
        arrays["user_text"] = histories.user_text
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _HISTORIES)
    np.savez(folder / _IDS, users=users.ids.astype(str), items=items.ids.astype(str), tie_rank=tie_rank)
    versions = {_FORMAT: FORMAT, "tailor_version": __version__}
    (folder / _ABOUT).write_text(json.dumps(about | versions, indent=2))


def read(folder: Path) -> JsonObject:
    """Read a package; return the fields of a recommender.

    Raises:
        BadInputError: a file is missing, a newer version wrote it, or it names what this version does not know.
    """
    about = _about(folder)
    _load_plugins(folder, about)
    of_0_1 = _FORMAT not in about
    history, metadata = (_HISTORY_0_1, _ITEMS_0_1) if of_0_1 else (_HISTORIES, ITEMS)
    for name in (_MODEL, history, _IDS):
        if not (folder / name).is_file():
            raise BadInputError(f"The package has no {name}: another version of Tailor wrote it. {_REMEDY}")
    student = StaticEncoder.load(folder / STUDENT) if (folder / STUDENT).is_dir() else None
    with np.load(folder / _IDS, allow_pickle=False) as ids:
        fields: JsonObject = {
            "users": IdMap(ids["users"].astype(object)),
            "items": IdMap(ids["items"].astype(object)),
            "tie_rank": ids["tie_rank"],
        }
    about_read = _about_of_0_1(about) if of_0_1 else about
    encoder_of = _encoder_of(folder, student)
    arrays = map_arrays(folder / history)
    base_of = None if encoder_of is None or _token_table_reads(folder, student) else _base_of(encoder_of)
    return fields | {
        "model": load_models(folder / _MODEL, mapped=True)["model"],
        "histories": _histories_of_0_1(folder) if of_0_1 else _histories(arrays),
        "blocked": sparse_from_state(arrays, "blocked") if "blocked/indptr" in arrays else None,
        "about": about_read,
        "metadata": _metadata(folder / metadata, about_read),
        "encoder_of": encoder_of,
        "no_encoder": _no_encoder(folder, student),
        "student": student,
        "word_reader": _word_reader(folder / WORDS, base_of),
        "item_times": ItemTimes.load(folder / TIMES) if (folder / TIMES).is_file() else None,
        "people": _people(about_read),
    }


def _metadata(path: Path, about: JsonObject) -> ItemMetadata | None:
    """Read what is known of items; how texts are written stands with the tags."""
    return replace(ItemMetadata.load(path), text=about.get("text", {})) if path.is_file() else None


def _people(about: JsonObject) -> People:
    """Return under which names a package knows people.

    Raises:
        ConfigurationError: it knows them by pseudonyms, and the environment lacks the key, or holds another one.
    """
    return People(pseudonyms=Pseudonyms.of_environment(about[PSEUDONYMS])) if about.get(PSEUDONYMS) else ALL_PEOPLE


def _load_plugins(folder: Path, about: JsonObject) -> None:
    """Import the package's plug-ins: those on the Python path, else the copies that it carries."""
    try:
        load_plugins(about.get("plugins", []), folder / PLUGINS)
    except ConfigurationError as problem:
        version = about.get("tailor_version", "unknown")
        raise BadInputError(
            f"The package, written by Tailor {version} and read by {__version__}, needs a plug-in: {problem}"
        ) from None


def _about(folder: Path) -> JsonObject:
    try:
        about = json.loads((folder / _ABOUT).read_text())
    except (OSError, ValueError):
        raise BadInputError(f"{folder.name}/{_ABOUT} is missing or unreadable. {_REMEDY}") from None
    if not isinstance(about, dict):
        raise BadInputError(f"{folder.name}/{_ABOUT} is no mapping. {_REMEDY}")
    if _FORMAT in about:
        _check_format(about[_FORMAT], f"{folder.name}/{_ABOUT}", str(about.get("tailor_version", "unknown")))
    return about


def _histories(arrays: dict[str, AnyArray]) -> Query:
    history = sparse_from_state(arrays, "items")
    order = sparse_from_state(arrays, "order") if "order/indptr" in arrays else None
    confidence = sparse_from_state(arrays, "confidence") if "confidence/indptr" in arrays else None
    users, user_text = np.arange(history.shape[0]), arrays.get("user_text")
    return Query.of(history, order, confidence, profile=arrays["profiles"], user_index=users, user_text=user_text)


def _histories_of_0_1(folder: Path) -> Query:
    """Read histories whose values are places, 1 each where no order was known; profiles stood with the model."""
    arrays = map_arrays(folder / _HISTORY_0_1)
    order = sparse_from_state({f"items/{name}": array for name, array in arrays.items()}, "items")
    ordered = order.nnz > 0 and np.ptp(order.data) > 0
    profiles = map_arrays(folder / _MODEL).get("model/profile/profiles")
    wide = np.zeros((order.shape[0], 0 if profiles is None else profiles.shape[1]), np.float32)
    if profiles is not None:
        wide[: len(profiles)] = profiles[: len(wide)]
    return Query.of(binary(order), order if ordered else None, profile=wide, user_index=np.arange(order.shape[0]))


def _about_of_0_1(about: JsonObject) -> JsonObject:
    renamed = {name: value for name, value in about.items() if name != "told_space"}
    renamed["feature_encoders"] = about.get("told_space", {})
    renamed["text"] = {name: value for name, value in about.get("text", {}).items() if name in TextOptions.model_fields}
    renamed[ABSOLUTE_SCENARIOS] = True
    renamed["scenarios"] = {
        name: legacy.rename_boosts({key: value for key, value in settings.items() if value is not None})
        for name, settings in about.get("scenarios", {}).items()
    }
    return renamed


def _encoder_of(folder: Path, student: StaticEncoder | None) -> Callable[[], Any] | None:
    """Return what makes the encoder; the token table stands in where it is chosen or torch is not installed.

    Raises:
        BadInputError: $TAILOR_ENCODER asks for what is not there.
    """
    choice, lacking = os.environ.get(ENCODER_VARIABLE, ""), _lacking(folder)
    if _token_table_reads(folder, student):
        if not choice:
            log.warning("%s is not installed: words are read by the token table of the package", lacking)
        return lambda: student
    if choice not in ("", "tuned"):
        raise BadInputError(
            f"{ENCODER_VARIABLE}={choice}: known are tuned and static"
            + ("; this model was packaged without a token table" if choice == "static" else "")
        )
    if lacking and choice:
        raise BadInputError(f"{ENCODER_VARIABLE}={choice}: {lacking} is not installed. {INSTALL_ENCODER}.")
    return cache(lambda: _load_encoder(folder / ENCODER)) if (folder / ENCODER).is_dir() and not lacking else None


def _token_table_reads(folder: Path, student: StaticEncoder | None) -> bool:
    """Whether the token table stands in the encoder's place: it was chosen, or what the encoder needs is missing."""
    choice = os.environ.get(ENCODER_VARIABLE, "")
    return student is not None and (choice == "static" or (not choice and bool(_lacking(folder))))


def _base_of(encoder_of: Callable[[], Any]) -> Callable[[], SentenceEncoder]:
    """Return what makes the base model as a reader of words; its weights are those of the encoder."""
    return lambda: Prefixed(encoder_of().base())


def _word_reader(folder: Path, base_of: Callable[[], SentenceEncoder] | None = None) -> WordReader | None:
    """Read how words are compared, where it is not in the space of the model's own encoder; else None.

    Args:
        folder: of the words, which need not exist.
        base_of: makes the base model; None where it is not there.
    """
    if not folder.is_dir():
        return None
    missing = next((name for name in _OF_ENCODER if importlib.util.find_spec(name) is None), "")
    lacking = f"This model reads words with {missing}, which is not installed. {INSTALL_ENCODER}." if missing else ""
    return WordReader.load(folder, lambda path: Prefixed(_load_encoder(path)), lacking, base_of)


def _no_encoder(folder: Path, student: StaticEncoder | None) -> str:
    """Say why words are refused although an encoder was packaged; empty where they are not."""
    lacking = _lacking(folder)
    if not lacking or student is not None:
        return ""
    return f"This model reads words with {lacking}, which is not installed, and has no token table. {INSTALL_ENCODER}."


def _lacking(folder: Path) -> str:
    """Name what the packaged encoder needs and is not installed; empty where nothing lacks."""
    needed = _OF_ENCODER if (folder / ENCODER).is_dir() else ()
    return next((name for name in needed if importlib.util.find_spec(name) is None), "")


def _load_encoder(folder: Path) -> Any:
    """Load the packaged encoder; torch and transformers are imported here, when words first come in."""
    from tailor.lm.text_encoder import TextEncoder  # noqa: PLC0415

    return TextEncoder.load(folder)


def write_manifest(folder: Path) -> None:
    """Write the format of the package and the SHA-256 of every file below ``folder``.

    Raises:
        BadInputError: there is a symbolic link, which a copy of the package would not carry.
    """
    manifest = {_FORMAT: FORMAT, _FILES: _hashes(folder)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))


def verify_manifest(folder: Path) -> None:
    """Refuse a folder that is not what was written.

    Raises:
        BadInputError: naming the files that are missing, changed, unexpected or symbolic links.
    """
    _refuse(_read(folder), _hashes(folder))


def write_code_hashes(folder: Path, code: Path, beside: Path) -> None:
    """Write the SHA-256 of the code that is stored beside a package into the package, and its manifest anew.

    Args:
        folder: of the package.
        code: folder that is stored as ``code/``.
        beside: a file that is stored under its own name.
    """
    hashes = {f"{code.name}/{name}": value for name, value in _hashes(code).items()} | {beside.name: _sha256(beside)}
    (folder / CODE).write_text(json.dumps(hashes, indent=2))
    write_manifest(folder)


def verify_code(folder: Path, stored: Callable[[str], Path]) -> None:
    """Refuse a package whose code is not what was registered; packages up to format 2 say nothing of their code.

    Args:
        folder: of the package, whose manifest was verified.
        stored: returns the path of a file or folder beside it, by name.

    Raises:
        BadInputError: naming the files that are missing, changed, unexpected or symbolic links.
    """
    if not (folder / CODE).is_file():
        return
    expected, present = json.loads((folder / CODE).read_text()), {}
    for name in sorted({name.partition("/")[0] for name in expected}):
        path = stored(name)
        if path.is_file():
            present[name] = _sha256(path)
        else:
            present |= {f"{name}/{file}": value for file, value in _hashes(path).items()}
    _refuse(expected, present)


def _refuse(expected: dict[str, str], present: dict[str, str]) -> None:
    wrong = sorted(name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name))
    if wrong:
        raise BadInputError(f"Damaged package: {', '.join(wrong)} is not what was registered. {_REMEDY}")


def _read(folder: Path) -> dict[str, str]:
    """Return the hashes that were written, by file; before the manifest had a format they were all it held."""
    where = f"{folder.name}/{MANIFEST}"
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        raise BadInputError(f"{where} is missing or unreadable. {_REMEDY}") from None
    if not isinstance(manifest, dict):
        raise BadInputError(f"{where} is no mapping. {_REMEDY}")
    files = manifest.get(_FILES) if _FORMAT in manifest else manifest
    if _FORMAT in manifest:
        _check_format(manifest[_FORMAT], where)
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        raise BadInputError(f"{where} has no mapping from files to hashes. {_REMEDY}")
    return files


def _check_format(number: object, where: str, version: str = "") -> None:
    """Refuse a format that is none, or that a later version of Tailor wrote."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise BadInputError(f"{where} has format {number!r}, which is no number from 1 on. {_REMEDY}")
    if number > FORMAT:
        remedy = "that version" if version else "the version that wrote the package"
        wrote = f"The package was written by Tailor {version}" if version else f"{where} has format {number}"
        raise BadInputError(f"{wrote}, this is {__version__}. Install {remedy}.")


def _hashes(folder: Path) -> dict[str, str]:
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise BadInputError(f"Damaged package: {name} is a symbolic link. {_REMEDY}")
        if path.is_file() and name != MANIFEST and "__pycache__" not in path.parts:
            hashes[name] = _sha256(path)
    return hashes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
