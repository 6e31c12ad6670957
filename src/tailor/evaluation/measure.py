"""From fitted models to lists, and from lists to the metrics table."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.config import DataProcessingOptions
from tailor.data.hashing import tie_ranks
from tailor.data.ids import IdMap
from tailor.data.interactions import bucket_items, keep_items
from tailor.data.item_metadata import CATEGORIES, ItemMetadata
from tailor.evaluation.config import ListOptions
from tailor.evaluation.protocol import EvalProtocol, NewUserProtocol, positives
from tailor.evaluation.ranking import groups, label, stack, to_frame, to_lists
from tailor.evaluation.tables import measure_lists
from tailor.evaluation.user_sample import known_users, new_users
from tailor.lm.embeddings import Embeddings
from tailor.metrics.base import ALL, Lists, compared_headlines, registered_metrics
from tailor.metrics.probability import Tally
from tailor.metrics.significance import Comparison, holm, paired_bootstrap, verdict
from tailor.models.base import FittedModel, Query
from tailor.models.listing import recommend
from tailor.progress import progress
from tailor.threads import blocks
from tailor.types import JsonObject

Models = dict[str, FittedModel]
Matrix = sparse.csr_matrix
HeadlineValues = dict[str, dict[str, NDArray[np.float64]]]


class ClickModel(Protocol):
    """What predicts click probabilities."""

    def click_probability(self, query: Query, horizon: float) -> NDArray[np.float64]:
        """Return probabilities (B, n_items)."""
        ...


#: Lists are never shorter, so that the files serve later cut-offs too.
MIN_LENGTH = 20
N_HISTORY = "n_history"
#: Columns of the table of comparisons.
COMPARED = [c.MODEL, "against", "headline", *(part.name for part in fields(Comparison)), "adjusted_p", "verdict"]


def list_length(options: ListOptions) -> int:
    """Return the length of every list."""
    return max(MIN_LENGTH, *options.k)


def list_known_users(
    models: Models,
    protocol: EvalProtocol,
    split: str,
    users: pd.DataFrame,
    items: pd.DataFrame,
    options: ListOptions,
    seed: int,
) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return, by model, what makes its lists in long form, for all candidate sets and every user that is not new.

    Nothing is scored until a table is asked for, so that the lists of one model are in memory at a time. With
    ``options.max_users`` the lists are of a sample, :func:`tailor.evaluation.user_sample.known_users`. Of several
    domains each has lists of its own, and the tables a column ``domain``.
    """
    known = known_users(users, options.max_users, seed)
    query, seen, ties = protocol.histories.take(known), protocol.seen[known], tie_ranks(seed, items[c.ITEM])
    listed = {domain: protocol.users_of(domain, known) for domain in protocol.domain_names}
    sets = {(domain, name): protocol.candidates_of(name, domain) for name in protocol.candidates for domain in listed}
    size = list_length(options)

    def make(name: str) -> pd.DataFrame:
        lists = recommend(models[name], query, seen, sets, size, ties, options.block_users, f"lists of {name}")
        tables = []
        for (domain, candidates), (of_set, scores) in lists.items():
            rows = np.searchsorted(known, listed[domain])
            table = to_frame((of_set[rows], scores[rows]), listed[domain], users[c.USER], items[c.ITEM])
            labels = {c.MODEL: name, c.CANDIDATES: candidates, c.SPLIT: split}
            tables.append(label(table, **labels, **_of_domain(domain)))
        return stack([table for table in tables if len(table)] or tables[:1])

    return {name: partial(make, name) for name in models}


def _of_domain(name: str = "") -> dict[str, str]:
    """Return the column of lists of a domain; none where there is one catalogue."""
    return {c.DOMAIN: name} if name else {}


