"""The champion of the MLflow registry, followed while it moves."""

import logging
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import mlflow
from mlflow.pyfunc import PyFuncModel

from tailor.errors import BadInputError, TailorError
from tailor.mlflow_server import SERVER, does_not_answer, first_contact
from tailor.serving.items import ItemStore
from tailor.serving.package import ARTIFACT, verify_code
from tailor.serving.recommender import Recommender

log = logging.getLogger(__name__)
#: Seconds in which a database that did not answer is not asked again.
_AFTER_FAILURE_S = 15.0


def load_version(name: str, version: str) -> Recommender:
    """Load the package of a registered version with the code of this process, whatever code was logged with it.

    Raises:
        BadInputError: the version is no Tailor package, is damaged, or its artifacts are gone.
    """
    uri = f"models:/{name}/{version}"
    try:
        info = mlflow.models.get_model_info(uri)
    except (mlflow.exceptions.MlflowException, OSError):
        _check_artifacts(name, version)
        raise
    logged = info.flavors.get("python_function", {}).get("artifacts", {})
    if ARTIFACT not in logged:
        raise BadInputError(
            f"{uri} is no Tailor package: it has no artifact '{ARTIFACT}'. Point the alias at a version that "
            "`kedro run` registered."
        )
    folder = _download(uri, logged[ARTIFACT]["path"])
    recommender = Recommender.load(folder)
    verify_code(folder, partial(_download, uri))
    return recommender


