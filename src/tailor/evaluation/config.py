"""Options of lists and of what is measured on them."""

from typing import Annotated, Self

from pydantic import Field

from tailor.config import Count, Options, Positive
from tailor.evaluation.ab_test import ABTestOptions

#: A kind of event, and what it is counted by.
METRIC = r"(view|click|cart|buy|rate|like|not_for_me)_per_(exposure|user)"
Metric = Annotated[str, Field(pattern=f"^{METRIC}$")]


class ListOptions(Options):
    """How lists are made and cut off."""

    k: list[Count] = [10, 20]
    """Cut-offs of the metrics; lists are as long as the largest, and at least 20."""
    new_user_history: list[Annotated[int, Field(ge=0)]] = [0, 1, 3, 5]
    """How many items of a new user are revealed."""
    block_users: Count = 512
    """Users scored at a time; memory grows with block_users x n_items x 4 bytes per source."""
    max_users: Count | None = None
    """Users that lists are made for, and figures measured on, at most; drawn by seed, stratified by activity. As many
    new users, at most. None: all."""
    max_validation_users: Count | None = 10_000
    """Users of ``max_users`` that validation's lists are made for, at most. None: all of these."""
    max_click_users: Count | None = 10_000
    """Users of ``max_users`` that click probabilities are measured on, at most. None: all of these."""

    def of_at_most(self, most: int | None) -> Self:
        """Return the same options for ``most`` users, where that is fewer; None: as they are."""
        if most is None or (self.max_users is not None and self.max_users <= most):
            return self
        return self.model_copy(update={"max_users": most})


class PromotionOptions(Options):
    """When a challenger becomes champion: every rule must hold."""

    max_mixed_loss: Annotated[float, Field(ge=0.0)] = 0.002
    """The 95 % lower bound of the difference in mixed NDCG must not lie further below 0."""
    min_tail_gain: float = 0.0
    """The difference in tail NDCG must be larger."""
    max_coverage_loss: Annotated[float, Field(ge=0.0)] = 0.0
    """Catalog coverage may fall by this much."""
    max_p99_ms: Positive = 250.0
    """Budget for the 99th percentile of single requests, in process, in milliseconds."""


class GroupOptions(Options):
    """Figures by group of users."""

    least_users: Annotated[int, Field(ge=2)] = 20
    """Users of a group with a value; smaller groups are pooled, and left out where the pool is smaller too."""
    resamples: Count = 2000
    """Bootstrap samples behind each interval."""


class DriftLimits(Options):
    """How far each distribution may move by an update: limits of the population stability index."""

    popularity: Positive = 0.25
    """How popular the items are that the new rows take, against the known rows."""
    embeddings: Positive = 0.25
    """What kind of items these are: each principal axis of the embeddings."""
    scores: Positive = 0.25
    """Scores of the lists of ``sample_users`` users, after against before."""

    def of(self, distribution: str) -> float:
        """Return the limit of one row of the table ``drift``."""
        return {"popularity": self.popularity, "scores": self.scores}.get(distribution, self.embeddings)


class UpdateOptions(Options):
    """``parameters/update.yml``."""

    sweeps: Count = 1
    """Sweeps of the factorization, from where it stands."""
    sample_users: Count = 1000
    """Users whose lists are compared before and after."""
    k: Count = 20
    """Length of these lists."""
    holdout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Share of the new rows, the last ones of their users, that is held out while the update is compared with the
    champion; the registered model knows them. 0: nothing is compared."""
    max_psi: DriftLimits = DriftLimits()
    """The alias stays where any of these is reached, unless chance alone explains it (few rows)."""


class OffPolicyOptions(Options):
    """``parameters/offpolicy.yml``."""

    temperature: Positive = 1.0
    """Of the softmax over scores."""
    epsilon: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    """Share of the policy's actions that are drawn evenly."""
    max_weight: Annotated[float, Field(ge=1.0)] = 100.0
    """Importance weights are cut there: less variance for some bias."""
    block_users: Count = 512
    """Users scored at a time."""


class ExperimentOptions(ABTestOptions):
    """``parameters/experiment.yml``: set before the experiment begins."""

    metric: Metric = "click_per_exposure"
    """What the verdict is of: a kind of event per exposure (followed by one of the same answer), or per user."""
    also: list[Metric] = ["buy_per_user", "not_for_me_per_exposure"]
    """Metrics that stand beside it, and decide nothing."""
    window_days: Positive = 7.0
    """Days from a user's first exposure that count; users whose window has not ended come in later."""
    before_days: Positive = 28.0
    """Days before it whose events of the same kind are the covariate (CUPED)."""
    since: str | None = None
    """Date or time (UTC) from which exposures count: when this experiment began; null: since the version of the latest
    challenger was first listed."""
    steps: Annotated[int, Field(ge=2, le=1000)] = 50
    """Points of the figure that shows how the difference went."""
