"""The tables every later step works on: items with buckets, users with activity, and one sparse matrix per split."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.config import SplitOptions
from tailor.data.domains import local_ids, rows_by_domain
from tailor.data.hashing import seeded_hash
from tailor.data.split import pseudo_cold
from tailor.types import AnyArray

#: Share of the train interactions that the head holds, unless ``data_processing.head_share`` says otherwise.
HEAD_SHARE = 0.8


def head_items(n_train: AnyArray, hashes: NDArray[np.uint64], head_share: float) -> NDArray[np.bool_]:
    """Mark the most popular items that together hold ``head_share`` of the train interactions.

    The item that crosses the border belongs to the head; ties in popularity are ordered by ``hashes``.

    Args:
        n_train: train interactions per item, shape (n_items,).
        hashes: tie-breakers, shape (n_items,).
        head_share: share of all train interactions, in (0, 1).

    Returns:
        Mask of shape (n_items,).
    """
    order = np.lexsort((hashes, -n_train))
    before = np.cumsum(n_train[order]) - n_train[order]
    head = np.zeros(len(n_train), dtype=bool)
    head[order] = (before < head_share * n_train.sum()) & (n_train[order] > 0)
    return head


def tail_items(counts: AnyArray, items: pd.DataFrame, head_share: float, seed: int) -> NDArray[np.bool_]:
    """Mark the items with interactions that are outside the head of their domain, (n_items,).

    Args:
        counts: interactions per item (n_items,).
        items: with item_id, and domain where there are several.
        head_share: share of the interactions of a domain that its head holds.
        seed: of ties between equally popular items.
    """
    return np.asarray((counts > 0) & ~_head_of_domains(counts, items, head_share, seed))


def _head_of_domains(counts: AnyArray, items: pd.DataFrame, head_share: float, seed: int) -> NDArray[np.bool_]:
    """Mark the head of each domain: popularities of different ones are not compared."""
    head, hashes = np.zeros(len(items), dtype=bool), seeded_hash(seed, local_ids(items)[c.ITEM])
    for rows in rows_by_domain(items).values():
        head[rows] = head_items(counts[rows], hashes[rows], head_share)
    return head


def _pseudo_cold_of_domains(n_train: AnyArray, items: pd.DataFrame, fraction: float, seed: int) -> NDArray[np.object_]:
    labels, ids = np.full(len(items), "none", dtype=object), local_ids(items)[c.ITEM]
    for rows in rows_by_domain(items).values():
        labels[rows] = pseudo_cold(pd.Series(n_train[rows], index=ids[rows]), fraction, seed).to_numpy()
    return labels


def item_table(
    items: pd.DataFrame, interactions: pd.DataFrame, options: SplitOptions, head_share: float, seed: int
) -> pd.DataFrame:
    """Add n_train, bucket (head, tail, cold, unseen) and pseudo_cold (A, B, none) to the catalogue.

    The row number of an item in this table is its internal id everywhere else. Popularity is counted on train only.
    Each domain has a head, a tail and pseudo-cold samples of its own, as if it were alone.

    Args:
        items: one row per item, with item_id, and domain where there are several.
        interactions: with item_id and split.
    """
    counts = interactions.loc[interactions[c.SPLIT] == c.TRAIN, c.ITEM].value_counts()
    cold = interactions.loc[interactions[c.SPLIT].isin([c.COLD, c.COLD_UNUSED]), c.ITEM]
    return describe_items(items, counts, cold, options, head_share, seed)


def describe_items(
    items: pd.DataFrame, counts: pd.Series, cold_ids: pd.Series, options: SplitOptions, head_share: float, seed: int
) -> pd.DataFrame:
    """Do what :func:`item_table` does, from the train interactions of each item and the ids of the cold ones.

    Args:
        items: one row per item, with item_id, and domain where there are several.
        counts: train interactions, indexed by item_id; items without any may be missing.
        cold_ids: of the items that lost all interactions.
        options: the pseudo-cold fraction.
        head_share: share of the train interactions that the head holds.
        seed: of ties.
    """
    n_train = items[c.ITEM].map(counts).fillna(0).to_numpy(dtype=np.int64)
    cold = items[c.ITEM].isin(cold_ids).to_numpy()
    head = _head_of_domains(n_train, items, head_share, seed)
    bucket = np.select([cold, head, n_train > 0], [c.COLD, c.HEAD, c.TAIL], c.UNSEEN)
    labels = _pseudo_cold_of_domains(n_train, items, options.pseudo_cold, seed)
    added = dict(zip(c.ADDED_TO_ITEMS, (n_train, bucket, labels), strict=True))
    return items.assign(**added).astype({c.BUCKET: "str", c.PSEUDO_COLD: "str"})


def user_table(users: pd.DataFrame, interactions: pd.DataFrame) -> pd.DataFrame:
    """List every user of the interactions with n_train, bucket (q1 least active … q4, new) and their own columns.

    The row number of a user in this table is the user's internal id everywhere else. Who is new to one domain and known
    from another is not new; what is too weak for a hit, or blocked, says nothing of whether somebody is new.
    """
    ids = pd.DataFrame({c.USER: np.sort(np.asarray(interactions[c.USER].unique(), dtype=object))}).astype("str")
    counts = interactions.loc[interactions[c.SPLIT] == c.TRAIN, c.USER].value_counts()
    n_train = ids[c.USER].map(counts).fillna(0).astype("int64")
    held_out = interactions[c.SPLIT] == c.NEW_USER
    known = ~interactions[c.SPLIT].isin([c.NEW_USER, c.LATER, c.BLOCKED])
    new = ids[c.USER].isin(interactions.loc[held_out, c.USER]) & ~ids[c.USER].isin(interactions.loc[known, c.USER])
    ranks = n_train[~new].rank(method="first", pct=True)
    quartile = (ranks * 4).apply(np.ceil).clip(1, 4).astype("int64").map("q{}".format).reindex(ids.index).fillna("new")
    added: dict[str, pd.Series] = dict(zip(c.ADDED_TO_USERS, (n_train, quartile.astype("str")), strict=True))
    return ids.assign(**added).merge(users, on=c.USER, how="left")
