"""Nodes of ``update``."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache, partial

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from mlflow.pyfunc import PyFuncModel

from tailor import columns as c
from tailor.config import parse
from tailor.data.cleaning import RowRules, clean_interactions, columns_of_update
from tailor.data.config import DataProcessingOptions
from tailor.data.ids import IdMap
from tailor.data.people import People, SuppressionList
from tailor.data.quality import QualityReport
from tailor.evaluation.config import UpdateOptions
from tailor.evaluation.drift import SHIFTED, STABLE
from tailor.evaluation.update_rules import UpdateEvidence
from tailor.registry import update as registry
from tailor.serving.champion import model_id_of, recommender_of
from tailor.serving.events import EVENTS_UNTIL, TakenIn, as_interactions, taken_in_of
from tailor.serving.items import ItemStore
from tailor.serving.people import without_suppressed
from tailor.serving.recommender import Recommender
from tailor.serving.strengths import STRENGTHS
from tailor.serving.update import Update, drift, with_interactions
from tailor.serving.update_check import check_update
from tailor.serving.update_input import UpdateInput, put_item_ids, with_put_items
from tailor.state.events import Event
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)
#: Users whose names and histories are looked up once while events are read.
_USERS_AT_ONCE = 10_000


def read_new(
    raw: pd.DataFrame,
    champion: PyFuncModel,
    suppressions: SuppressionList,
    params: Parameters,
    strengths: Parameters | None = None,
    item_state: ItemStore | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Repair and count the new rows, by the catalogue's mapping; rows of items that nobody knows are dropped.

    Items are those of the champion and those that were put since.

    There may be none: then events alone are taken in. ``cleaning.until`` is the date of the catalogue; new rows may be
    later. People who are suppressed are left out, and the others go by pseudonyms where the champion knows them so.
    ``strengths``: of kinds of behaviour, as a search chose them.
    """
    report, options = QualityReport(), parse(DataProcessingOptions, params, "data_processing")
    if raw.empty:
        return pd.DataFrame({c.USER: [], c.ITEM: []}, dtype=str), report.to_frame(), report.accounts()
    columns = columns_of_update(raw, options)
    model = recommender_of(champion)
    items = pd.DataFrame({c.ITEM: _with_put(model, item_state).ids.astype(str)})
    cleaning = options.cleaning.model_copy(update={"until": None})
    people = replace(model.people, suppressed=suppressions)
    rules = RowRules(people, options.events.with_weights(strengths or {}))
    cleaned = clean_interactions(raw, items, columns, cleaning, report, "new_interactions", rules=rules)
    return cleaned.reset_index(drop=True), report.to_frame(), report.accounts()


def read_events(
    item_state: ItemStore | None, champion: PyFuncModel, suppressions: SuppressionList
) -> tuple[pd.DataFrame, JsonObject]:
    """Read what people did since the champion was updated last; return it, and up to which event.

    A fit notes no event, but when its catalogue was read: of what came before, its histories hold a part. People who
    are suppressed are left out, and the others go by pseudonyms where the champion knows them so.
    """
    model = recommender_of(champion)
    since = until = int(model.about.get(EVENTS_UNTIL, 0))
    batches: Iterable[list[Event]] = ()
    if item_state is not None:
        store = item_state.events.store
        until = store.last_place
        batches = store.read(since, until)
    items = _with_put(model, item_state)
    taken = _interactions_of(batches, model, items, replace(model.people, suppressed=suppressions))
    log.info("Events %d to %d: %s", since + 1, until, ", ".join(f"{n} {name}" for name, n in taken.counts.items()))
    return taken.rows, {"since": since, "until": until, "counts": taken.counts}


def _with_put(model: Recommender, item_state: ItemStore | None) -> IdMap:
    """Return the items of a model, and those that were put since its fit."""
    return model.items.extend([item for item in put_item_ids(item_state) if item not in model.items])


def _interactions_of(batches: Iterable[list[Event]], model: Recommender, items: IdMap, people: People) -> TakenIn:
    """Return events as interactions of people by the names that the model knows, but for what it has taken in."""
    remembering = lru_cache(_USERS_AT_ONCE)
    history_of = remembering(partial(taken_in_of, model))
    return as_interactions(
        batches,
        model.event_options,
        items,
        sure=bool(model.about.get(STRENGTHS)),
        name=remembering(partial(people.name_of_stored, model.users)),
        taken_in=lambda user, event: history_of(user)(event),
    )


def join_items(champion: PyFuncModel, item_state: ItemStore | None, rows: pd.DataFrame) -> UpdateInput:
    """Let the items join the champion that were put since its fit and that rows name."""
    return with_put_items(recommender_of(champion), rows, item_state, model_id_of(champion))


def fold_in(
    begins: UpdateInput, events_read: JsonObject, suppressions: SuppressionList, params: Parameters, seed: int
) -> tuple[Update, pd.DataFrame, go.Figure]:
    """Take the rows in, without people who are suppressed; tell how far distributions have moved."""
    options, rows = parse(UpdateOptions, params, "update"), begins.rows
    model = without_suppressed(begins.recommender, suppressions).recommender
    update = with_interactions(model, rows, options.sweeps, begins.counts).until(events_read["until"])
    update = update.of(begins.model_id)
    table = drift(model, update, rows, options.sample_users, options.k, seed)
    figure = px.bar(table, x="distribution", y="psi", color="interpretation", title="Drift: population stability index")
    for line in (STABLE, SHIFTED):
        figure.add_hline(y=line, line_dash="dot")
    log.info("Took in: %s", ", ".join(f"{count} {name}" for name, count in update.counts.items()))
    return update, table, figure


def check(begins: UpdateInput, suppressions: SuppressionList, params: Parameters, seed: int) -> UpdateEvidence:
    """Update the champion by most of the rows; compare it with the champion on the others, and on what is old."""
    options = parse(UpdateOptions, params, "update")
    model = without_suppressed(begins.recommender, suppressions).recommender
    return check_update(model, begins.rows, options.sweeps, options.sample_users, options.k, options.holdout, seed)


def register(
    update: Update,
    drift_table: pd.DataFrame,
    evidence: UpdateEvidence,
    figure: go.Figure,
    item_state: ItemStore | None,
    params: Parameters,
    model_name: str,
) -> JsonObject:
    """Register what became of the champion; the alias moves where every rule holds.

    Who was suppressed since the rows were read is left out; the list is that beside ``item_state``.
    """
    limits = parse(UpdateOptions, params, "update").max_psi
    suppressed = SuppressionList if item_state is None else item_state.suppressions.read
    return registry.register_update(update, drift_table, evidence, figure, limits, model_name, suppressed)


def tables_of_rows(
    interactions: pd.DataFrame, events: pd.DataFrame, registered: JsonObject, suppressions: SuppressionList
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what was read, for the files: written once a version is registered, without who is suppressed by then."""
    log.info("Rows of the update: version %s took them in", registered["version"])
    interactions, events = (rows[~suppressions.mask(rows[c.USER])] for rows in (interactions, events))
    return interactions, events
