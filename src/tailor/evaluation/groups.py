"""Figures by group of users: by taste for popular items, by profile column; gaps to the worst group, quantiles.

A mean over all users can rise while a group falls. Groups by taste are those of Abdollahpouri, Mansoury, Burke &
Mobasher, "The Unfairness of Popularity Bias in Recommendation" (RMSE workshop 2019) and "User-centered Evaluation of
Popularity Bias in Recommender Systems" (UMAP 2021): the 20 % of users with the smallest share of popular items in their
histories, the 60 % between, the 20 % with the largest.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.hashing import seeded_hash
from tailor.data.side_features import FeatureEncoder
from tailor.evaluation.config import GroupOptions
from tailor.evaluation.headlines import HYBRIDS

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]
Labels = NDArray[np.object_]
TASTE, NICHE, DIVERSE, BLOCKBUSTER = "taste", "niche", "mixed", "blockbuster"
#: Shares of the users below which taste is niche, and from which it is blockbuster.
CUTS = (0.2, 0.8)
#: Headlines that are compared by group: everything is a candidate; only hits among tail items count.
HEADLINES = ("mixed", "tail")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: The group of users of whom a column says nothing, or a value that too few users have to be told apart.
UNKNOWN = "unknown"
FIGURE_COLUMNS = ["grouping", "group", "headline", c.MODEL, "n_users", "value", "low", "high"]
GAP_COLUMNS = ["grouping", "headline", c.MODEL, "best", "worst", "gap", "low", "high", "n_groups"]
QUANTILE_COLUMNS = ["headline", c.MODEL, "n_users", "mean", *(f"q{int(100 * q):02d}" for q in QUANTILES)]
#: Values drawn at a time.
_BUDGET = 4_000_000
#: Of a mean: a 95 % percentile interval.
_INTERVAL = (0.025, 0.975)
Values = Mapping[str, Mapping[str, Floats]]


def taste_of(train: sparse.csr_matrix, head: NDArray[np.bool_], user_ids: pd.Series) -> Labels:
    """Return the taste of each user (U,): niche, mixed or blockbuster; None of users without train rows.

    Users are ordered by the share of head items in their train history, equal ones by a hash of the id, and cut at
    fixed shares of the users.

    Args:
        train: 0/1 (U, n_items).
        head: the popular items (n_items,).
        user_ids: ids (U,).

    Example:
        >>> train = sparse.csr_matrix(np.eye(5)[[0, 0, 0, 1, 1]])
        >>> sorted(taste_of(train, np.eye(5, dtype=bool)[1], pd.Series(list("abcde"))).tolist())
        ['blockbuster', 'mixed', 'mixed', 'mixed', 'niche']
    """
    lengths = np.diff(train.indptr)
    share = train[:, np.flatnonzero(head)].getnnz(axis=1) / np.maximum(lengths, 1)
    known = np.flatnonzero(lengths > 0)
    order = known[np.lexsort((seeded_hash(0, user_ids.iloc[known]), share[known]))]
    first, last = (round(cut * len(order)) for cut in CUTS)
    taste = np.full(len(lengths), None, dtype=object)
    taste[order[:first]], taste[order[first:last]], taste[order[last:]] = NICHE, DIVERSE, BLOCKBUSTER
    return taste


def profiles_of(users: pd.DataFrame, encoder: FeatureEncoder) -> dict[str, Labels]:
    """Return the group of each user (U,) by profile column: its value, or the interval of a number.

    Args:
        users: the user table.
        encoder: of profiles, fitted on train rows.
    """
    absent = pd.Series([None] * len(users), dtype=object)
    groups = {}
    for column in encoder.columns:
        labels = np.array([*column.values, UNKNOWN], dtype=object)  # noqa: PD011  (of no pandas object)
        groups[column.name] = labels[column.codes(users.get(column.name, absent))]
    return groups


def pool_small(labels: Labels, counted: NDArray[np.bool_], least: int) -> Labels:
    """Return labels in which groups of fewer than ``least`` users are one, named by how many groups that were.

    Users in a pool that is still too small have no group: figures of a handful of people are about these people.

    Args:
        labels: group per user (U,), None of users without one.
        counted: users with a value (U,).
        least: users of a group.
    """
    counts = pd.Series(labels[counted], dtype=object).value_counts()
    small, n_small = counts[counts < least], int(counts[counts < least].sum())
    pool = f"{len(small)} others" if n_small >= least else None
    if len(small) and pool is None:
        log.info("%d users in %d groups of fewer than %d have no figures by group", n_small, len(small), least)
    group_of = {label: label for label in counts.index} | dict.fromkeys(small.index, pool)
    pooled = np.empty(len(labels), dtype=object)
    pooled[:] = [group_of.get(label) for label in labels]
    return pooled


@dataclass(frozen=True)
class GroupFigures:
    """What was measured by group."""

    figures: pd.DataFrame
    """Mean of each group: columns :data:`FIGURE_COLUMNS`."""
    gaps: pd.DataFrame
    """From the best group to the worst: columns :data:`GAP_COLUMNS`."""
    quantiles: pd.DataFrame
    """Over users, for every model: columns :data:`QUANTILE_COLUMNS`."""


def measure_groups(
    values: Values, groups: Mapping[str, Labels], model: str, options: GroupOptions, seed: int
) -> GroupFigures:
    """Measure a model and the best baseline by group, and all models over users.

    The interval of a gap is of the two groups that are best and worst here, users drawn within each; it is not
    corrected for their choice, nor for the number of groupings.

    Args:
        values: per headline and model one value per user (U,), NaN where there is none, as of
            :func:`tailor.evaluation.measure.headline_values`.
        groups: group per user (U,) by grouping, None of users without one.
        model: the registered one.
        options: least size of a group, resamples.
        seed: of the resampling.
    """
    figures, gaps, quantiles = [], [], []
    for headline, by_model in values.items():
        quantiles += [_quantiles(headline, name, of_users) for name, of_users in by_model.items()]
        for name in _compared(by_model, model):
            for grouping, labels in groups.items():
                counted = np.isfinite(by_model[name])
                pooled = pool_small(labels, counted, options.least_users)
                key = {"grouping": grouping, "headline": headline, c.MODEL: name}
                means = _means_by_group(by_model[name], pooled, options.resamples, seed)
                figures += [key | {"group": group} | of_group.row() for group, of_group in means.items()]
                gaps += [key | _gap(means)] if len(means) > 1 else []
    return GroupFigures(
        pd.DataFrame(figures, columns=FIGURE_COLUMNS),
        pd.DataFrame(gaps, columns=GAP_COLUMNS),
        pd.DataFrame(quantiles, columns=QUANTILE_COLUMNS),
    )


def figures_of_gaps(gaps: pd.DataFrame, model: str) -> dict[str, float]:
    """Return the gaps of one model by name, for the run: ``group_gap.taste.tail``."""
    rows = gaps[gaps[c.MODEL] == model].to_dict(orient="records")
    names = [re.sub(r"[^\w.-]", "_", f"group_gap.{row['grouping']}.{row['headline']}") for row in rows]
    return {name: float(row["gap"]) for name, row in zip(names, rows, strict=True)}


@dataclass(frozen=True)
class _Mean:
    """Mean of a group, and the means of resamples of its users."""

    n_users: int
    value: float
    resampled: Floats

    def row(self) -> dict[str, float]:
        low, high = np.quantile(self.resampled, _INTERVAL)
        return {"n_users": self.n_users, "value": self.value, "low": float(low), "high": float(high)}


def _compared(by_model: Mapping[str, Floats], model: str) -> list[str]:
    """Return the model and the baseline with the best mean, of those that are there."""
    baselines = {
        name: float(np.nanmean(of_users))
        for name, of_users in by_model.items()
        if name not in HYBRIDS and np.isfinite(of_users).any()
    }
    best = [max(baselines, key=lambda name: baselines[name])] if baselines else []
    return [name for name in [model, *best] if name in by_model and np.isfinite(by_model[name]).any()]


def _means_by_group(values: Floats, labels: Labels, resamples: int, seed: int) -> dict[str, _Mean]:
    """Return the mean of each group, by name; the same seed draws the same users for every model."""
    means = {}
    for place, group in enumerate(sorted({label for label in labels if label is not None})):
        members = values[(labels == group) & np.isfinite(values)]
        rng = np.random.default_rng([seed, place])
        block = max(1, _BUDGET // len(members))
        drawn = [
            members[rng.integers(0, len(members), (min(block, resamples - start), len(members)))].mean(axis=1)
            for start in range(0, resamples, block)
        ]
        means[group] = _Mean(len(members), float(members.mean()), np.concatenate(drawn))
    return means


def _gap(means: Mapping[str, _Mean]) -> dict[str, object]:
    best, worst = (choose(means, key=lambda group: means[group].value) for choose in (max, min))
    gap = means[best].value - means[worst].value
    low, high = np.quantile(means[best].resampled - means[worst].resampled, _INTERVAL)
    interval = {"gap": gap, "low": float(low), "high": float(high)}
    return {"best": best, "worst": worst, "n_groups": len(means)} | interval


def _quantiles(headline: str, model: str, values: Floats) -> dict[str, object]:
    known = values[np.isfinite(values)]
    row = {"headline": headline, c.MODEL: model, "n_users": len(known)}
    if not len(known):
        return row
    names = QUANTILE_COLUMNS[-len(QUANTILES) :]
    of_users = dict(zip(names, np.quantile(known, QUANTILES).tolist(), strict=True))
    return row | {"mean": float(known.mean())} | of_users
