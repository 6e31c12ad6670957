"""The factors that texts predict, as a source of their own: an item is placed by items with similar texts alone.

    v̂(e) = Σ_l a_l(e) v_l,   v̂_l = v_l - (H v)_l / H_ll for an item with interactions itself

with a(e) the shares of :mod:`tailor.hybrid.cold_items` and v the factors of iALS.
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tailor.appending import append
from tailor.errors import ConfigurationError
from tailor.models.base import FittedModel, Floats, Indices, Model, NoConfig, Query, State, TrainSet
from tailor.models.ials import FittedIALS, products


class PredictsLeftOut(Protocol):
    """What predicts each landmark from all others, and other items from the landmarks."""

    def left_out_targets(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what every item of the fit has by its text alone (n_items, x) where items have ``targets``."""
        ...


@dataclass(frozen=True, eq=False)
class FittedTextFactors(FittedModel):
    """Predicted item factors; users are those of iALS."""

    recipe: Model[NoConfig]
    base: FittedIALS
    vectors: Floats
    """v̂ (n_items, d)."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.vectors)

    def _score(self, query: Query) -> Floats:
        return products(self.base.users_of(query).astype(np.float32), self.vectors)

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: the users are sums over their histories, whatever items they are compared with."""
        return self.base.history_shares_of(query, self.vectors[items])

    def state(self) -> State:
        """See :meth:`FittedModel.state`; the factors it is computed from are saved by their own source."""
        return {"vectors": self.vectors}

    def rebased(self, base: FittedModel, changed: Indices) -> Self:
        """Return a model on other factors ``base``, in which the items ``changed`` (a,) are where ``base`` has them.

        Of an item without interactions ``base`` has imputed factors: just what its text predicts.
        """
        factors, before = _ials(base).item_factors, len(self.vectors)
        vectors, known = append(self.vectors, factors[before:].astype(np.float32)), changed[changed < before]
        if len(known):
            vectors = vectors.copy()
            vectors[known] = factors[known]
        return replace(self, base=_ials(base), vectors=vectors)


class TextFactors(Model[NoConfig]):
    """Factors that are predicted from texts."""

    scores_cold_items = True

    def fit(self, data: TrainSet) -> FittedModel:  # noqa: ARG002
        """Refuse: it is derived from a fitted iALS, see :meth:`derive`.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("text_factors is computed from the source ials: it cannot be fitted alone")

    def derive(self, base: FittedModel, imputer: PredictsLeftOut) -> FittedTextFactors:
        """Predict the factors of ``base`` from texts."""
        factors = _ials(base).item_factors.astype(np.float32)
        return FittedTextFactors(self, _ials(base), imputer.left_out_targets(factors))

    def load(self, state: State) -> FittedModel:  # noqa: ARG002
        """Refuse: see :meth:`load_derived`.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("text_factors is loaded together with the source ials")

    def load_derived(self, state: State, base: FittedModel) -> FittedTextFactors:
        """Rebuild from what was saved, and the model that it is computed from."""
        return FittedTextFactors(self, _ials(base), state["vectors"])


def _ials(model: FittedModel) -> FittedIALS:
    if not isinstance(model, FittedIALS):
        raise ConfigurationError(f"text_factors needs the source ials, not a {type(model).__name__}")
    return model
