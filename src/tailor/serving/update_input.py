"""What an update begins with: the champion, with the items that were put since its fit and that new rows name."""

import logging
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.serving.items import Applied, Embeddings, ItemStore
from tailor.serving.recommender import Recommender

log = logging.getLogger(__name__)
_JOINED = "items that were put and join the catalogue"
_SET_ASIDE, _THEIR_ROWS = "items that were put and cannot join it", "rows on these, left out"


@dataclass(frozen=True)
class UpdateInput:
    """A champion that knows the items of all rows, and the rows."""

    recommender: Recommender
    rows: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)
    """What became of items that were put, by what; empty where the champion knows the items of all rows."""
    model_id: str | None = None
    """Of the champion in MLflow; None: not known."""


def put_item_ids(store: ItemStore | None) -> list[str]:
    """Return the ids of the items that were put and are still listed.

    Raises:
        BadInputError: the database cannot be read.
    """
    if store is None:
        return []
    stored = store.state.read()
    return [item.item_id for item in stored.items if item.item_id not in stored.removed]


def with_put_items(
    model: Recommender, rows: pd.DataFrame, store: ItemStore | None, model_id: str | None = None
) -> UpdateInput:
    """Let the items join that rows name and that were put since the fit, with the texts that are stored of them.

    An item that the model refuses (a column has changed, there is no encoder) is set aside, as it is where lists are
    made; its rows are left out, and both are counted and logged with the reason.

    Args:
        model: the champion.
        rows: user_id and item_id, of items that the model knows or that were put.
        store: the state; None: nothing was put.
        model_id: of the champion in MLflow.

    Raises:
        BadInputError: the database cannot be read, or no row is left.

    Example:
        >>> begins = with_put_items(champion, rows, store)  # doctest: +SKIP
        >>> with_interactions(begins.recommender, begins.rows, sweeps=1)  # doctest: +SKIP
    """
    unknown = {str(item) for item in rows[c.ITEM].unique() if item not in model.items}
    if store is None or not unknown:
        return UpdateInput(model, rows, model_id=model_id)
    stored, known = store.state.read(), Embeddings(store.state)
    named = [item for item in stored.items if item.item_id in unknown and item.item_id not in stored.removed]
    applied = Applied.to(model, replace(stored, items=named, removed=set()), known, taken_in=False)
    known.keep()
    for note in applied.notes:
        log.warning("State: %s", note)
    stays = np.asarray(applied.model.items.indices(rows[c.ITEM]) >= 0)
    joined = len(applied.model.items) - len(model.items)
    counts = {_JOINED: joined, _SET_ASIDE: len(unknown) - joined, _THEIR_ROWS: int((~stays).sum())}
    if not stays.any():
        raise BadInputError(
            f"There is nothing to take in: all {len(rows)} new rows are on items that were put and cannot join "
            f"the catalogue ({'; '.join(applied.notes) or 'they were removed meanwhile'})."
        )
    log.info("Items that were put: %s", ", ".join(f"{n} {what}" for what, n in counts.items()))
    return UpdateInput(
        applied.model, rows[stays].reset_index(drop=True), {k: n for k, n in counts.items() if n}, model_id
    )
