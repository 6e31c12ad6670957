"""Histories in several domains, for sources that read an order: each domain's rows are a history of their own."""

from dataclasses import replace
from typing import TypeGuard

import numpy as np
from scipy import sparse

from tailor.data.domains import domain_masks_of
from tailor.data.interactions import keep_items
from tailor.data.user_texts import UserTexts
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Contexts, Csr, FittedModel, Floats, Indices, Mask, Query, TrainSet


def is_apart(domains: Indices | None, name: str) -> TypeGuard[Indices]:
    """Tell whether there are domains that a source is fitted on, and asked, one by one: it is where it reads an order.

    Args:
        domains: number of each item's domain (n_items,); None: there is one catalogue.
        name: of the source.
    """
    return domains is not None and "order" in SOURCES[name].reads


def new_to_domains(history: Csr, domains: Indices) -> Mask:
    """Mark the users who have nothing of a domain in their history (B, D).

    Args:
        history: (B, n_items).
        domains: number of each item's domain (n_items,), -1: none.
    """
    cells = history.tocoo()
    of_cell = domains[cells.col]
    new = np.ones((history.shape[0], int(domains.max(initial=-1)) + 1), dtype=bool)
    new[cells.row[of_cell >= 0], of_cell[of_cell >= 0]] = False
    return new


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
    masks = domain_masks_of(domains, len(domains))
    rows = [np.flatnonzero(np.diff(keep_items(data.interactions, inside).indptr) > 0) for inside in masks]

    def apart(matrix: Csr) -> Csr:
        parts = [keep_items(matrix, inside)[of_domain] for inside, of_domain in zip(masks, rows, strict=True)]
        return sparse.csr_matrix(sparse.vstack(parts, format="csr"), dtype=np.float32)

    return replace(
        data,
        interactions=apart(data.interactions),
        order=None if data.order is None else apart(data.order),
        confidence=None if data.confidence is None else apart(data.confidence),
        profiles=np.zeros((sum(map(len, rows)), 0), np.float32),
        contexts=Contexts.none(),
        user_texts=UserTexts.none(),
    )


def data_of(name: str, data: TrainSet) -> TrainSet:
    """Return what a source is fitted on: one that reads an order has a row for each user and domain.

    Args:
        name: of the source.
        data: what the hybrid is fitted on.
    """
    return rows_of_domains(data, data.domains) if is_apart(data.domains, name) else data
