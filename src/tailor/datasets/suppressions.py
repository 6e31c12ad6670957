"""People who are left out of all data, for the pipelines that read people."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kedro.io import AbstractDataset

from tailor.data.people import SuppressionList
from tailor.serving.items import ItemStore
from tailor.state.address import STATE_VARIABLE
from tailor.types import JsonObject

if TYPE_CHECKING:
    from tailor.state.suppressions import SuppressionStore

log = logging.getLogger(__name__)


class SuppressionsDataset(AbstractDataset[list[str], SuppressionList]):
    """The suppression list of a model: in the database that TAILOR_STATE_URL names, else in the file of its server."""

    def __init__(self, *, filepath: str, model: str, metadata: JsonObject | None = None) -> None:
        """Remember the place.

        Args:
            filepath: of the server's own database, ``….db``.
            model: its name in the registry.
            metadata: for kedro-viz.
        """
        self.filepath, self.model, self.metadata = Path(filepath), model, metadata

    def load(self) -> SuppressionList:
        """Read the list; an empty one where no database is there."""
        if not self._is_there():
            log.info("Nobody has asked to be forgotten (neither %s nor %s is there)", self.filepath, STATE_VARIABLE)
            return SuppressionList()
        with self._opened() as store:
            listed = store.read()
        log.info("Suppression list: %d names; nobody else is left out", len(listed))
        return listed

    def save(self, data: list[str]) -> None:
        """Add people, by every name they go by, and delete the events of all in the list; those who are in it stay.

        An event may have come after its person was added, by a server that did not know of it yet. Of nobody no
        database is made.
        """
        if data or self._is_there():
            with self._opened() as store:
                if data:
                    store.add(data)
                log.info("Suppression list: %d events of its people are deleted", store.forget_all_events())

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in the list; no key is needed to tell."""
        return not self._describe()["people"]

    @contextmanager
    def _opened(self) -> Iterator["SuppressionStore"]:
        """Open the list, which takes in first what an earlier version kept of items: after a change none would.

        Connections are closed behind it.
        """
        store = ItemStore.open(self.filepath, self.model).suppressions
        try:
            yield store
        finally:
            store.engine.dispose()

    def _is_there(self) -> bool:
        return bool(os.environ.get(STATE_VARIABLE)) or self.filepath.is_file()

    def _exists(self) -> bool:
        """Whether it can be loaded: always, for an empty list is a list too, which no run makes."""
        return True

    def _describe(self) -> JsonObject:
        """Return what the content hangs on: who is in it, so that a run of before somebody was added is stale."""
        if not self._is_there():
            return {"model": self.model, "people": ""}
        with self._opened() as store:
            return {"model": self.model, "people": store.digest()}
