"""People who are new to one domain and known from others: lists there stand on what they took elsewhere alone."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import keep_items
from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation.config import ListOptions
from tailor.evaluation.measure import list_length, list_sets, read_lists
from tailor.evaluation.protocol import EvalProtocol
from tailor.evaluation.ranking import label, stack, to_frame
from tailor.evaluation.tables import measure_lists
from tailor.evaluation.user_sample import sample_of
from tailor.metrics.base import registered_metrics
from tailor.models.base import Csr, FittedModel, Indices
from tailor.models.listing import recommend

#: What the metrics table calls these users.
NEW_TO_DOMAIN = "new_to_domain"


def users_new_to(protocol: EvalProtocol, new_user: Csr, users: pd.DataFrame) -> dict[str, Indices]:
    """Return the users, by domain, whose rows there are all hidden, and who have others elsewhere.

    Args:
        protocol: the rules of test lists.
        new_user: hidden rows (U, n_items).
        users: the user table.
    """
    known_elsewhere = (users[c.BUCKET] != "new").to_numpy()
    of_domain = {name: np.diff(keep_items(new_user, inside).indptr) > 0 for name, inside in protocol.domains.items()}
    return {name: np.flatnonzero(has_rows & known_elsewhere) for name, has_rows in of_domain.items()}


def list_new_to_domain(
    models: Mapping[str, FittedModel],
    protocol: EvalProtocol,
    new_user: Csr,
    users: pd.DataFrame,
    items: pd.DataFrame,
    options: ListOptions,
    seed: int,
) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return, by model, what makes its lists of warm items of the domain that users are new to; empty without any.

    Args:
        models: by name.
        protocol: the rules of test lists.
        new_user: hidden rows (U, n_items): who is listed for, and where.
        users: the user table.
        items: the item table.
        options: length of the lists; ``max_users`` of each domain.
        seed: of ties, and of the sample of users.
    """
    ties, size = tie_ranks(seed, items[c.ITEM]), list_length(options)
    new = {name: rows for name, rows in users_new_to(protocol, new_user, users).items() if len(rows)}
    listed = {name: sample_of(users, rows, options.max_users, seed) for name, rows in new.items()}

    def make(name: str) -> pd.DataFrame:
        tables = []
        for domain, rows in listed.items():
            query, seen = protocol.histories.take(rows), protocol.seen[rows]
            sets = {c.WARM: protocol.candidates_of(c.WARM, domain)}
            lists = recommend(models[name], query, seen, sets, size, ties, options.block_users, f"lists of {name}")
            table = to_frame(lists[c.WARM], rows, users[c.USER], items[c.ITEM])
            tables.append(label(table, model=name, candidates=c.WARM, split=c.TEST, domain=domain))
        return stack(tables)

    return {name: partial(make, name) for name in models} if listed else {}


def measure_new_to_domain(
    tables: Iterable[pd.DataFrame],
    protocol: EvalProtocol,
    new_user: Csr,
    users: pd.DataFrame,
    metadata: ItemMetadata,
    options: ListOptions,
) -> pd.DataFrame:
    """Measure the lists against the hidden rows, by domain; user_bucket is new_to_domain.

    Args:
        tables: as made by :func:`list_new_to_domain`.
        protocol: the rules of test lists.
        new_user: hidden rows (U, n_items).
        users: the user table.
        metadata: of items.
        options: cut-offs.
    """
    metrics = [metric for metric in registered_metrics() if metric.scope.new_users]
    frames = []
    for (model, domain), frame in list_sets(tables, [c.MODEL]):
        user_index, lists = read_lists(frame, protocol, new_user, c.WARM, users, metadata, max(options.k), domain)
        buckets = metadata.bucket, np.full(len(user_index), NEW_TO_DOMAIN)
        rows = measure_lists(lists, metrics, options.k, *buckets).assign(user_bucket=NEW_TO_DOMAIN)
        labels = {c.MODEL: model, c.SPLIT: c.TEST, c.CANDIDATES: c.WARM, c.DOMAIN: domain}
        frames.append(rows.assign(**labels))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
