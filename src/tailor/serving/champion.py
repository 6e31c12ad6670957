"""The champion of the MLflow registry, followed while it moves."""

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

import mlflow

from tailor.errors import BadInputError
from tailor.serving.items import ItemStore
from tailor.serving.recommender import Recommender

log = logging.getLogger(__name__)


@dataclass
class Champion:
    """The recommender that an alias points at, with the items that were added to it.

    A new version is loaded beside the old one and takes its place in one assignment; a version that cannot be loaded
    is told in ``last_error``, and the old one goes on answering.
    """

    name: str
    alias: str
    items: ItemStore
    version: str = ""
    last_error: str = ""
    served: Recommender | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> Recommender:
        """Return the recommender that answers now.

        Raises:
            BadInputError: none could be loaded.
        """
        if self.served is None:
            raise BadInputError(f"No model is loaded: {self.last_error or 'refresh has not run'}")
        return self.served

    def refresh(self) -> bool:
        """Follow the alias; return whether another version answers now."""
        with self._lock:
            try:
                version = str(mlflow.MlflowClient().get_model_version_by_alias(self.name, self.alias).version)
                if version == self.version:
                    self.last_error = ""
                    return False
                model = mlflow.pyfunc.load_model(f"models:/{self.name}/{version}").unwrap_python_model()
                served: Recommender = model.recommender  # type: ignore[attr-defined]
                if served.encoder_of is not None:
                    served.encoder.encode(["warm up"])
                with self.items.lock:
                    self.served = self.items.apply(served)
                    self.version, self.last_error = version, ""
            except Exception as problem:
                self.last_error = f"{type(problem).__name__}: {problem}"[:300]
                log.warning("%s@%s cannot be refreshed: %s", self.name, self.alias, self.last_error)
                return False
        log.info("%s@%s: version %s answers", self.name, self.alias, version)
        return True

    def put(self, rows: list[dict[str, object]]) -> int:
        """Add or change items, see :class:`tailor.serving.items.ItemStore`; return how many items there are now."""
        with self.items.lock:
            self.served = self.items.put(self.current(), rows)
            return len(self.served.item_ids)

    def remove(self, item_ids: list[str]) -> int:
        """Remove items; return how many are removed in all."""
        with self.items.lock:
            self.served = self.items.remove(self.current(), item_ids)
            return len(self.items.removed)


def open_champion(name: str, alias: str, store: Path) -> Champion:
    """Load what an alias points at.

    Raises:
        BadInputError: there is no such version, or it cannot be loaded.
    """
    champion = Champion(name, alias, ItemStore.open(store))
    if not champion.refresh():
        raise BadInputError(f"models:/{name}@{alias} cannot be served ({champion.last_error}). Run `make run` first.")
    return champion
