"""Sources that fade a history: scores of another source under weights that halve every few items before the latest.

    c_h ← c_h 2^(-age_h / half_life)

with age_h the number of items that the user took after h. EASE and text similarity read a history as a set; where
tastes move, or one thing leads to the next, its end tells more. Nothing is fitted: the base's weights serve both. The
decay of Ding & Li 2005, "Time weight collaborative filtering", in items instead of days.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.config import Options, Positive
from tailor.data.interactions import recency
from tailor.errors import ConfigurationError
from tailor.hybrid.text_factors import PredictsLeftOut
from tailor.models.base import Explains, FittedModel, Floats, Indices, Model, Query, ScoresTexts, State, TrainSet


class RecentConfig(Options):
    """Configuration of :class:`Recent`."""

    half_life: Positive = 5.0
    """Items after which a weight has halved, counted from the latest."""


def faded(query: Query, half_life: float) -> Query:
    """Return the query with its confidences faded by age; the same where no order is known."""
    if query.order is None:
        return query
    order, weights = query.order.copy(), query.weights.copy()
    order.sort_indices()
    weights.sort_indices()
    weights.data = weights.data * recency(order, half_life).data
    return replace(query, confidence=sparse.csr_matrix(weights), memo={})


@dataclass(frozen=True, eq=False)
class FittedRecent(FittedModel):
    """Another model's scores of faded histories."""

    recipe: Model[RecentConfig]
    base: FittedModel

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return self.base.n_items

    def faded(self, query: Query) -> Query:
        """Return the query with its confidences faded by age."""
        return faded(query, self.recipe.config.half_life)

    def _score(self, query: Query) -> Floats:
        return self.base.score(self.faded(query))

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: the base's, of the faded history."""
        if not isinstance(self.base, Explains):
            raise ConfigurationError(f"{self.base.recipe.name} does not take its scores apart")
        of_faded = self.faded(query)
        shares = self.base.history_shares(of_faded, items)
        column_of = {item: column for column, item in enumerate(of_faded.weights.indices.tolist())}
        return shares[:, [column_of[item] for item in query.weights.indices.tolist()]]

    def state(self) -> State:
        """See :meth:`FittedModel.state`: its source saves the base."""
        return {}

    def rebased(self, base: FittedModel, changed: Indices) -> Self:  # noqa: ARG002
        """See :class:`Rebases`."""
        return replace(self, base=base)


@dataclass(frozen=True, eq=False)
class FittedRecentText(FittedRecent):
    """The same of a model that reads texts directly."""

    @property
    def _reader(self) -> ScoresTexts:
        if not isinstance(self.base, ScoresTexts):
            raise ConfigurationError(f"{self.base.recipe.name} reads no texts")
        return self.base

    def with_item_texts(self, rows: Indices, features: Floats) -> Self:
        """See :class:`ScoresTexts`."""
        return replace(self, base=self._reader.with_item_texts(rows, features))

    def score_texts(self, query: Query, features: Floats) -> Floats:
        """See :class:`ScoresTexts`."""
        return self._reader.score_texts(self.faded(query), features)


class Recent(Model[RecentConfig]):
    """Faded histories."""

    config_class = RecentConfig
    scores_cold_items = True
    fitted = FittedRecent

    def fit(self, data: TrainSet) -> FittedModel:  # noqa: ARG002
        """Refuse: it is derived from another fitted source, see :meth:`derive`.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(f"{self.name} is computed from another source: it cannot be fitted alone")

    def derive(self, base: FittedModel, imputer: PredictsLeftOut) -> FittedModel:  # noqa: ARG002
        """Score with ``base``, whose cold items are imputed already."""
        return self.fitted(self, base)

    def load(self, state: State) -> FittedModel:  # noqa: ARG002
        """Refuse: see :meth:`load_derived`.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(f"{self.name} is loaded together with the source that it is computed from")

    def load_derived(self, state: State, base: FittedModel) -> FittedModel:  # noqa: ARG002
        """Rebuild from the model that it is computed from."""
        return self.fitted(self, base)


class RecentEASE(Recent):
    """EASE on faded histories."""


class RecentText(Recent):
    """Text similarity to the end of a history."""

    fitted = FittedRecentText
