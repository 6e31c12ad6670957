"""Events of the state's database: as a table, and as the log of a policy that draws."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from kedro.io import AbstractDataset

from tailor import columns as c
from tailor.datasets.raw import RawFileDataset
from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation.exposures import COLUMNS, EXPOSURE, policy_log
from tailor.state.address import STATE_VARIABLE, address_of
from tailor.state.events import EventStore
from tailor.state.suppressions import SuppressionStore
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)


class EventsDataset(AbstractDataset[None, pd.DataFrame]):
    """What people did, from the database that TAILOR_STATE_URL names, else from the file of the model's server."""

    def __init__(self, *, filepath: str, model: str, metadata: JsonObject | None = None) -> None:
        """Remember the place.

        Args:
            filepath: of the server's own database, ``….db``.
            model: its name in the registry.
            metadata: for kedro-viz.
        """
        self.filepath, self.model, self.metadata = Path(filepath), model, metadata

    def load(self) -> pd.DataFrame:
        """Return all events but searches in the order they came; no rows where there is no database.

        Those of people who are suppressed are left out and counted: some may have come after they asked.

        Raises:
            StateError: the database cannot be read.
            ConfigurationError: somebody is suppressed, and the key of the list is not set.
        """
        with self._opened() as store:
            batches = [] if store is None else store.read()
            rows = [[getattr(e, name) for name in COLUMNS] for batch in batches for e in batch if e.kind != "search"]
            table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"rank": float, "propensity": float})
            if store is None:
                return table
            hidden = _suppressed_of(store).read().mask(table[c.USER])
        if hidden.any():
            log.info("Events: %d of people who are suppressed are left out", hidden.sum())
        return table[~hidden].reset_index(drop=True)

    def has(self, kind: str) -> bool:
        """Whether there is an event of a kind; no event is read for it.

        Raises:
            StateError: the database cannot be read.
        """
        with self._opened() as store:
            return store is not None and store.has(kind)

    @contextmanager
    def _opened(self) -> Iterator[EventStore | None]:
        """Open the events, None where there is no database; connections are closed behind it."""
        if not os.environ.get(STATE_VARIABLE) and not self.filepath.is_file():
            yield None
            return
        store = EventStore.open(address_of(self.filepath), self.model)
        try:
            yield store
        finally:
            store.engine.dispose()

    def save(self, data: None) -> None:  # noqa: ARG002
        """Refuse.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("Events are stored by the server (POST /events, --log-exposures), not by a run.")

    def _exists(self) -> bool:
        """Whether it can be loaded: always, for no events are a table too, which no run makes."""
        return True

    def _describe(self) -> JsonObject:
        """Return what the table hangs on: the last event, and who is suppressed."""
        with self._opened() as store:
            if store is None:
                return {"model": self.model, "last_place": None, "suppressed": ""}
            return {"model": self.model, "last_place": store.last_place, "suppressed": _suppressed_of(store).digest()}


def _suppressed_of(store: EventStore) -> SuppressionStore:
    """Return the list that lies beside events."""
    return SuppressionStore(store.engine, store.model)


class PolicyLogDataset(RawFileDataset):
    """A log with propensities: the file where there is one, else what the model's own server drew."""

    def __init__(
        self,
        *,
        filepath: str,
        state: str,
        model: str,
        reward: str = "click",
        load_args: Parameters | None = None,
        metadata: JsonObject | None = None,
    ) -> None:
        """Describe the log.

        Args:
            filepath: of a table user_id, item_id, reward, propensity.
            state: file of the server's own database, ``….db``.
            model: its name in the registry.
            reward: kind of event that counts as 1.
            load_args: for ``pandas.read_csv``.
            metadata: for kedro-viz.
        """
        super().__init__(filepath=filepath, load_args=load_args, metadata=metadata)
        self._events, self._reward = EventsDataset(filepath=state, model=model), reward

    def load(self) -> pd.DataFrame:
        """Read the file, else the events.

        Raises:
            BadInputError: the file is no table; or no list was drawn for a user with an id.
        """
        if self.location.exists():
            return self._read()
        table, n_left_out = policy_log(self._events.load(), self._reward)
        if table.empty:
            raise BadInputError(
                f"{self.filepath} does not exist, and the events hold no list that was drawn for a user with an id "
                f"({n_left_out} exposures of other lists): serve with `explore` and --log-exposures."
            )
        log.info("policy_log: %d drawn items at rank 1; %d other exposures are left out", len(table), n_left_out)
        return table

    def _exists(self) -> bool:
        return self.location.exists() or self._events.has(EXPOSURE)

    def _describe(self) -> JsonObject:
        described = {"filepath": self.filepath, "load_args": self._load_args}
        return described if self.location.exists() else described | self._events._describe() | {"reward": self._reward}
