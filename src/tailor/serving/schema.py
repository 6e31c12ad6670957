"""What is asked and what is answered; bounds are checked here, before anything is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tailor.errors import BadInputError
from tailor.serving.query import MAX_QUERY

MAX_K = 10_000
MAX_ITEMS = 10_000
MAX_WEIGHT = 100.0
MAX_VALUE = 200


@dataclass(frozen=True)
class Request:
    """Who asks for what: a known user, a list of consumed items, words, any of them together, or none."""

    user_id: str | None = None
    """External id; an unknown one is treated like none."""
    history: Sequence[str] = ()
    """External item ids, oldest first, added to what is known of the user; unknown items are counted and left out."""
    candidates: Sequence[str] = ()
    """External item ids that the list is chosen from; none: the whole catalogue. Unknown ones are counted."""
    exclude: Sequence[str] = ()
    """External item ids that must not be listed."""
    weights: Sequence[float] = ()
    """Confidence of each item of the history, in its order; none: 1 each."""
    query: str = ""
    """Plain words: "slow space opera, no romance". Categories and negations in it are understood."""
    profile: Mapping[str, Any] = field(default_factory=dict)
    """What the user tells: {"age": 31, "gender": "F"}, by the model's profile columns; in place of what is known.
    Values that no train user has say nothing."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Of the moment: {"context_device": "tv"}, by the model's context columns."""
    filters: Mapping[str, Any] = field(default_factory=dict)
    """``categories``: any of a list; a numeric column of the catalogue: {"min": number, "max": number}."""

    def __post_init__(self) -> None:
        """Refuse what is out of bounds.

        Raises:
            BadInputError: names the field, its value and the bounds.
        """
        for name in ("history", "candidates", "exclude"):
            if len(getattr(self, name)) > MAX_ITEMS:
                raise BadInputError(
                    f"{name}: {len(getattr(self, name))} items in one request; send at most {MAX_ITEMS}"
                )
        for what, told in (("profile", self.profile), ("context", self.context)):
            for name, value in told.items():
                if not isinstance(value, str | int | float) or len(str(value)) > MAX_VALUE:
                    raise BadInputError(
                        f"{what}: {name} is neither a number nor a text of at most {MAX_VALUE} characters"
                    )
        if len(self.query) > MAX_QUERY:
            raise BadInputError(f"query: {len(self.query)} characters; send at most {MAX_QUERY}")
        if len(self.weights) and len(self.weights) != len(self.history):
            raise BadInputError(f"weights: {len(self.weights)} for a history of {len(self.history)}; give one per item")
        for weight in self.weights:
            if not 0 < weight <= MAX_WEIGHT:
                raise BadInputError(f"weights: {weight} is out of bounds: above 0, up to {MAX_WEIGHT:g}")


@dataclass(frozen=True)
class Settings:
    """How to answer, the same for all requests of a call."""

    k: int = 20
    """Longest list."""
    exclude_seen: bool = True
    """Leave out what is known of the user and the request's history."""
    tail_boost: float | None = None
    """Lift of tail items in [0, 1]; None: where the model stands."""
    popularity_debias: float | None = None
    """Share in [0, 1] of what everybody gets that is taken off a user's scores; None: where the model stands."""
    cold_boost: float | None = None
    """Lift of items without train interactions in [0, 1]; None: where the model stands."""
    min_score: float | None = None
    """List nothing that scores less."""
    diversity: float | None = None
    """Strength in [0, 1] of re-ranking by maximal marginal relevance; 0 or None: the list as it is."""
    half_life: float | None = None
    """Items of a request's history after which a weight has halved, counted from the latest; None: no decay."""
    scenario: str | None = None
    """One of the model's named settings; what is set here comes before it."""
    explain: bool = False
    """Say which items of the history and which words carried each score."""

    def __post_init__(self) -> None:
        """Refuse what is out of bounds.

        Raises:
            BadInputError: names the setting, its value and the bounds.
        """
        if not 1 <= self.k <= MAX_K:
            raise BadInputError(f"k = {self.k} is out of bounds: 1 to {MAX_K}")
        for name, value in (self.boosts() | {"diversity": self.diversity or 0.0}).items():
            if not 0 <= value <= 1:
                raise BadInputError(f"{name} = {value} is out of bounds: 0 to 1")
        if self.min_score is not None and np.isnan(self.min_score):
            raise BadInputError("min_score = nan is not a number; leave it out to list whatever comes")
        if self.half_life is not None and not self.half_life > 0:
            raise BadInputError(f"half_life = {self.half_life} is out of bounds: above 0 (items)")

    def boosts(self) -> dict[str, float]:
        """Return the boosts that were set."""
        given = {name: getattr(self, name) for name in ("tail_boost", "popularity_debias", "cold_boost")}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Answer:
    """A ranked list and how it came about."""

    item_ids: list[str]
    scores: list[float]
    path: str
    """known_user, fold_in (from the request's history), query (words), profile (nothing else known), or
    popular (nothing known)."""
    unknown_history: int = 0
    """Items of the request's history that the catalogue does not have."""
    unknown_candidates: int = 0
    """Items of the request's candidates that the catalogue does not have."""
    reasons: list[str] = field(default_factory=list)
    """Per item what carried its score most: taken_together, taken_next, similar_text, context, profile, popular,
    query, category."""
    explanations: list[dict[str, Any]] = field(default_factory=list)
    """Per item, on request: see :mod:`tailor.serving.explain`."""
