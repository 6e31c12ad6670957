"""Nodes of ``evaluation``: lists, metrics, tables and plots. Only those that measure see test positives."""

from typing import Unpack

import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import DataProcessingOptions
from tailor.data.interactions import bucket_items
from tailor.data.item_metadata import ItemMetadata
from tailor.data.side_features import FeatureEncoder
from tailor.evaluation import groups, measure, new_to_domain, plots
from tailor.evaluation.protocol import (
    NewUserProtocol,
    TestRows,
    TrainRows,
    test_protocol,
    train_histories,
    train_rows,
    validation_protocol,
)
from tailor.evaluation.ranking import LazyTables, read_tables
from tailor.evaluation.user_sample import of_sample, state_sample, state_validation_sample
from tailor.hybrid.scorer import by_encoder
from tailor.metrics import rating
from tailor.models.base import FittedModel
from tailor.options import EvaluationOptions
from tailor.types import JsonObject, Parameters

Models = dict[str, FittedModel]
Matrix = sparse.csr_matrix


def _options(params: Parameters) -> EvaluationOptions:
    return parse(EvaluationOptions, params, "evaluation")


def _all_models(baselines: Models, frozen: Models, lora: Models) -> Models:
    return {**baselines, **by_encoder(frozen, lora)}


def build_test_positives(test: Matrix, cold: Matrix) -> Matrix:
    """Return what counts on test, warm and cold, for the nodes that measure."""
    return sparse.csr_matrix(test + cold)


def recommend_on_validation(
    baselines: Models,
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    params: Parameters,
    seed: int,
    **known: Unpack[TrainRows],
) -> LazyTables:
    """List for known users, ``max_validation_users`` at most, with the models that have not seen pseudo-cold B.

    ``known``: what ``validation_protocol`` takes.
    """
    protocol, models = validation_protocol(items, **known), _all_models(baselines, frozen, lora)
    options = _options(params)
    options = options.of_at_most(options.max_validation_users)
    return measure.list_known_users(models, protocol, c.VALIDATION, users, items, options, seed)


def recommend_on_test(
    baselines: Models,
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    params: Parameters,
    seed: int,
    **known: Unpack[TestRows],
) -> LazyTables:
    """List for every known user with the final models; no test positive is among the inputs.

    ``known``, here and below: what ``test_protocol`` takes.
    """
    protocol, models = test_protocol(items, **known), _all_models(baselines, frozen, lora)
    return measure.list_known_users(models, protocol, c.TEST, users, items, _options(params), seed)


def lay_down_new_users(
    users: pd.DataFrame,
    items: pd.DataFrame,
    new_user: Matrix,
    reveal_order: Matrix,
    side_features: JsonObject,
    user_texts: JsonObject,
) -> NewUserProtocol:
    """Lay down the test of new users, of whom the first few items are revealed."""
    return NewUserProtocol.build(users, items, new_user, reveal_order, side_features, user_texts)


def recommend_to_new_users(
    baselines: Models,
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: NewUserProtocol,
    params: Parameters,
    seed: int,
) -> LazyTables:
    """List for new users of whom the first few items are revealed."""
    models = _all_models(baselines, frozen, lora)
    return measure.list_new_users(models, protocol, users, items, _options(params), seed)


