"""From fitted models to lists, and from lists to the metrics table."""

from dataclasses import asdict
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.hashing import tie_ranks
from tailor.data.ids import IdMap
from tailor.data.interactions import bucket_items, keep_items
from tailor.evaluation.config import ListOptions
from tailor.evaluation.protocol import EvalProtocol, NewUserProtocol, positives
from tailor.evaluation.ranking import groups, to_frame, to_lists
from tailor.evaluation.tables import Content, accuracy_rows, beyond_accuracy_rows, exposure_rows
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.probability import Tally
from tailor.metrics.significance import holm, paired_bootstrap, verdict
from tailor.models.base import FittedModel, Query
from tailor.models.listing import recommend

Models = dict[str, FittedModel]
Matrix = sparse.csr_matrix


class ClickModel(Protocol):
    """What predicts click probabilities."""

    def click_probability(self, query: Query, horizon: float) -> NDArray[np.float64]:
        """Return probabilities (B, n_items)."""
        ...


#: Lists are never shorter, so that the files serve later cut-offs too.
MIN_LENGTH = 20
N_HISTORY = "n_history"


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
) -> pd.DataFrame:
    """Return the lists of every user that is not new, for all models and candidate sets, in long form."""
    known = np.flatnonzero(users[c.BUCKET] != "new")
    query, seen, ties = protocol.histories.take(known), protocol.seen[known], tie_ranks(seed, items[c.ITEM])
    frames = []
    for name, model in models.items():
        lists = recommend(model, query, seen, protocol.candidates, list_length(options), ties, options.block_users)
        for candidates, of_set in lists.items():
            frame = to_frame(of_set, known, users[c.USER], items[c.ITEM])
            frames.append(frame.assign(**{c.MODEL: name, c.CANDIDATES: candidates, c.SPLIT: split}))
    return pd.concat(frames, ignore_index=True)


def list_new_users(
    models: Models,
    protocol: NewUserProtocol,
    users: pd.DataFrame,
    items: pd.DataFrame,
    options: ListOptions,
    seed: int,
) -> pd.DataFrame:
    """Return lists of warm items for new users of whom the first n items are revealed, in long form with n_history."""
    ties, warm = tie_ranks(seed, items[c.ITEM]), {c.WARM: ~bucket_items(items, c.COLD)}
    frames = []
    for n in options.new_user_history if len(protocol.users) else ():
        query = protocol.revealed(n)
        for name, model in models.items():
            lists = recommend(model, query, query.history, warm, list_length(options), ties, options.block_users)
            frame = to_frame(lists[c.WARM], protocol.users, users[c.USER], items[c.ITEM])
            frames.append(frame.assign(**{c.MODEL: name}, n_history=n))
    columns = [c.USER, c.ITEM, c.RANK, c.SCORE, c.MODEL, N_HISTORY]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def measure_known_users(
    recommendations: pd.DataFrame,
    protocols: dict[str, tuple[EvalProtocol, Matrix]],
    users: pd.DataFrame,
    items: pd.DataFrame,
    options: ListOptions,
) -> pd.DataFrame:
    """Measure accuracy and exposure of every list set.

    Args:
        recommendations: as written by :func:`list_known_users`.
        stages: per split its rules and its positives (U, n_items).
        users: the user table.
        items: the item table.
        options: cut-offs.
    """
    n_train, tail = items[c.N_TRAIN].to_numpy(), bucket_items(items, c.TAIL)
    user_bucket = users[c.BUCKET].to_numpy(dtype=str)
    n_train_users = int((users[c.N_TRAIN] > 0).sum())
    frames = []
    for (model, split, candidates), frame in groups(recommendations, [c.MODEL, c.SPLIT, c.CANDIDATES]):
        protocol, counted = protocols[split]
        who, lists = to_lists(frame, users[c.USER], items[c.ITEM], max(options.k))
        wanted = positives(counted, protocol, candidates)[who]
        accuracy = accuracy_rows(lists, wanted, protocol.item_bucket, user_bucket[who], options.k)
        shown = exposure_rows(lists, n_train, tail, protocol.candidates[candidates], n_train_users, options.k)
        labels = {c.MODEL: model, c.SPLIT: split, c.CANDIDATES: candidates}
        frames += [accuracy.assign(**labels), shown.assign(**labels)]
    return pd.concat(frames, ignore_index=True)


#: Headline -> (candidates, bucket of the positives that count).
COMPARED = {
    "warm": (c.WARM, "all"),
    "tail": (c.WARM, c.TAIL),
    "cold": (c.COLD, "all"),
    "mixed": (c.MIXED, "all"),
    "mixed_cold": (c.MIXED, c.COLD),
}


