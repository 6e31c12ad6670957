"""Whom lists are made for and figures are measured on: every user, or a seeded sample that is stratified by activity.

Intervals of figures of a sample are those of its users (:mod:`tailor.data.sampling`).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.hashing import seeded_hash
from tailor.data.sampling import stratified_sample

Indices = NDArray[np.int64]
#: Bucket of the users that are outside training.
_NEW = "new"


def known_users(users: pd.DataFrame, max_users: int | None, seed: int) -> Indices:
    """Return the rows of the users that are not new, or of a sample of them that is stratified by activity.

    Args:
        users: the user table.
        max_users: size of the sample; None, or not fewer than there are: all of them.
        seed: of the sample; who is in it does not depend on the order of the table.

    Returns:
        Rows of the table, ascending.
    """
    return sample_of(users, np.flatnonzero(users[c.BUCKET] != _NEW), max_users, seed)


def new_users(users: pd.DataFrame, max_users: int | None, seed: int) -> Indices:
    """Return the rows of the new users, or of a sample of them; arguments as of :func:`known_users`."""
    return sample_of(users, np.flatnonzero(users[c.BUCKET] == _NEW), max_users, seed)


def of_sample(interactions: pd.DataFrame, users: pd.DataFrame, max_users: int | None, seed: int) -> pd.DataFrame:
    """Return the train rows of all, and the other rows of those in :func:`known_users` alone."""
    if max_users is None:
        return interactions
    ids = users[c.USER].iloc[known_users(users, max_users, seed)]
    return interactions[(interactions[c.SPLIT] == c.TRAIN) | interactions[c.USER].isin(ids)]


def state_sample(table: pd.DataFrame, max_users: int | None) -> pd.DataFrame:
    """Return a table of figures with the column max_users, where they are of at most so many users; else as it is."""
    return table if max_users is None else table.assign(max_users=max_users)


def state_validation_sample(table: pd.DataFrame, most: int | None) -> pd.DataFrame:
    """Return a table of figures with ``most`` as the max_users of validation's, where they are of so many users.

    Args:
        table: with split, and n_users where users are counted.
        most: users that validation's lists are made for, at most; None: all.
    """
    on_validation = table[c.SPLIT] == c.VALIDATION
    if most is None or "n_users" not in table or table.loc[on_validation, "n_users"].max() != most:
        return table
    known = table["max_users"] if "max_users" in table else pd.Series(pd.NA, table.index, dtype="Int64")
    return table.assign(max_users=known.astype("Int64").mask(on_validation, most))


def describe_sample(data_summary: pd.DataFrame, max_users: int | None) -> str:
    """Say of how many users figures are; nothing where they are of all.

    Args:
        data_summary: counts by what and label; those of "users by bucket" are read.
        max_users: as of :func:`known_users`.
    """
    counts = data_summary[data_summary["what"] == "users by bucket"]
    is_new = counts["label"] == _NEW
    sizes = {"known": int(counts["count"][~is_new].sum()), "new": int(counts["count"][is_new].sum())}
    if max_users is None or max(sizes.values()) <= max_users:
        return ""
    of = " and ".join(f"{min(n, max_users):,} of {n:,} {kind}" for kind, n in sizes.items() if n)
    return f"Lists and figures are of {of} users, drawn by seed and stratified by activity (evaluation.max_users)."


def sample_of(users: pd.DataFrame, rows: Indices, max_users: int | None, seed: int) -> Indices:
    """Return some rows of the user table, or a sample of them; the other arguments as of :func:`known_users`."""
    if max_users is None:
        return rows
    bucket, order = users[c.BUCKET].to_numpy(dtype=str)[rows], seeded_hash(seed, users[c.USER].iloc[rows])
    return stratified_sample(rows, bucket, order, max_users)