def measure_known_users(
    validation_lists: LazyTables,
    test_lists: LazyTables,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    metadata: ItemMetadata,
    params: Parameters,
    **known: Unpack[TestRows],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure the saved lists by every registered metric, one model in memory at a time: all of them, and those of each
    of several domains.
    """
    of_train = train_rows(known)
    protocols = {
        c.VALIDATION: (validation_protocol(items, **of_train), known["validation"]),
        c.TEST: (test_protocol(items, **known), positives),
    }
    tables = read_tables(validation_lists, test_lists)
    table = measure.measure_known_users(tables, protocols, users, metadata, _options(params))
    return measure.over_domains(table), table if c.DOMAIN in table else table.iloc[:0].assign(**{c.DOMAIN: ""})


def recommend_to_new_to_domain(
    baselines: Models,
    frozen: Models,
    lora: Models,
    new_user: Matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    params: Parameters,
    seed: int,
    **known: Unpack[TestRows],
) -> LazyTables:
    """List for who is known from other domains alone; no table where the split hides no such rows."""
    models, protocol = _all_models(baselines, frozen, lora), test_protocol(items, **known)
    return new_to_domain.list_new_to_domain(models, protocol, new_user, users, items, _options(params), seed)


def measure_domains(
    recommendations: LazyTables,
    known_users: pd.DataFrame,
    new_user: Matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    metadata: ItemMetadata,
    params: Parameters,
    **known: Unpack[TestRows],
) -> pd.DataFrame:
    """Put the figures of every domain into one table, those of who is new to it too; no rows where there is one."""
    protocol, options = test_protocol(items, **known), _options(params)
    new = new_to_domain.measure_new_to_domain(
        read_tables(recommendations), protocol, new_user, users, metadata, options
    )
    tables = [table for table in (known_users, new) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else known_users


def measure_new_users(
    lists: LazyTables,
    users: pd.DataFrame,
    protocol: NewUserProtocol,
    metadata: ItemMetadata,
    params: Parameters,
) -> pd.DataFrame:
    """Measure the saved lists of new users."""
    return measure.measure_new_users(read_tables(lists), protocol, users, metadata, _options(params))


def measure_headlines(
    test_lists: LazyTables,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    metadata: ItemMetadata,
    params: Parameters,
    **known: Unpack[TestRows],
) -> measure.HeadlineValues:
    """Measure test lists, user by user, by every headline metric."""
    tables, protocol, k = read_tables(test_lists), test_protocol(items, **known), max(_options(params).k)
    return measure.headline_values(tables, protocol, positives, users, metadata, k)


def compare_models(values: measure.HeadlineValues, params: Parameters, seed: int) -> pd.DataFrame:
    """Compare the registered model with every other, user by user, by every headline metric."""
    options = _options(params)
    return state_sample(measure.compare(values, options.registered, seed), options.max_users)


def compare_groups(
    values: measure.HeadlineValues,
    users: pd.DataFrame,
    items: pd.DataFrame,
    train: Matrix,
    feature_encoders: JsonObject,
    params: Parameters,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure the registered model and the best baseline by taste and by profile; all models by quantiles of users."""
    options = _options(params)
    values = {name: by_model for name, by_model in values.items() if name in groups.HEADLINES}
    by_grouping = {groups.TASTE: groups.taste_of(train, bucket_items(items, c.HEAD), users[c.USER])}
    by_grouping |= groups.profiles_of(users, FeatureEncoder.from_state(feature_encoders["profile"]))
    measured = groups.measure_groups(values, by_grouping, options.registered, options.groups, seed)
    return measured.figures, measured.gaps, measured.quantiles


def join_metrics(known_users: pd.DataFrame, new_users: pd.DataFrame, seed: int, params: Parameters) -> pd.DataFrame:
    """Put all figures into one table, with what their models were fitted on; the split may keep no new users."""
    tables = [table for table in (known_users, new_users) if len(table)]
    table = pd.concat(tables, ignore_index=True).assign(seed=seed)
    options, split = _options(params), table[c.SPLIT]
    table = table.assign(fit_on=split.where(split != c.TEST, options.fit_on).replace(c.VALIDATION, c.TRAIN))
    most = options.of_at_most(options.max_validation_users).max_users
    return state_validation_sample(state_sample(table, options.max_users), most)


def measure_clicks(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    positives: Matrix,
    data: Parameters,
    params: Parameters,
    seed: int,
    **known: Unpack[TestRows],
) -> tuple[pd.DataFrame, pd.DataFrame, go.Figure]:
    """Measure the click probabilities of the hybrids on test; the head was fitted on validation's shorter window."""
    options, protocol = parse(DataProcessingOptions, data, "data_processing"), test_protocol(items, **known)
    horizon, lists = measure.window_ratio(options, known["validation"], positives), _options(params)
    lists = lists.of_at_most(lists.max_click_users)
    table, curve = measure.measure_clicks(by_encoder(frozen, lora), protocol, positives, users, horizon, lists, seed)
    sampled = lists.max_users if lists.max_users and lists.max_users < (users[c.BUCKET] != "new").sum() else None
    return state_sample(table, sampled), curve, plots.calibration_plot(curve)


def keep_rated_rows(interactions: pd.DataFrame, users: pd.DataFrame, params: Parameters, seed: int) -> pd.DataFrame:
    """Keep what rating predictions are measured on: train, and the later rows of the users that lists are made for."""
    return of_sample(interactions, users, _options(params).max_users, seed)


def measure_ratings(
    frozen: Models,
    lora: Models,
    frozen_validation: Models,
    lora_validation: Models,
    interactions: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    params: Parameters,
    **known: Unpack[TrainRows],
) -> pd.DataFrame:
    """Measure rating predictions of the hybrids on test; no rows where the catalogue has no ratings.

    A line that is fitted on validation needs scores of models that do not know these rows.
    """
    options, queries, models = _options(params), train_histories(**known), by_encoder(frozen, lora)
    line_models = models if options.fit_on == c.TRAIN else by_encoder(frozen_validation, lora_validation)
    table = rating.measure(models, line_models, interactions, users, items, queries, options.block_users)
    return state_sample(table, options.max_users)


def summarise(metrics: pd.DataFrame, params: Parameters) -> tuple[pd.DataFrame, go.Figure]:
    """Reduce the metrics to a summary, and draw it."""
    k = max(_options(params).k)
    table = plots.summary_table(metrics, k)
    return table, plots.comparison_plot(table, k)
