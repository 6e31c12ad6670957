"""Lists of many users, block by block: the same bytes from this process and from others, which map the same package."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.data.people import SuppressionList
from tailor.errors import BadInputError
from tailor.serving.items import ItemStore
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Answer, Request, Settings

if TYPE_CHECKING:
    from tailor.state.store import State

_DTYPES = {c.USER: "str", c.ITEM: "str", c.RANK: "int64", c.SCORE: "float64", "path": "str"}


@dataclass(frozen=True)
class StateAsOf:
    """What was put, removed and done until a moment: a process that starts later applies the same."""

    path: Path
    """Of the :class:`tailor.serving.items.ItemStore`."""
    name: str
    """Of the model in the registry."""
    stored: "State"
    """Items and removals."""
    suppressed: SuppressionList = field(repr=False)
    """Who asked to be forgotten."""
    until_place: int
    """Later events are not read."""

    @classmethod
    def of_now(cls, store: ItemStore) -> "StateAsOf":
        """Read the state.

        Raises:
            BadInputError: the database cannot be read.
        """
        place = store.events.store.last_place
        return cls(store.path, store.name, store.state.read(), store.suppressions.read(), place)

    def applied_to(self, model: Recommender) -> tuple[Recommender, list[str]]:
        """Return a model with the state, and what it could not use of that.

        Raises:
            BadInputError: the database cannot be opened.
        """
        store = ItemStore.open(self.path, self.name)
        store.events.until_place = self.until_place
        return store.apply(model, self.stored, self.suppressed), store.notes


@dataclass(frozen=True)
class BatchLister:
    """Lists the top k of users, by the model of a package with its state at one moment.

    Pickled it is a path and the state: another process maps the arrays from the same files, as those of a server do.
    Whichever process lists a block, its rows are the same to the last bit: BLAS is held to one thread, since with
    another number it sums in another order.

    Example:
        >>> BatchLister.of(recommender, None, k=20)(["u1", "u2"])[["user_id", "item_id", "rank"]]  # doctest: +SKIP
    """

    folder: Path
    """Of the package."""
    state: StateAsOf | None
    """None: nothing was put, removed or done since the fit."""
    k: int
    """Places of a list."""

    @classmethod
    def of(cls, model: Recommender, store: ItemStore | None, k: int) -> tuple["BatchLister", list[str]]:
        """List by a model that is loaded, with the state as it is now.

        Returns:
            The lister, and what the model could not use of the state.

        Raises:
            BadInputError: the model was not loaded from a package, or the state cannot be read.
        """
        if model.folder is None:
            raise BadInputError("Users are listed by a packaged model: load it with Recommender.load(folder).")
        lister, notes = cls(model.folder, None if store is None else StateAsOf.of_now(store), k), list[str]()
        if lister.state is not None:
            model, notes = lister.state.applied_to(model)
        lister.__dict__["recommender"] = model
        return lister, notes

    @cached_property
    def recommender(self) -> Recommender:
        """The model with the state, loaded when it is first asked."""
        model = Recommender.load(self.folder)
        return model if self.state is None else self.state.applied_to(model)[0]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is loaded."""
        return {name: value for name, value in self.__dict__.items() if name != "recommender"}

    def __call__(self, users: Sequence[str]) -> pd.DataFrame:
        """Return one row for each place: user_id, item_id, rank, score, path; of a model of several domains, domain."""
        # Only a batch needs it: what is served does without.
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        with threadpool_limits(1, user_api="blas"):
            if not self.recommender.domains:
                return self._lists(users)
            tables = [self._lists(users, domain).assign(**{c.DOMAIN: domain}) for domain in self.recommender.domains]
        return pd.concat(tables, ignore_index=True)

    def _lists(self, users: Sequence[str], domain: str | None = None) -> pd.DataFrame:
        requests = [Request(user_id=user, domain=domain) for user in users]
        return _table(users, self.recommender.recommend(requests, Settings(k=self.k)))


def _table(users: Sequence[str], answers: Sequence[Answer]) -> pd.DataFrame:
    """Return one row for each place of the lists."""
    lengths = [len(answer.item_ids) for answer in answers]
    columns = {
        c.USER: np.repeat(np.asarray(users, dtype=object), lengths),
        c.ITEM: [item for answer in answers for item in answer.item_ids],
        c.RANK: [rank for length in lengths for rank in range(1, length + 1)],
        c.SCORE: [score for answer in answers for score in answer.scores],
        "path": np.repeat(np.asarray([answer.path for answer in answers], dtype=object), lengths),
    }
    return pd.DataFrame(columns).astype(_DTYPES)
