"""The split: 7:1:2, or the last two rows, in each user's order; cold items, new users, pseudo-cold items held out.

Everything is decided by seeded hashes of ids, so any row order and any engine gives the same split. Formulas:
docs/explanation/mathematics.md, "Split".
"""

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.config import SplitOptions
from tailor.data.domains import local_ids, rows_by_domain
from tailor.data.hashing import Hashes, seeded_hash
from tailor.errors import BadInputError

log = logging.getLogger(__name__)
#: Rows that a user has at least of whom leave_one_out takes any out of train.
_LEAST_ROWS = 3
#: Lengths of histories that a refusal counts users by: name, least, most.
_LENGTHS = (("1", 1, 1), ("2", 2, 2), ("3–4", 3, 4), ("5 or more", 5, np.inf))


def split_interactions(
    interactions: pd.DataFrame, options: SplitOptions, seed: int, least: float | None = None
) -> pd.Series:
    """Label each interaction by :func:`label_interactions`, and refuse what leaves too little to work with.

    Raises:
        BadInputError: see :func:`label_interactions` and :func:`refuse_too_little`; or no pair counts as a hit.
    """
    if least is not None and not (interactions[c.CONFIDENCE] >= least).any():
        raise BadInputError(
            f"No pair counts as a hit: the strongest has {interactions[c.CONFIDENCE].max():g} and a hit has at least "
            f"{least:g}. Set data_processing.events.positive to the least strength that lists are to be measured on."
        )
    labels = label_interactions(interactions, options, seed, least)
    refuse_too_little(interactions, labels, options)
    return labels


def label_interactions(
    interactions: pd.DataFrame, options: SplitOptions, seed: int, least: float | None = None
) -> pd.Series:
    """Label each interaction train, validation, test, cold, cold_unused or new_user; weak and blocked ones too.

    A ``split`` column is taken as it is. Otherwise: new users' rows are ``new_user``; of the others, rows of cold items
    are ``cold`` inside the user's test window and ``cold_unused`` before it; the rest follow the windows.

    Where pairs have a confidence, windows are made of those that count as hits, so that each user has some to be
    measured on. Others lie in the window of the hit that follows (after the last one, in its window). In the train
    window they are ``train``, or ``blocked`` where their confidence is 0; after it ``later``, which no figure and no
    history of a test knows.
    Several domains are split each as if it were alone, by the ids of its own catalogue; then, of the users in several,
    the share ``new_to_domain`` has all rows of one of these labelled ``new_user``, and ``later`` what is no hit.

    Args:
        interactions: unique (user_id, item_id) rows, optionally with timestamp (seconds), split or confidence.
        options: strategy and shares.
        seed: of the hashes.
        least: confidence that counts as a hit; None: pairs have none, and all count.

    Returns:
        Labels (str), indexed like ``interactions``.

    Raises:
        BadInputError: a given split lacks train, validation or test rows or contradicts itself, or global_time or
            leave_one_out has no timestamps.
    """
    if c.SPLIT in interactions:
        return _with_weak(_given(interactions), interactions, least)
    if c.DOMAIN not in interactions:
        return _label(interactions, options, seed, least)
    labels = pd.Series(c.TRAIN, index=interactions.index, name=c.SPLIT, dtype="str")
    for rows in rows_by_domain(interactions).values():
        labels[rows] = _label(local_ids(interactions[rows]), options, seed, least)
    hidden = _new_to_domain(interactions, options.new_to_domain, seed)
    new = pd.Series(c.NEW_USER, index=interactions.index[hidden], dtype="str")
    labels[hidden] = _with_weak(new, interactions[hidden], least)
    return labels


def _label(interactions: pd.DataFrame, options: SplitOptions, seed: int, least: float | None) -> pd.Series:
    """Label the rows of one catalogue."""
    if c.TIMESTAMP in interactions and interactions[c.TIMESTAMP].isna().all():
        interactions = interactions.drop(columns=c.TIMESTAMP)  # other domains have times
    window = _windows(interactions, options, seed, least)
    cold = interactions[c.ITEM].isin(_cold_items(interactions, options, seed))
    new = interactions[c.USER].isin(_sample_users(interactions[c.USER], options.new_users, seed))
    labels = np.select(
        [new, cold & (window == c.TEST), cold], [c.NEW_USER, c.COLD, c.COLD_UNUSED], default=window.to_numpy()
    )
    return _with_weak(pd.Series(labels, index=interactions.index, name=c.SPLIT, dtype="str"), interactions, least)