def _download(uri: str, name: str) -> Path:
    """Return the path of a file or folder of a logged model.

    Raises:
        BadInputError: it is not there.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(f"{uri}/{name}"))
    except (mlflow.exceptions.MlflowException, OSError) as problem:
        raise BadInputError(f"{uri}: {name} cannot be read: {problem}") from None


def _check_artifacts(name: str, version: str) -> None:
    """Refuse a version whose artifacts are no longer where the registry says: the project was moved, or they are gone.

    Raises:
        BadInputError: naming the path and the repair.
    """
    location = urlparse(mlflow.MlflowClient().get_model_version_download_uri(name, version))
    path = Path(unquote(location.path))
    if location.scheme in ("", "file") and path.is_absolute() and not path.exists():
        raise BadInputError(
            f"models:/{name}/{version}: {path} does not exist; if the project was moved from folder OLD to folder NEW: "
            "`python -m tailor.registry.relocate OLD NEW --store mlflow.db`"
        )


def load_uri(uri: str) -> Recommender:
    """Load what a URI of the registry names: ``models:/name@alias`` or ``models:/name/version``.

    Raises:
        BadInputError: there is no such version, or it is no Tailor package.
    """
    name, _, alias = uri.removeprefix("models:/").partition("@")
    try:
        with first_contact():
            return _load_uri(name, alias)
    except mlflow.exceptions.MlflowException as problem:
        reason = does_not_answer(problem) or problem.message
        raise BadInputError(f"{uri} cannot be loaded: {reason}") from None


def _load_uri(name: str, alias: str) -> Recommender:
    """Load ``name@alias``, or ``name/version`` where the alias is empty."""
    if alias:
        return load_version(name, str(mlflow.MlflowClient().get_model_version_by_alias(name, alias).version))
    name, _, version = name.partition("/")
    return load_version(name, version)


def recommender_of(loaded: PyFuncModel) -> Recommender:
    """Return the recommender of a model that MLflow has loaded."""
    model: Any = loaded.unwrap_python_model()
    recommender: Recommender = model.recommender
    return recommender


def model_id_of(loaded: PyFuncModel) -> str | None:
    """Return the id under which MLflow has logged a model that it has loaded; None where it has none."""
    return loaded.model_id


@dataclass
class Champion:
    """The recommender that an alias points at, with the items that were added to it.

    A new version is loaded beside the old one and takes its place in one assignment; where it cannot be loaded,
    ``last_error`` says why, and the old one goes on answering.
    """

    name: str
    alias: str
    items: ItemStore
    answering: tuple[Recommender, str] | None = None
    """The model and its version, which change together."""
    last_error: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _next_look: float = 0.0
    """When the database of items may be asked again."""

    def current(self) -> tuple[Recommender, str]:
        """Return the model that answers now and its version.

        Raises:
            BadInputError: none could be loaded.
        """
        if self.answering is None:
            raise BadInputError(f"No model is loaded: {self.last_error or 'refresh has not run'}")
        return self.answering

    @property
    def model(self) -> Recommender:
        """The model that answers now; see :meth:`current`."""
        return self.current()[0]

    @property
    def version(self) -> str:
        """Its version; empty where none is loaded."""
        return self.answering[1] if self.answering else ""

    def refresh(self) -> bool:
        """Follow the alias; return whether another version answers now."""
        with self._lock:
            try:
                if self.answering is not None:  # whether or not the registry answers
                    self._follow_items()
                version = str(mlflow.MlflowClient().get_model_version_by_alias(self.name, self.alias).version)
                if version == self.version:
                    self.last_error = ""
                    return False
                self._take(load_version(self.name, version), version)
            except Exception as problem:
                self.last_error = does_not_answer(problem) or f"{type(problem).__name__}: {problem}"[:300]
                if self.answering is not None:  # else whoever opens it is told
                    log.warning("%s@%s cannot be refreshed: %s", self.name, self.alias, self.last_error)
                return False
        log.info("%s@%s: version %s answers", self.name, self.alias, version)
        return True

    def _take(self, model: Recommender, version: str) -> None:
        """Let a model answer, once it has its added items and its encoder is in memory."""
        if model.encoder_of is not None:
            model.encoder.encode(["warm up"])
        if model.word_reader is not None and model.takes_words:
            model.word_encoder.encode(["warm up"])
        with self.items.lock:
            self.answering, self.last_error = (self.items.apply(model), version), ""
        for note in self.items.notes:
            log.warning("State of %s: %s", self.name, note)

    def up_to_date(self) -> tuple[Recommender, str]:
        """Return the model that answers now, with what any process added or removed before now, and its version.

        Where the database does not answer, or its suppression list cannot be compared, the model as it was is returned,
        and none is asked again for a while.

        Raises:
            BadInputError: none could be loaded.
        """
        if time.monotonic() >= self._next_look:
            try:
                if self.items.has_changed:
                    self._follow_items()
            except TailorError as problem:
                self._next_look = time.monotonic() + _AFTER_FAILURE_S
                log.warning("%s", problem)
        return self.current()

    def _follow_items(self) -> None:
        """Take in what other processes added and removed."""
        with self.items.lock:
            model, version = self.current()
            changed = self.items.follow(model)
            if changed is not None:
                self.answering = changed, version

    @property
    def notes(self) -> tuple[str, ...]:
        """What the model that answers could not use of the state, and why."""
        return tuple(self.items.notes)

    def put(self, rows: list[dict[str, object]]) -> int:
        """Add or change items, see :meth:`tailor.serving.items.ItemStore.put`; return how many items there are now.

        They are stored and answered with, or neither.
        """
        with self.items.lock:
            model, version = self.current()
            model = self.items.put(model, rows)
            self.answering = model, version
            return len(model.item_ids)

    def take_events(self, rows: list[dict[str, object]]) -> dict[str, int]:
        """Store what people did; durable, and in the answers of every process on the database, when it returns.

        Args:
            rows: see :func:`tailor.serving.event_bodies.read_events`.

        Returns:
            stored: events that are new; known: those that were stored before; unknown_items: events on items that the
            model that answers does not have, which are stored all the same; suppressed: events of people who asked to
            be forgotten, which are not stored. Where people go by pseudonyms, events are stored under these; no session
            is stored beside a user.
        """
        model, n_sent = self.up_to_date()[0], len(rows)
        people, users = model.people, model.users
        rows = [row for row in rows if not (row.get("user_id") and people.hides(str(row["user_id"])))]
        named = [_of_user(row, people.name(users, str(row["user_id"]))) if row.get("user_id") else row for row in rows]
        appended = self.items.events.store.append(named)
        unknown = sum("item_id" in row and row["item_id"] not in model.items for row in rows)
        if unknown:
            log.info("%d of %d events are on items that version %s does not have", unknown, len(rows), self.version)
        counts = {"stored": appended.n_new, "known": appended.n_known, "unknown_items": unknown}
        return counts | {"suppressed": n_sent - len(rows)}

    def remove(self, item_ids: list[str]) -> int:
        """Remove items; return how many are removed in all."""
        with self.items.lock:
            model, version = self.current()
            model = self.items.remove(model, item_ids)
            self.answering = model, version
            return 0 if model.removed is None else int(model.removed.sum())

    def forget(self, user_id: str) -> int:
        """Know a person no more, see :meth:`tailor.serving.items.ItemStore.suppress`; return how many events went."""
        with self.items.lock:
            model, version = self.current()
            model, n_events = self.items.suppress(model, user_id)
            self.answering = model, version
            return n_events


def _of_user(row: dict[str, object], name: str | None) -> dict[str, object]:
    """Return an event of a user by the stored name, and no session: that would tell who earlier anonymous ones were."""
    return {key: value for key, value in row.items() if key != "session_id"} | {"user_id": name}


def _remedy(name: str) -> str:
    """Say what can be served instead, or that nothing can be yet."""
    try:
        others = [model.name for model in mlflow.MlflowClient().search_registered_models()]
    except mlflow.exceptions.MlflowException:
        others = []
    if name in others or not others:
        return "Run `make run` first, with the same ENV."
    return (
        f"Registered here: {', '.join(others[:5])}. Name one (`make serve ENV=…`, or "
        f"`tailor serve --model={others[0]}`), or run `make run` with the same ENV first."
    )


def open_champion(name: str, alias: str, store: Path) -> Champion:
    """Load what an alias points at.

    Args:
        name: of the model in the registry.
        alias: of the version.
        store: where its state is kept, see :class:`tailor.serving.items.ItemStore`.

    Raises:
        BadInputError: there is no such version, or it or its state cannot be loaded.
    """
    champion = Champion(name, alias, ItemStore.open(store, name))
    champion.items.suppressions.read()  # whoever lacks the key is told before anything is loaded
    with first_contact():
        opened = champion.refresh()
    if not opened:
        by_server = champion.last_error.startswith(SERVER)
        reason = f": {champion.last_error}" if by_server else f" ({champion.last_error}). {_remedy(name)}"
        raise BadInputError(f"models:/{name}@{alias} cannot be served{reason}")
    return champion