def per_user_ndcg(
    recommendations: pd.DataFrame,
    protocol: EvalProtocol,
    counted: Matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    k: int,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return NDCG@k of every user (U,) on test, NaN without positives, by headline of :data:`COMPARED` and by model."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in COMPARED}
    of_test = recommendations[recommendations[c.SPLIT] == c.TEST]
    for (model, candidates), frame in groups(of_test, [c.MODEL, c.CANDIDATES]):
        who, lists = to_lists(frame, users[c.USER], items[c.ITEM], k)
        truth = positives(counted, protocol, candidates)
        for name, (of, bucket) in COMPARED.items():
            if of == candidates:
                wanted = truth if bucket == "all" else keep_items(truth, protocol.item_bucket == bucket)
                values = np.full(len(users), np.nan)
                values[who] = ndcg(hits(lists, sparse.csr_matrix(wanted[who])), np.diff(wanted[who].indptr), k)
                found[name][model] = values
    return found


def compare(values: dict[str, dict[str, NDArray[np.float64]]], judged: str, seed: int) -> pd.DataFrame:
    """Compare one model with every other: paired bootstrap over users, Holm's correction over the ladder.

    Args:
        values: per headline and model one value per user (U,), as of :func:`per_user_ndcg`.
        judged: the model.
        seed: of the resampling.

    Returns:
        Columns model, against, headline, difference, low, high, ratio, ratio_low, ratio_high, p, n_users, adjusted_p,
        verdict.
    """
    frames = []
    for headline, by_model in values.items():
        others = [name for name in by_model if name != judged]
        rows = pd.DataFrame([asdict(paired_bootstrap(by_model[judged], by_model[name], seed=seed)) for name in others])
        adjusted = holm(rows["p"].to_numpy())
        told = [verdict(d, p) for d, p in zip(rows["difference"], adjusted, strict=True)]
        labels = {c.MODEL: judged, "against": others, "headline": headline}
        frames.append(rows.assign(**labels, adjusted_p=adjusted, verdict=told))
    table = pd.concat(frames, ignore_index=True)
    first = [c.MODEL, "against", "headline"]
    return table[[*first, *(name for name in table if name not in first)]]


def measure_beyond_accuracy(
    recommendations: pd.DataFrame,
    protocol: EvalProtocol,
    counted: Matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    content: Content,
    k: int,
) -> pd.DataFrame:
    """Measure diversity, surprise, calibration and parity of every model's mixed test lists.

    Args:
        recommendations: as written by :func:`list_known_users`.
        stage: the rules of test lists.
        counted: positives (U, n_items).
        users: the user table.
        items: the item table.
        content: embeddings, categories and popularity of items.
        k: cut-off.
    """
    user_bucket, frames = users[c.BUCKET].to_numpy(dtype=str), []
    mixed = recommendations[(recommendations[c.SPLIT] == c.TEST) & (recommendations[c.CANDIDATES] == c.MIXED)]
    for model, frame in groups(mixed, [c.MODEL]):
        who, lists = to_lists(frame, users[c.USER], items[c.ITEM], k)
        wanted = positives(counted, protocol, c.MIXED)[who]
        past, seen, allowed = protocol.histories.history[who], protocol.seen[who], protocol.candidates[c.MIXED]
        rows = beyond_accuracy_rows(lists, wanted, past, seen, allowed, user_bucket[who], content, k)
        frames.append(rows.assign(**{c.MODEL: model[0], c.SPLIT: c.TEST, c.CANDIDATES: c.MIXED}))
    return pd.concat(frames, ignore_index=True)


def measure_new_users(
    recommendations: pd.DataFrame,
    protocol: NewUserProtocol,
    users: pd.DataFrame,
    items: pd.DataFrame,
    options: ListOptions,
) -> pd.DataFrame:
    """Measure new users' lists against what was not revealed; user_bucket is new_0, new_1 …"""
    item_bucket, row_of = items[c.BUCKET].to_numpy(dtype=str), IdMap(protocol.users)
    frames = []
    for (model, n), frame in groups(recommendations, [c.MODEL, N_HISTORY]):
        user_index, lists = to_lists(frame, users[c.USER], items[c.ITEM], max(options.k))
        positives_of = protocol.hidden(int(n))[row_of.indices(user_index)]
        one_bucket: NDArray[np.str_] = np.full(len(user_index), f"new_{n}")
        rows = accuracy_rows(lists, positives_of, item_bucket, one_bucket, options.k)
        rows["user_bucket"] = f"new_{n}"
        frames.append(rows.assign(**{c.MODEL: model, c.SPLIT: c.TEST, c.CANDIDATES: c.WARM}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def measure_clicks(
    models: dict[str, ClickModel],
    protocol: EvalProtocol,
    counted: Matrix,
    users: pd.DataFrame,
    horizon: float,
    block_users: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure click probabilities over every cell that a mixed list could show a user that is not new.

    Args:
        models: by name.
        stage: histories, and what lists leave out.
        counted: positives (U, n_items).
        users: the user table.
        horizon: the window of ``counted``, in windows of what the head was fitted on.
        block_users: users at a time.

    Returns:
        Columns model, auc, log_loss, ece, cells, clicks; and the reliability curve: model, group, predicted, clicked.
    """
    known = np.flatnonzero((users[c.BUCKET] != "new") & (np.diff(counted.indptr) > 0))
    rows, curves = [], []
    for name, model in models.items():
        tally = Tally()
        for start in range(0, len(known), block_users):
            block = known[start : start + block_users]
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