def _with_weak(labels: pd.Series, interactions: pd.DataFrame, least: float | None) -> pd.Series:
    """Label pairs that are no hits: they are learnt from or blocked in the train window, and ``later`` after it."""
    if least is None:
        return labels
    confidence, early = interactions[c.CONFIDENCE], labels.isin([c.TRAIN, c.COLD_UNUSED])
    labels = labels.mask((confidence < least) & ~early, c.LATER)
    return labels.mask((confidence <= 0) & early, c.BLOCKED)


def refuse_too_little(interactions: pd.DataFrame, labels: pd.Series, options: SplitOptions) -> None:
    """Refuse a split that some later step could do nothing with.

    Args:
        interactions: with user_id and item_id.
        labels: of the same rows.
        options: strategy, shares, and the fraction of items in each pseudo-cold sample.

    Raises:
        BadInputError: there are no rows to fit, choose or measure on, or fewer than 2 users or 4 items in train (2
            without pseudo-cold samples), or too few items in a pseudo-cold sample or outside both; says what there is,
            and what would help.
    """
    train, lack = interactions[labels == c.TRAIN], _lack_of_rows(labels)
    helps = f" What helps: {_remedies(lack, interactions, options)}." if lack else ""
    lack = lack or _lack_of_users(train[c.USER].nunique())
    lack = lack or _lack_of_items(train[c.ITEM].nunique(), options.pseudo_cold)
    if lack:
        rows = ", ".join(f"{int((labels == name).sum()):,} {name}" for name in c.SPLITS)
        raise BadInputError(
            f"Too little data: {lack}. The rows are {rows}. Of the users, {_users_by_length(interactions)}.{helps}"
        )


