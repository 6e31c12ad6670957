"""Items that were added and removed at serving time, for a batch that lists what a server lists."""

import os
from pathlib import Path

from kedro.io import AbstractDataset

from tailor.errors import ConfigurationError
from tailor.serving.items import ItemStore
from tailor.state.address import STATE_VARIABLE
from tailor.types import JsonObject


class ItemStateDataset(AbstractDataset[None, ItemStore | None]):
    """The state of a model: in the database that TAILOR_STATE_URL names, else in the file of its server; or none."""

    def __init__(self, *, filepath: str, model: str, metadata: JsonObject | None = None) -> None:
        """Remember the place.

        Args:
            filepath: of the server's own database, ``….db``.
            model: its name in the registry.
            metadata: for kedro-viz.
        """
        self.filepath, self.model, self.metadata = Path(filepath), model, metadata

    def load(self) -> ItemStore | None:
        """Open the state; None where there is none."""
        return self._open()

    def _open(self) -> ItemStore | None:
        before = self.filepath.with_suffix(".json")
        if not os.environ.get(STATE_VARIABLE) and not self.filepath.is_file() and not before.is_file():
            return None
        return ItemStore.open(self.filepath, self.model)

    def save(self, data: None) -> None:  # noqa: ARG002
        """Refuse.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("The state of items is changed by PUT and DELETE of the server, not by a run.")

    def _exists(self) -> bool:
        """Whether it can be loaded: always, for no state is a state too, which no run makes."""
        return True

    def _describe(self) -> JsonObject:
        """Return what the content hangs on: the last change and event, so that an earlier batch is known as one."""
        store = self._open()
        if store is None:
            return {"model": self.model, "change": None, "event": None}
        try:
            return {"model": self.model, "change": store.state.change, "event": store.events.store.last_place}
        finally:
            store.state.engine.dispose()