def list_new_users(
    models: Models,
    protocol: NewUserProtocol,
    users: pd.DataFrame,
    items: pd.DataFrame,
    options: ListOptions,
    seed: int,
) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return, by model, what makes its lists of warm items for new users, in long form with n_history.

    Of each the first n items are revealed. With ``options.max_users`` the lists are of a sample of the new users. Of
    several domains each new user has lists of those with rows of theirs, and the tables a column ``domain``.
    """
    if not len(protocol.users):
        return {}
    ties, warm = tie_ranks(seed, items[c.ITEM]), ~bucket_items(items, c.COLD)
    sampled = IdMap(protocol.users).indices(new_users(users, options.max_users, seed))
    revealed = {n: protocol.revealed(n).take(sampled) for n in options.new_user_history}
    sets = {domain: warm & protocol.items_of(domain) for domain in protocol.domain_names}
    listed = {domain: np.flatnonzero(np.isin(sampled, protocol.rows_in(domain))) for domain in sets}
    size = list_length(options)

    def make(name: str) -> pd.DataFrame:
        tables = []
        for n, query in revealed.items():
            lists = recommend(
                models[name], query, query.history, sets, size, ties, options.block_users, f"lists of {name}"
            )
            for domain, (of_set, scores) in lists.items():
                rows = listed[domain]
                of_users = protocol.users[sampled[rows]]
                table = to_frame((of_set[rows], scores[rows]), of_users, users[c.USER], items[c.ITEM])
                tables.append(label(table, model=name, **_of_domain(domain)).assign(**{N_HISTORY: n}))
        return stack(tables)

    return {name: partial(make, name) for name in models}


def describe_items(
    items: pd.DataFrame, texts: pd.DataFrame, categories: pd.DataFrame, embeddings: Embeddings
) -> ItemMetadata:
    """Put together what metrics and re-rankers know of items; distances are the frozen encoder's, for every model.

    Args:
        items: the item table.
        texts: with pieces, in its order.
        categories: long form, item_id and category.
        embeddings: of the frozen encoder.
    """
    return ItemMetadata.build(items, texts[c.PIECES], categories).with_arrays(
        vectors=embeddings.vectors,
        n_train=items[c.N_TRAIN].to_numpy(dtype=np.int64),
        bucket=items[c.BUCKET].to_numpy(dtype=str),
    )


def popularity_metadata(items: pd.DataFrame) -> ItemMetadata:
    """Describe items (the item table) by popularity and bucket alone: metrics that read texts or categories are NaN."""
    table = items[[c.ITEM]].assign(**{CATEGORIES: "[]"})
    n_train = items[c.N_TRAIN].to_numpy(dtype=np.int64)
    return ItemMetadata(table, n_train=n_train, bucket=items[c.BUCKET].to_numpy(dtype=str))


def read_lists(
    frame: pd.DataFrame,
    protocol: EvalProtocol,
    counted: Matrix,
    candidates: str,
    users: pd.DataFrame,
    metadata: ItemMetadata,
    k: int,
    domain: str = "",
) -> tuple[NDArray[np.int64], Lists]:
    """Return internal user ids (U,) and lists of one list set's long table, beside what they are compared with."""
    user_index, items = to_lists(frame, users[c.USER], metadata.table[c.ITEM], k)
    lists = Lists.build(
        items,
        metadata,
        positives=positives(counted, protocol, candidates, domain)[user_index],
        history=protocol.histories.history[user_index],
        seen=protocol.seen[user_index],
        candidates=protocol.candidates_of(candidates, domain),
        n_train_users=int((users[c.N_TRAIN] > 0).sum()),
    )
    return user_index, lists


def measure_known_users(
    tables: Iterable[pd.DataFrame],
    protocols: dict[str, tuple[EvalProtocol, Matrix]],
    users: pd.DataFrame,
    metadata: ItemMetadata,
    options: ListOptions,
) -> pd.DataFrame:
    """Measure every list set by every registered metric whose scope covers it, one table in memory at a time.

    Of several domains each is measured, and the table has a column ``domain``; :func:`over_domains` joins them.

    Args:
        tables: as made by :func:`list_known_users`; each holds whole list sets.
        protocols: per split its rules and its positives (U, n_items).
        users: the user table.
        metadata: of items, in the order of the item table.
        options: cut-offs.
    """
    user_bucket, frames = users[c.BUCKET].to_numpy(dtype=str), []
    for (model, split, candidates, *of_domain), frame in list_sets(tables, [c.MODEL, c.SPLIT, c.CANDIDATES]):
        protocol, counted = protocols[split]
        user_index, lists = read_lists(
            frame, protocol, counted, candidates, users, metadata, max(options.k), *of_domain
        )
        metrics = [metric for metric in registered_metrics() if metric.scope.covers(split, candidates)]
        buckets = protocol.item_bucket, user_bucket[user_index]
        rows = measure_lists(lists, metrics, options.k, *buckets, item_groups=protocol.item_groups)
        labels = {c.MODEL: model, c.SPLIT: split, c.CANDIDATES: candidates}
        frames.append(rows.assign(**labels, **_of_domain(*of_domain)))
    return pd.concat(frames, ignore_index=True)