def pseudo_cold(n_train: pd.Series, fraction: float, seed: int) -> pd.Series:
    """Label warm items A, B or none: two disjoint popularity-stratified samples.

    Args:
        n_train: train interactions per item, indexed by item_id.
        fraction: size of each sample as a fraction of the items with train interactions; 0: no item is in any.

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


def _lack_of_rows(labels: pd.Series) -> str:
    """Say which of train, validation and test is empty; nothing where none is."""
    empty = _empty_windows(labels)
    return f"no row falls into {' or '.join(empty)}" if empty else ""


def _empty_windows(labels: pd.Series) -> list[str]:
    return [name for name in (c.TRAIN, c.VALIDATION, c.TEST) if not (labels == name).any()]


def _lack_of_users(n_users: int) -> str:
    return f"the users with train rows are {n_users}, at least 2 are needed" if n_users < 2 else ""


def _lack_of_items(n_items: int, fraction: float) -> str:
    """Say what keeps items with train rows from filling both pseudo-cold samples and leaving 2 to learn from."""
    if not fraction:
        return f"the items with train rows are {n_items}, at least 2 are needed" if n_items < 2 else ""
    n_sampled = round(min(1.0, 2 * fraction) * n_items)
    if n_items < 4:
        return f"the items with train rows are {n_items}, at least 4 are needed (2 to fit on, 1 in each of A and B)"
    if n_sampled < 2:
        least = np.ceil(100 / n_items) / 100
        return (
            f"data_processing.split.pseudo_cold = {fraction:g} of the {n_items} items with train rows fills no two "
            f"samples; {least:g} would"
        )
    if n_items - n_sampled < 2:
        return (
            f"data_processing.split.pseudo_cold = {fraction:g} leaves {n_items - n_sampled} of the {n_items} items "
            "with train rows to fit on; a smaller one would leave more"
        )
    return ""


def _users_by_length(interactions: pd.DataFrame) -> str:
    """Count users by the number of their rows, in words."""
    sizes = interactions.groupby(c.USER).size()
    counts = {name: int(sizes.between(least, most).sum()) for name, least, most in _LENGTHS}
    return ", ".join(f"{count:,} have {name}" for name, count in counts.items())


def _remedies(lack: str, interactions: pd.DataFrame, options: SplitOptions) -> str:
    """Say what would bring rows into every window."""
    if c.SPLIT in interactions:
        return "other labels in the 'split' column, or no column mapped to it"
    remedies = ["more rows per user"]
    if options.strategy != "global_time":
        timed = "" if c.TIMESTAMP in interactions else " (with a column mapped to 'timestamp')"
        remedies.append(f"data_processing.split.strategy: global_time{timed}, which needs no long histories")
    if options.strategy != "leave_one_out":
        remedies.append(f"a smaller data_processing.split.train than {options.train:g}")
        if c.VALIDATION in lack:
            remedies.append(f"a larger data_processing.split.validation than {options.validation:g}")
    if options.cold_items or options.new_users:
        remedies.append("smaller cold_items and new_users")
    return ", or ".join(remedies)


def _given(interactions: pd.DataFrame) -> pd.Series:
    labels = interactions[c.SPLIT]
    missing = _empty_windows(labels)
    if missing:
        raise BadInputError(
            f"The 'split' column of the interactions has no rows labelled {', '.join(missing)}: a fixed split needs "
            "train, validation and test (choices are made on validation). Relabel some rows, or unmap the column."
        )
    _refuse_both(interactions, c.ITEM, (c.COLD, c.COLD_UNUSED), (c.TRAIN, c.VALIDATION))
    others = tuple(name for name in c.SPLITS if name != c.NEW_USER)
    for rows in rows_by_domain(interactions).values():
        _refuse_both(interactions[rows], c.USER, (c.NEW_USER,), others)
    return labels.astype("str")


def _refuse_both(interactions: pd.DataFrame, key: str, held_out: tuple[str, ...], others: tuple[str, ...]) -> None:
    """Refuse a user or item that is held out as a whole and has other rows too."""
    labels = interactions[c.SPLIT]
    held = interactions.loc[labels.isin(held_out), key]
    both = interactions[labels.isin(others) & interactions[key].isin(held)]
    if len(both):
        raise BadInputError(
            f"The 'split' column labels some rows of {key} '{both[key].iloc[0]}' {' or '.join(held_out)} and others "
            f"{both[c.SPLIT].iloc[0]} ({both[key].nunique()} such in all): what is held out is so in all its rows. "
            "Relabel them, or unmap the column."
        )


def _windows(interactions: pd.DataFrame, options: SplitOptions, seed: int, least: float | None = None) -> pd.Series:
    """Place every row in its user's (or everybody's) train, validation or test window."""
    hashes = seeded_hash(seed, interactions[c.USER], interactions[c.ITEM])
    if options.strategy in ("global_time", "leave_one_out") and c.TIMESTAMP not in interactions:
        raise BadInputError(
            f"data_processing.split.strategy is {options.strategy}, but no column is mapped to 'timestamp'. "
            "Map one in data_processing.columns.interactions, or use per_user."
        )
    time = pd.Series(0.0, index=interactions.index)
    if c.TIMESTAMP in interactions and options.strategy != "random":
        time = interactions[c.TIMESTAMP]
    every = pd.DataFrame({"user": interactions[c.USER], "time": time, "hash": hashes}).sort_values(["time", "hash"])
    order = every if least is None else every[interactions[c.CONFIDENCE].reindex(every.index) >= least]
    if options.strategy == "global_time":
        rank, size = pd.Series(np.arange(len(order)), index=order.index), pd.Series(len(order), index=order.index)
    else:
        groups = order.groupby("user", sort=False)["time"]
        rank, size = groups.cumcount(), groups.transform("size")
    window = pd.Series(window_labels(rank, size, options), index=order.index, dtype="str")
    if least is not None:
        window = _beside_hits(window.reindex(every.index), every["user"], options)
    return window.reindex(interactions.index)


def window_labels(rank: pd.Series, size: pd.Series, options: SplitOptions) -> NDArray[np.str_]:
    """Return the window of each row: train, validation or test (n,).

    Args:
        rank: places of the rows in their order, from 0 on (n,).
        size: rows of that order (n,).
        options: strategy and shares.
    """
    inside = _last_two(rank, size) if options.strategy == "leave_one_out" else _by_share(rank, size, options)
    return np.select(inside, [c.TRAIN, c.VALIDATION], c.TEST)


def _beside_hits(window: pd.Series, users: pd.Series, options: SplitOptions) -> pd.Series:
    """Fill the windows of rows that are no hits, in order: that of the next hit, else of the last, else train."""
    by = pd.Series("", index=users.index) if options.strategy == "global_time" else users
    window = window.groupby(by, sort=False).bfill()
    return window.groupby(by, sort=False).ffill().fillna(c.TRAIN)


def _by_share(rank: pd.Series, size: pd.Series, options: SplitOptions) -> list[pd.Series]:
    """Mark the rows of the train window, and those of the train or the validation window.

    The middle of the row's own slot decides: a single interaction is train, five give 3 train, 1 validation, 1 test.
    """
    position = ((rank + 0.5) / size).round(12)
    return [position < options.train, position < round(options.train + options.validation, 12)]


def _last_two(rank: pd.Series, size: pd.Series) -> list[pd.Series]:
    """Mark the rows of the train window, and those of the train or the validation window: all but the last two or one.

    Short histories are train as a whole, and counted in the log.
    """
    short, to_end = size < _LEAST_ROWS, size - 1 - rank
    n_short, n_users = int((short & (rank == 0)).sum()), int((rank == 0).sum())
    if n_short:
        log.info("leave_one_out: %d of %d users have fewer than %d rows, all train", n_short, n_users, _LEAST_ROWS)
    return [short | (to_end > 1), short | (to_end > 0)]


def _cold_items(interactions: pd.DataFrame, options: SplitOptions, seed: int) -> NDArray[np.object_]:
    timed = options.cold_strategy == "latest" and c.TIMESTAMP in interactions
    first = interactions.groupby(c.ITEM)[c.TIMESTAMP].min() if timed else None
    return choose_cold_items(interactions[c.ITEM].value_counts(), first, options, seed)


def choose_cold_items(
    counts: pd.Series, first: pd.Series | None, options: SplitOptions, seed: int
) -> NDArray[np.object_]:
    """Return the ids of the items that lose all interactions.

    Args:
        counts: interactions of each item, indexed by item_id.
        first: time of the first one of each, likewise; None: it is not known.
        options: how many, and by what.
        seed: of the hashes.

    Raises:
        BadInputError: the latest are wanted, and no times are known.
    """
    hashes = seeded_hash(seed, pd.Series(counts.index))
    if options.cold_strategy == "stratified":
        return _stratified(counts, hashes, options.cold_items)
    if first is None:
        raise BadInputError("data_processing.split.cold_strategy is latest, but no column is mapped to 'timestamp'.")
    first = first.reindex(counts.index)
    order = np.lexsort((hashes, -first.to_numpy()))
    return np.asarray(counts.index, dtype=object)[order[: round(options.cold_items * len(counts))]]


def _sample_users(users: pd.Series, fraction: float, seed: int) -> NDArray[np.object_]:
    ids = np.sort(np.asarray(users.unique(), dtype=object))
    order = np.argsort(seeded_hash(seed, ids))
    return ids[order[: round(fraction * len(ids))]]


def _new_to_domain(interactions: pd.DataFrame, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mark all rows of one domain, which a hash draws, of a fraction of the users in several."""
    pairs = interactions[[c.USER, c.DOMAIN]].drop_duplicates()
    several = pairs[pairs.duplicated(c.USER, keep=False)]
    chosen = several[several[c.USER].isin(_sample_users(several[c.USER], fraction, seed + 2))]
    hashes = pd.Series(seeded_hash(seed + 2, chosen[c.USER], chosen[c.DOMAIN]), index=chosen.index)
    drawn = chosen.loc[hashes.groupby(chosen[c.USER]).idxmin()]
    return np.asarray(pd.MultiIndex.from_frame(interactions[[c.USER, c.DOMAIN]]).isin(pd.MultiIndex.from_frame(drawn)))


def _stratified(counts: pd.Series, hashes: Hashes, fraction: float) -> NDArray[np.object_]:
    """Choose ``round(fraction * n)`` items, one from each of as many popularity strata of (nearly) equal size."""
    n_chosen = round(fraction * len(counts))
    order = np.lexsort((hashes, -counts.to_numpy()))
    ids = np.asarray(counts.index, dtype=object)[order]
    strata = np.array_split(np.arange(len(ids)), n_chosen) if n_chosen else []
    draw = np.argsort(hashes[order], kind="stable").argsort(kind="stable")
    return np.array([ids[s[draw[s].argmin()]] for s in strata], dtype=object)
