"""The split: 7:1:2 in each user's order, with cold items, new users and pseudo-cold items held out.

Everything is decided by seeded hashes of ids, so any row order and any engine gives the same split. Formulas:
docs/explanation/mathematics.md, "Split".
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.config import SplitOptions
from tailor.data.hashing import Hashes, seeded_hash
from tailor.errors import BadInputError


def split_interactions(interactions: pd.DataFrame, options: SplitOptions, seed: int) -> pd.Series:
    """Label each interaction train, validation, test, cold, cold_unused or new_user.

    A ``split`` column is taken as it is. Otherwise: new users' rows are ``new_user``; of the others, rows of cold items
    are ``cold`` inside the user's test window and ``cold_unused`` before it; the rest follow the windows.

    Args:
        interactions: unique (user_id, item_id) rows, optionally with timestamp (seconds) or split.

    Returns:
        Labels (str), indexed like ``interactions``.

    Raises:
        BadInputError: a given split lacks train, validation or test rows, or global_time has no timestamps.
    """
    if c.SPLIT in interactions:
        return _given(interactions[c.SPLIT])
    window = _windows(interactions, options, seed)
    cold = interactions[c.ITEM].isin(_cold_items(interactions, options, seed))
    new = interactions[c.USER].isin(_sample_users(interactions[c.USER], options.new_users, seed))
    labels = np.select(
        [new, cold & (window == c.TEST), cold], [c.NEW_USER, c.COLD, c.COLD_UNUSED], default=window.to_numpy()
    )
    return pd.Series(labels, index=interactions.index, name=c.SPLIT, dtype="str")


def pseudo_cold(n_train: pd.Series, fraction: float, seed: int) -> pd.Series:
    """Label warm items A, B or none: two disjoint popularity-stratified samples.

    Args:
        n_train: train interactions per item, indexed by item_id.
        fraction: size of each sample as a fraction of the items with train interactions.

    Returns:
        Labels indexed like ``n_train``.
    """
    warm = n_train[n_train > 0]
    ids = pd.Series(warm.index, index=warm.index)
    chosen = _stratified(warm, seeded_hash(seed + 1, ids), min(1.0, 2 * fraction))
    labels = pd.Series("none", index=n_train.index, dtype="str")
    labels.loc[chosen[0::2].tolist()] = "A"
    labels.loc[chosen[1::2].tolist()] = "B"
    return labels


def _given(labels: pd.Series) -> pd.Series:
    missing = [name for name in (c.TRAIN, c.VALIDATION, c.TEST) if not (labels == name).any()]
    if missing:
        raise BadInputError(
            f"The 'split' column of the interactions has no rows labelled {', '.join(missing)}: a fixed split needs "
            "train, validation and test (choices are made on validation). Relabel some rows, or unmap the column."
        )
    return labels.astype("str")


def _windows(interactions: pd.DataFrame, options: SplitOptions, seed: int) -> pd.Series:
    """Place every row in its user's (or everybody's) train, validation or test window."""
    hashes = seeded_hash(seed, interactions[c.USER], interactions[c.ITEM])
    if options.strategy == "global_time" and c.TIMESTAMP not in interactions:
        raise BadInputError(
            "data_processing.split.strategy is global_time, but no column is mapped to 'timestamp'. "
            "Map one in data_processing.columns.interactions, or use per_user."
        )
    time = pd.Series(0.0, index=interactions.index)
    if c.TIMESTAMP in interactions and options.strategy != "random":
        time = interactions[c.TIMESTAMP]
    order = pd.DataFrame({"user": interactions[c.USER], "time": time, "hash": hashes}).sort_values(["time", "hash"])
    if options.strategy == "global_time":
        rank, size = pd.Series(np.arange(len(order)), index=order.index), pd.Series(len(order), index=order.index)
    else:
        groups = order.groupby("user", sort=False)["time"]
        rank, size = groups.cumcount(), groups.transform("size")
    # The middle of the row's own slot decides: a single interaction is train, five give 3 train, 1 validation, 1 test.
    position = ((rank + 0.5) / size).round(12)
    bounds = [position < options.train, position < round(options.train + options.validation, 12)]
    window = pd.Series(np.select(bounds, [c.TRAIN, c.VALIDATION], c.TEST), index=order.index, dtype="str")
    return window.reindex(interactions.index)


def _cold_items(interactions: pd.DataFrame, options: SplitOptions, seed: int) -> NDArray[np.object_]:
    counts = interactions[c.ITEM].value_counts()
    hashes = seeded_hash(seed, pd.Series(counts.index))
    if options.cold_strategy == "stratified":
        return _stratified(counts, hashes, options.cold_items)
    if c.TIMESTAMP not in interactions:
        raise BadInputError("data_processing.split.cold_strategy is latest, but no column is mapped to 'timestamp'.")
    first = interactions.groupby(c.ITEM)[c.TIMESTAMP].min().reindex(counts.index)
    order = np.lexsort((hashes, -first.to_numpy()))
    return np.asarray(counts.index, dtype=object)[order[: round(options.cold_items * len(counts))]]


def _sample_users(users: pd.Series, fraction: float, seed: int) -> NDArray[np.object_]:
    ids = np.sort(np.asarray(users.unique(), dtype=object))
    order = np.argsort(seeded_hash(seed, ids))
    return ids[order[: round(fraction * len(ids))]]


def _stratified(counts: pd.Series, hashes: Hashes, fraction: float) -> NDArray[np.object_]:
    """Choose ``round(fraction * n)`` items, one from each of as many popularity strata of (nearly) equal size."""
    n_chosen = round(fraction * len(counts))
    order = np.lexsort((hashes, -counts.to_numpy()))
    ids = np.asarray(counts.index, dtype=object)[order]
    strata = np.array_split(np.arange(len(ids)), n_chosen) if n_chosen else []
    draw = np.argsort(hashes[order], kind="stable").argsort(kind="stable")
    return np.array([ids[s[draw[s].argmin()]] for s in strata], dtype=object)
