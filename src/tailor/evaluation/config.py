"""Options of lists and of what is measured on them."""

from typing import Annotated

from pydantic import Field

from tailor.config import Count, Options, Positive


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