def over_domains(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of every figure over the domains, each by its number of lists; the same where there is one.

    Args:
        metrics: as of :func:`measure_known_users`.
    """
    if c.DOMAIN not in metrics:
        return metrics
    names = [name for name in metrics if name not in (c.DOMAIN, "value", "n_users")]
    weighted = metrics.assign(total=metrics["value"] * metrics["n_users"], counted=metrics["n_users"])
    weighted.loc[weighted["value"].isna(), "counted"] = 0
    sums = weighted.groupby(names, sort=False, as_index=False)[["total", "counted", "n_users"]].sum()
    return sums.assign(value=sums["total"] / sums["counted"].where(sums["counted"] > 0))[
        [name for name in metrics if name != c.DOMAIN]
    ]


def headline_values(
    tables: Iterable[pd.DataFrame],
    protocol: EvalProtocol,
    counted: Matrix,
    users: pd.DataFrame,
    metadata: ItemMetadata,
    k: int,
    names: Collection[str] | None = None,
) -> HeadlineValues:
    """Return per headline and model the value at k of every user (U,) on test, NaN where there is none.

    Of who has lists in several domains it is their mean.

    Args:
        tables: of test, as made by :func:`list_known_users`; each holds whole list sets.
        protocol: the rules of test lists.
        counted: positives (U, n_items).
        users: the user table.
        metadata: of items.
        k: cut-off.
        names: names of the headlines; None: every one by which models are compared.
    """
    compared = {name: pair for name, pair in compared_headlines().items() if names is None or name in names}
    by_headline: dict[str, dict[str, list[NDArray[np.float64]]]] = {name: {} for name in compared}
    for (model, candidates, *of_domain), frame in list_sets(tables, [c.MODEL, c.CANDIDATES]):
        user_index, lists = read_lists(frame, protocol, counted, candidates, users, metadata, k, *of_domain)
        for name, (metric, headline) in compared.items():
            if headline.candidates == candidates:
                bucket = headline.item_bucket
                part = lists if bucket == ALL else lists.of_items(protocol.item_bucket == bucket)
                values = np.full(len(users), np.nan)
                values[user_index] = metric.values(part)
                by_headline[name].setdefault(model, []).append(values)
    return {
        headline: {model: mean_of_known(values) for model, values in by_model.items()}
        for headline, by_model in by_headline.items()
    }


def mean_of_known(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean of what is known of each user (U,), NaN where nothing is."""
    of_domains = np.stack(values)
    n_known = np.isfinite(of_domains).sum(axis=0)
    means: NDArray[np.float64] = np.where(n_known > 0, np.nansum(of_domains, axis=0) / np.maximum(n_known, 1), np.nan)
    return means


def list_sets(tables: Iterable[pd.DataFrame], by: list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield each list set with its labels, of several domains the name too, and show how many models are done.

    Args:
        tables: one for each model; each holds whole list sets.
        by: columns of the labels beside the domain.
    """
    for table in progress(tables, "measure lists", "model"):
        yield from groups(table, [*by, c.DOMAIN] if c.DOMAIN in table else by)


def compare(values: HeadlineValues, model: str, seed: int) -> pd.DataFrame:
    """Compare one model with every other: paired bootstrap over users, Holm's correction over all the others.

    A headline that no user has a value of is left out: of cold items where the split holds out none.

    Args:
        values: per headline and model one value per user (U,), as of :func:`headline_values`.
        model: its name.
        seed: of the resampling.

    Returns:
        Columns model, against, headline, difference, low, high, ratio, ratio_low, ratio_high, p, n_users, adjusted_p,
        verdict.
    """
    frames = []
    for headline, by_model in values.items():
        others = [name for name in by_model if name != model]
        if not others or model not in by_model or not np.isfinite(by_model[model]).any():
            continue
        rows = pd.DataFrame([asdict(paired_bootstrap(by_model[model], by_model[name], seed=seed)) for name in others])
        adjusted = holm(rows["p"].to_numpy())
        in_words = [verdict(d, p) for d, p in zip(rows["difference"], adjusted, strict=True)]
        labels = {c.MODEL: model, "against": others, "headline": headline}
        frames.append(rows.assign(**labels, adjusted_p=adjusted, verdict=in_words))
    return pd.concat(frames, ignore_index=True)[COMPARED] if frames else pd.DataFrame(columns=COMPARED)


def measure_new_users(
    tables: Iterable[pd.DataFrame],
    protocol: NewUserProtocol,
    users: pd.DataFrame,
    metadata: ItemMetadata,
    options: ListOptions,
) -> pd.DataFrame:
    """Measure new users' lists against what was not revealed; user_bucket is new_0, new_1 …

    Args:
        tables: as made by :func:`list_new_users`; each holds whole list sets.
        protocol: the test of new users.
        users: the user table.
        metadata: of items.
        options: cut-offs.

    Returns:
        As :func:`measure_known_users`, by number of revealed items, then by model.
    """
    metrics = [metric for metric in registered_metrics() if metric.scope.new_users]
    frames: dict[int, list[pd.DataFrame]] = {}
    for labels, n, lists in _new_user_lists(tables, protocol, users, metadata, max(options.k)):
        user_bucket: NDArray[np.str_] = np.full(len(lists.items), f"new_{n}")
        rows = measure_lists(lists, metrics, options.k, metadata.bucket, user_bucket)
        rows["user_bucket"] = f"new_{n}"
        frames.setdefault(n, []).append(rows.assign(**{c.SPLIT: c.TEST, c.CANDIDATES: c.WARM} | labels))
    in_order = [frame for n in sorted(frames) for frame in frames[n]]
    return over_domains(pd.concat(in_order, ignore_index=True)) if in_order else pd.DataFrame()


def _new_user_lists(
    tables: Iterable[pd.DataFrame], protocol: NewUserProtocol, users: pd.DataFrame, metadata: ItemMetadata, k: int
) -> Iterator[tuple[JsonObject, int, Lists]]:
    """Yield model and domain, number of revealed items and lists of new users."""
    warm, row_of = np.asarray(metadata.bucket != c.COLD), IdMap(protocol.users)
    for (model, n, *of_domain), frame in list_sets(tables, [c.MODEL, N_HISTORY]):
        inside = protocol.items_of(of_domain[0] if of_domain else "")
        user_index, items = to_lists(frame, users[c.USER], metadata.table[c.ITEM], k)
        rows = row_of.indices(user_index)
        revealed = protocol.revealed(int(n)).history[rows]
        lists = Lists.build(
            items,
            metadata,
            positives=keep_items(protocol.hidden(int(n)), inside)[rows],
            history=revealed,
            seen=revealed,
            candidates=warm & inside,
            n_train_users=int((users[c.N_TRAIN] > 0).sum()),
        )
        yield {c.MODEL: model} | _of_domain(*of_domain), int(n), lists


def window_ratio(options: DataProcessingOptions, validation: Matrix, counted: Matrix) -> float:
    """Return the length of the test window in validation windows, for the horizon of click probabilities.

    The shares of the split say it; with leave_one_out each is one row long; where the catalogue brings a split of its
    own, which reads no shares, the rows do.

    Args:
        options: columns and split of the catalogue.
        validation: rows of validation (U, n_items).
        counted: rows of the test window (U, n_items).
    """
    split = options.split
    if c.SPLIT not in options.columns.interactions:
        if split.strategy == "leave_one_out":
            return 1.0
        return (1 - split.train - split.validation) / split.validation
    return counted.nnz / validation.nnz if validation.nnz and counted.nnz else 1.0


def measure_clicks(
    models: Mapping[str, ClickModel],
    protocol: EvalProtocol,
    counted: Matrix,
    users: pd.DataFrame,
    horizon: float,
    options: ListOptions,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure click probabilities over every cell that a mixed list could show a user that is not new.

    Args:
        models: by name.
        protocol: histories, and what lists leave out.
        counted: positives (U, n_items).
        users: the user table.
        horizon: the window of ``counted``, in windows of what the head was fitted on.
        options: users at a time, and how many at most.
        seed: of the sample of users, the one that lists are made of.

    Returns:
        Columns model, auc, log_loss, ece, cells, clicks; and the reliability curve: model, group, predicted, clicked.
    """
    sample = known_users(users, options.max_users, seed)
    known = sample[np.diff(counted.indptr)[sample] > 0]
    rows, curves = [], []
    for name, model in models.items():
        tally = Tally()
        for part in progress(blocks(len(known), options.block_users), f"clicks of {name}", "block"):
            block = known[part]
            candidate_mask = np.ones((len(block), counted.shape[1]), dtype=bool)
            candidate_mask[protocol.seen[block].nonzero()] = False
            label = np.zeros(candidate_mask.shape, dtype=bool)
            label[counted[block].nonzero()] = True
            probability = model.click_probability(protocol.histories.take(block), horizon)
            tally.add(probability[candidate_mask], label[candidate_mask])
        figures = {"auc": tally.auc(), "log_loss": tally.log_loss(), "ece": tally.ece()}
        counts = {"cells": int(tally.cells.sum()), "clicks": int(tally.positives.sum())}
        rows.append({c.MODEL: name} | figures | counts)
        curve = tally.curve()
        table = {"predicted": curve[:, 1] / curve[:, 0], "clicked": curve[:, 2] / curve[:, 0], "cells": curve[:, 0]}
        curves.append(pd.DataFrame(table).assign(**{c.MODEL: name}).rename_axis("group").reset_index())
    return pd.DataFrame(rows), pd.concat(curves, ignore_index=True)
