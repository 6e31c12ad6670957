"""The same recipe judged at several dates of one catalogue: rolling-origin evaluation.

At each date rows after it do not exist. Of the others the last window is test, the one before it validation, the rest
train; the test windows of successive dates follow each other without a gap (Tashman 2000, "Out-of-sample tests of
forecasting accuracy"). Users are compared who have a history when the test window begins.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import sparse

from tailor import columns as c
from tailor.config import Count, Options
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import bucket_items, keep_items
from tailor.data.until import LATER, as_date, cutoff
from tailor.errors import BadInputError
from tailor.evaluation.measure import mean_of_known
from tailor.evaluation.protocol import EvalProtocol
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import FittedModel
from tailor.models.listing import recommend
from tailor.types import JsonObject

#: The hybrid as it would be registered, and with its boosts off.
HYBRID, BOOSTS_OFF = "hybrid_frozen", "hybrid_frozen_boosts_off"
#: NDCG of known users: warm lists, the tail in them, lists of held-out cold items, lists of all items.
FIGURES = (c.WARM, c.TAIL, c.COLD, c.MIXED)
Values = NDArray[np.float64]
Matrix = sparse.csr_matrix


class BacktestOptions(Options):
    """Which dates, and what is measured there."""

    dates: Count = 4
    """Dates; the last one is the time of the last row."""
    window: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    """Share of the catalogue's rows between two dates: the test window, and the validation window before it."""
    baselines: list[str] = ["popular", "ease", "transition_knn", "slit"]
    """What the hybrid is compared with."""
    leave_out: list[str] = []
    """Sources of the hybrid that it is measured without."""
    k: Count = 20
    """Length of lists."""

    @model_validator(mode="after")
    def _leaves_rows_to_fit(self) -> Self:
        if not self.baselines:
            raise ValueError("baselines is empty: name at least one model to compare with")
        if (self.dates + 1) * self.window >= 1.0:
            raise ValueError(
                f"{self.dates} dates with windows of {self.window:g} leave the first one no train row: "
                "(dates + 1) x window must be below 1"
            )
        return self


@dataclass(frozen=True)
class Windows:
    """When the windows of one date end, in seconds since 1970."""

    train: float
    validation: float
    test: float
    """The date: rows after it do not exist."""

    def shares(self, times: pd.Series) -> dict[str, float]:
        """Return the shares of a split that has exactly these windows.

        Args:
            times: of the rows that exist at the date, in seconds.

        Raises:
            BadInputError: a window has no row.
        """
        inside = [int((times <= end).sum()) for end in (self.train, self.validation, self.test)]
        sizes = np.diff([0, *inside])
        if not sizes.all():
            train, validation, test = sizes.tolist()
            raise BadInputError(
                f"At the date {as_date(self.test)} the windows hold {train:,} train, {validation:,} validation and "
                f"{test:,} test rows: too many rows share a timestamp. Ask for fewer dates or a larger window."
            )
        return {c.TRAIN: inside[0] / inside[2], c.VALIDATION: float(sizes[1]) / inside[2]}


def lay_windows(times: pd.Series, options: BacktestOptions) -> list[Windows]:
    """Return the windows of every date, the earliest first.

    Args:
        times: of all rows after cleaning, in seconds.
        options: how many dates, how large a window.
    """
    shares = [1 - place * options.window for place in range(options.dates + 1, -1, -1)]
    ends = [cutoff(times, share) for share in shares]
    return [Windows(*ends[first : first + 3]) for first in range(options.dates)]


def measured_models(baselines: Mapping[str, FittedModel], hybrid: HybridScorer) -> dict[str, FittedModel]:
    """Return what is measured by name: the baselines, the hybrid at its operating point and with its boosts off."""
    return {**baselines, HYBRID: hybrid, BOOSTS_OFF: hybrid.with_boosts(hybrid.boosts.off())}


def known_users(users: pd.DataFrame, rules: EvalProtocol) -> NDArray[np.int64]:
    """Return the users with a history when the test window begins, by internal id."""
    history = np.diff(rules.histories.history.indptr) > 0
    return np.flatnonzero(history & (users[c.BUCKET] != "new").to_numpy())


def measure_users(
    model: FittedModel,
    rules: EvalProtocol,
    positives: Matrix,
    known: NDArray[np.int64],
    items: pd.DataFrame,
    k: int,
    seed: int,
) -> dict[str, Values]:
    """Return NDCG@k of every known user, NaN without a positive, by figure; of several domains their mean.

    Args:
        model: fitted.
        rules: of test lists.
        positives: rows of the test window, of cold items too (U, n_items).
        known: internal ids of users.
        items: the item table.
        k: length of lists.
        seed: of the order of items with equal scores.
    """
    query, seen = rules.histories.take(known), rules.seen[known]
    by_domain: list[dict[str, Values]] = []
    for domain in rules.domain_names:
        sets = {name: rules.candidates_of(name, domain) for name in rules.candidates}
        lists = recommend(model, query, seen, sets, k, tie_ranks(seed, items[c.ITEM]))
        counted = {name: (name, sets[name]) for name in (c.WARM, c.COLD, c.MIXED)}
        counted[c.TAIL] = (c.WARM, bucket_items(items, c.TAIL) & sets[c.WARM])
        values = {}
        for name in FIGURES:
            candidates, mask = counted[name]
            of_items = keep_items(positives[known], mask)
            values[name] = ndcg(hits(lists[candidates][0], of_items), np.diff(of_items.indptr), k)
        by_domain.append(values)
    return {name: mean_of_known([values[name] for values in by_domain]) for name in FIGURES}


