"""Nodes of ``forget``."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
from mlflow.pyfunc import PyFuncModel

from tailor.config import parse
from tailor.data.people import SuppressionList, read_user_file
from tailor.options import ForgetOptions
from tailor.registry import forget, holders
from tailor.serving.champion import model_id_of, recommender_of
from tailor.serving.people import Forgotten, without_suppressed
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)


def _options(params: Parameters) -> ForgetOptions:
    return parse(ForgetOptions, params, "forget")


def suppress(champion: PyFuncModel, params: Parameters) -> list[str]:
    """Name the people of ``forget.file``, by id and by pseudonym where the champion knows these; none without it."""
    options = _options(params)
    ids = [] if options.file is None else read_user_file(Path(options.file))
    people = recommender_of(champion).people
    return [name for one in ids for name in people.names(one)]


def take_out(champion: PyFuncModel, suppressions: SuppressionList, params: Parameters) -> Forgotten:
    """Take the people of the list out of the champion; on request fit its recipe without them."""
    forgotten = replace(without_suppressed(recommender_of(champion), suppressions), model_id=model_id_of(champion))
    log.info("Taken out of the champion: %s", ", ".join(f"{n} {what}" for what, n in forgotten.counts.items()))
    if not _options(params).refit or not forgotten.counts["users"]:
        return forgotten
    return replace(forgotten, recommender=forget.refitted(forgotten.recommender))


def register(forgotten: Forgotten, params: Parameters, model_name: str) -> JsonObject:
    """Register the champion without these people, as champion."""
    return forget.register_forgotten(forgotten, _options(params).refit, model_name)


def list_holders(
    registered: JsonObject, suppressions: SuppressionList, params: Parameters, checkpoints: str | None, storage: str
) -> pd.DataFrame:
    """List what still holds these people; on request delete it. The package without them is registered by then."""
    options = _options(params)
    left_by_fits = None if checkpoints is None else Path(checkpoints)
    folders = holders.Folders(Path(options.data), Path(options.raw), left_by_fits, storage)
    return holders.tell(holders.find_holders(registered["name"], suppressions, folders), options.delete)
