"""Nodes of ``data_processing``."""

import hashlib

import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.data import buckets as catalogue
from tailor.data.cleaning import RowRules
from tailor.data.config import DataProcessingOptions
from tailor.data.join_domains import RawTable, clean_domains
from tailor.data.people import People, Pseudonyms, SuppressionList
from tailor.data.quality import QualityReport
from tailor.data.split import split_interactions
from tailor.types import Parameters


def _options(params: Parameters, strengths: Parameters | None = None) -> DataProcessingOptions:
    options = parse(DataProcessingOptions, params, "data_processing")
    return options.model_copy(update={"events": options.events.with_weights(strengths or {})})


def clean(
    raw_interactions: RawTable,
    raw_items: RawTable,
    raw_users: RawTable,
    suppressions: SuppressionList,
    params: Parameters,
    strengths: Parameters | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read, repair and count: interactions, items, users, what was done to which rows, and the account of all rows.

    People who are suppressed are left out before anything else is read of them. ``strengths``: of kinds of behaviour,
    as a search chose them. Where the catalog has a table for each of several domains, each is read by its own columns,
    and all are joined.
    """
    options, report = _options(params, strengths), QualityReport()
    raw = {"interactions": raw_interactions, "items": raw_items, "users": raw_users}
    people = People(suppressions, Pseudonyms.of_environment() if options.pseudonyms else None)
    tables = clean_domains(raw, options, report, RowRules(people, options.events))
    return tables.interactions, tables.items, tables.users, report.to_frame(), report.accounts()


def split(
    interactions: pd.DataFrame, items: pd.DataFrame, users: pd.DataFrame, params: Parameters, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Label every interaction, and describe items and users by what is in train."""
    options = _options(params)
    least = options.events.least_of_hit if c.CONFIDENCE in interactions else None
    labelled = interactions.assign(**{c.SPLIT: split_interactions(interactions, options.split, seed, least)})
    item_table = catalogue.item_table(items, labelled, options.split, options.head_share, seed)
    user_table = catalogue.user_table(users, labelled)
    return labelled, labelled[[c.USER, c.ITEM, c.SPLIT]], item_table, user_table


def fingerprint(interactions: pd.DataFrame, items: pd.DataFrame, split_table: pd.DataFrame) -> dict[str, str]:
    """Hash the data and the split, whatever the order of rows, so that two runs can be compared."""
    return {"data_hash": _hash(interactions.drop(columns=c.SPLIT), items), "split_hash": _hash(split_table)}


def _hash(*frames: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for frame in frames:
        rows = pd.util.hash_pandas_object(frame.astype(str), index=False).to_numpy().copy()
        rows.sort()
        digest.update(rows.tobytes())
    return digest.hexdigest()[:16]
