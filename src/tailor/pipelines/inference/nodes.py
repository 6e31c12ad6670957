"""Nodes of ``inference``."""

import hashlib
import logging

import numpy as np
import pandas as pd
from mlflow.pyfunc import PyFuncModel
from numpy.typing import NDArray

from tailor import columns as c
from tailor.config import parse
from tailor.datasets.parts import Parts
from tailor.options import InferenceOptions
from tailor.serving.batch import BatchLister
from tailor.serving.champion import recommender_of
from tailor.serving.items import ItemStore
from tailor.source_code import source_hash
from tailor.threads import blocks
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)


def recommend_to_all_users(
    champion: PyFuncModel,
    item_state: ItemStore | None,
    users: pd.DataFrame,
    promotion: JsonObject,
    params: Parameters,
) -> Parts:
    """Ask the champion for the top k of every user, block by block; it is asked after the decision who that is."""
    options = parse(InferenceOptions, params, "inference")
    lister, notes = BatchLister.of(recommender_of(champion), item_state, options.k)
    for note in notes:
        log.warning("State: %s", note)
    ids, state = listed(lister, users), state_of(lister, item_state)
    log.info("The champion of '%s' answers for %d users; state: %s", promotion["name"], len(ids), state)
    key = fingerprint(lister, ids, options) | {"model": str(champion.metadata.model_uuid), "state": state}
    of = [ids[part] for part in blocks(len(ids), options.block_users)]
    return Parts(key, of, lister, options.workers, "inference.workers")


def listed(lister: BatchLister, users: pd.DataFrame) -> NDArray[np.object_]:
    """Return the ids of the users without those who asked to be forgotten since the tables were made."""
    ids = users[c.USER].to_numpy(dtype=object)
    return np.asarray(ids[~lister.recommender.people.suppressed.mask(ids)])


def state_of(lister: BatchLister, item_state: ItemStore | None) -> str:
    """Name the state that lists are made with: it stays as it is now for the whole batch."""
    if lister.state is None or item_state is None:
        return "none"
    where = item_state.state.name
    return f"change {lister.state.stored.change}, event {lister.state.until_place} of {where}"


def fingerprint(lister: BatchLister, ids: NDArray[np.object_], options: InferenceOptions) -> JsonObject:
    """Return what parts depend on beside model and state: users and their order, options, code, items that have ended.

    The number of processes changes no part.
    """
    return {
        "users": hashlib.sha256("\n".join(ids.tolist()).encode("utf-8", "surrogatepass")).hexdigest(),
        "options": options.model_dump(mode="json", exclude={"workers"}),
        "code": source_hash(BatchLister.__module__),
        "gone": hashlib.sha256(lister.recommender.gone.tobytes()).hexdigest(),
    }