@dataclass(frozen=True)
class Lead:
    """The hybrid minus the best baseline of a figure, over the same users."""

    figure: str
    model: str
    against: str
    """The baseline with the highest mean on test."""
    difference: float
    low: float
    high: float
    """95 %, paired bootstrap over users."""
    n_users: int


def leads(values: Mapping[str, Mapping[str, Values]], seed: int) -> list[Lead]:
    """Compare both hybrids with the best baseline of each figure; figures without a user have none.

    Args:
        values: by model and figure, one value per user.
        seed: of the resampling.
    """
    baselines = [name for name in values if name not in (HYBRID, BOOSTS_OFF)]
    compared = []
    for figure in FIGURES:
        means = [_mean(values[name][figure]) for name in baselines]
        best = baselines[int(np.nan_to_num(means, nan=-1.0).argmax())]
        for model in (BOOSTS_OFF, HYBRID):
            lead = paired_bootstrap(values[model][figure], values[best][figure], seed=seed)
            if lead.n_users:
                compared.append(Lead(figure, model, best, lead.difference, lead.low, lead.high, lead.n_users))
    return compared


@dataclass(frozen=True)
class DateResult:
    """What one date showed."""

    until: str
    counts: dict[str, int]
    """Rows, users and items."""
    table: dict[str, dict[str, float]]
    """Mean NDCG@k by model and figure; NaN where no user has a positive."""
    leads: list[Lead]
    fit_on: str
    seconds: float = 0.0

    def to_json(self) -> JsonObject:
        """Return it as JSON; a missing figure is null."""
        return asdict(self) | {"table": table_to_json(self.table)}

    @classmethod
    def from_json(cls, read: JsonObject) -> Self:
        """Undo :meth:`to_json`."""
        table = {
            model: {name: float("nan") if value is None else value for name, value in row.items()}
            for model, row in read["table"].items()
        }
        return cls(**(read | {"table": table, "leads": [Lead(**row) for row in read["leads"]]}))


def measure_date(
    models: Mapping[str, FittedModel],
    rules: EvalProtocol,
    positives: Matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    k: int,
    seed: int,
) -> tuple[dict[str, dict[str, float]], list[Lead], dict[str, int]]:
    """Measure all models on the test window of one date.

    Args:
        models: as of :func:`measured_models`.
        rules: of test lists.
        positives: rows of the test window (U, n_items).
        users: the user table.
        items: the item table.
        k: length of lists.
        seed: of ties and of the resampling.

    Returns:
        Means by model and figure, comparisons, and how many users of the test window are known and new.

    Raises:
        BadInputError: no known user has a row in the test window.
    """
    known, acting = known_users(users, rules), np.flatnonzero(np.diff(positives.indptr) > 0)
    counts = {"test_users": len(acting), "known_test_users": len(np.intersect1d(known, acting))}
    if not counts["known_test_users"]:
        raise BadInputError(
            f"None of the {len(acting):,} users of the test window has a row before it: there is nobody to judge lists "
            "for. Ask for fewer dates or a larger window."
        )
    values = {name: measure_users(model, rules, positives, known, items, k, seed) for name, model in models.items()}
    table = {name: {figure: _mean(of) for figure, of in row.items()} for name, row in values.items()}
    return table, leads(values, seed), counts


def count_rows(
    interactions: pd.DataFrame, items: pd.DataFrame, users: pd.DataFrame, quality: pd.DataFrame
) -> dict[str, int]:
    """Count what exists at a date.

    Args:
        interactions: with split.
        items: the item table.
        users: the user table.
        quality: what cleaning did to which rows.
    """
    n_later = int(quality.loc[quality["problem"].str.startswith(LATER), "rows"].sum())
    labels = interactions[c.SPLIT].value_counts()
    rows = {"rows": len(interactions), "later_rows": n_later, "users": len(users), "items": len(items)}
    rows["items_without_rows"] = int((~items[c.ITEM].isin(interactions[c.ITEM])).sum())
    return rows | {f"{label}_rows": int(labels.get(label, 0)) for label in (c.TRAIN, c.VALIDATION, c.TEST, c.COLD)}


def table_to_json(table: Mapping[str, Mapping[str, float]]) -> JsonObject:
    """Return figures by model and name with null where there is none."""
    return {
        model: {name: value if np.isfinite(value) else None for name, value in row.items()}
        for model, row in table.items()
    }


def mean_over_dates(results: list[DateResult]) -> dict[str, dict[str, float]]:
    """Return the mean over the dates of every model's figures; dates without a figure are left out of its mean."""
    return {
        model: {name: _mean(np.array([result.table[model][name] for result in results])) for name in row}
        for model, row in results[0].table.items()
    }


def to_frame(results: list[DateResult]) -> pd.DataFrame:
    """Return one row per date, model and figure: value, and for hybrids against, difference, low, high, n_users."""
    rows = []
    for result in results:
        compared = {(lead.model, lead.figure): lead for lead in result.leads}
        for model, figures in result.table.items():
            for name, value in figures.items():
                lead = compared.get((model, name))
                row = {"until": result.until, c.MODEL: model, "figure": name, "value": value}
                of_lead = {"against": None, "difference": np.nan, "low": np.nan, "high": np.nan, "n_users": np.nan}
                rows.append(row | (of_lead if lead is None else {key: getattr(lead, key) for key in of_lead}))
    return pd.DataFrame(rows).astype({"against": "str", "n_users": "Int64"})


def _mean(values: Values) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else float("nan")
