"""Histories in several domains, for sources that read an order: each domain's rows are a history of their own."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from tailor.data.domains import domain_masks_of
from tailor.data.interactions import keep_items
from tailor.data.user_texts import UserTexts
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Contexts, Csr, FittedModel, Floats, Indices, Mask, Query, TrainSet


def query_of_domain(query: Query, inside: Mask) -> Query:
    """Return the same users as if they had taken nothing but the items of one domain (n_items,)."""
    return replace(
        query,
        history=keep_items(query.history, inside),
        order=_cells_of(query.order, inside),
        confidence=_cells_of(query.confidence, inside),
        memo={},
    )


def _cells_of(matrix: Csr | None, inside: Mask) -> Csr | None:
    return None if matrix is None else keep_items(matrix, inside)


def score_by_domain(model: FittedModel, query: Query, domains: Indices) -> Floats:
    """Score the items of each domain for the history in that domain (B, n_items).

    Args:
        model: what scores.
        query: histories in all domains.
        domains: number of each item's domain (n_items,); items of none, -1, are scored for the whole history.
    """
    scores = np.zeros((len(query), len(domains)), np.float32)
    if (domains < 0).any():
        scores[:, domains < 0] = model.score(query)[:, domains < 0]
    for inside in domain_masks_of(domains, len(domains)):
        scores[:, inside] = model.score(query_of_domain(query, inside))[:, inside]
    return scores


def rows_of_domains(data: TrainSet, domains: Indices) -> TrainSet:
    """Return a train set with a row for each user and domain that the user has rows in: orders never cross domains.

    Profiles, contexts and users' own texts stay out: what reads an order reads none of them.
    """
    history, order, confidence = [], [], []
    for inside in domain_masks_of(domains, len(domains)):
        of_domain = keep_items(data.interactions, inside)
        rows = np.flatnonzero(np.diff(of_domain.indptr) > 0)
        history.append(of_domain[rows])
        order.append(None if data.order is None else keep_items(data.order, inside)[rows])
        confidence.append(None if data.confidence is None else keep_items(data.confidence, inside)[rows])
    n_rows = sum(part.shape[0] for part in history)
    return replace(
        data,
        interactions=_stacked(history),
        order=_stacked([part for part in order if part is not None]) if data.order is not None else None,
        confidence=_stacked([part for part in confidence if part is not None]) if data.confidence is not None else None,
        profiles=np.zeros((n_rows, 0), np.float32),
        contexts=Contexts.none(),
        user_texts=UserTexts.none(),
    )


def data_of(name: str, data: TrainSet) -> TrainSet:
    """Return what a source is fitted on: one that reads an order has a row for each user and domain.

    Args:
        name: of the source.
        data: what the hybrid is fitted on.
    """
    if data.domains is None or "order" not in SOURCES[name].reads:
        return data
    return rows_of_domains(data, data.domains)


def _stacked(parts: list[Csr]) -> Csr:
    return sparse.csr_matrix(sparse.vstack(parts, format="csr"), dtype=np.float32)
