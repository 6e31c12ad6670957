"""What follows on the latest items, in closed form; for catalogues that know the order of a user's interactions.

    min_B Σ_u Σ_t |e_(i_t) - x_t B|² + λ|B|²,   x_t = Σ_(l=1..L) γ^(l-1) e_(i_(t-l)),   γ = 2^(-1/fit_half_life)

with i_1, i_2, … a user's items in their order, so B = (SᵀS + λI)⁻¹ SᵀT with the x_t as rows of S and the e_(i_t) as
rows of T: the transition model SLIT of Choi et al. 2021, "Session-aware linear item-item models for session-based
recommendation", §3.3. Where interactions have confidences c, a step weighs that of its target in the sum over t, and
e_(i_(t-l)) is multiplied by that of its item. A user's scores are x B, x the whole history under a decay of its own,
``half_life``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from tailor.appending import ColumnBlocks
from tailor.config import Count, Options, Positive
from tailor.data.interactions import empty_rows, in_order, values_in_order
from tailor.linear_algebra import add_to_diagonal, inverse_spd, precision
from tailor.models.base import (
    ColdItemImputer,
    Csr,
    FittedModel,
    Floats,
    Indices,
    Model,
    Query,
    State,
    TrainSet,
)
from tailor.models.item_weights import (
    ItemWeights,
    cells,
    from_state,
    impute_weights,
    mixed_columns,
    sparse_weights,
    state_of,
    weigh,
)
from tailor.models.registry import register_model
from tailor.progress import progress
from tailor.threads import BlockMap, in_threads

#: Cells of S that are laid out at a time.
_CELLS = 10_000_000


class SLITConfig(Options):
    """Configuration of :class:`SLIT`."""

    regularization: Positive = 1000.0
    """λ on B."""
    half_life: Positive = 5.0
    """Items of a history after which a weight has halved, in scoring."""
    fit_half_life: Positive = 20.0
    """The same in the fit."""
    window: Annotated[int, Field(ge=1, le=1000)] = 30
    """Items before the one to predict that the fit looks at."""
    max_dense_items: Count = 10_000
    """Items up to which B is full, n_items² floats; in larger catalogues an item follows on the nearest ones alone."""
    neighbours: Count = 200
    """How many these are."""

    renamed: ClassVar[dict[str, str]] = {"max_items": "max_dense_items"}


@dataclass(frozen=True, eq=False)
class FittedSLIT(FittedModel):
    """Transition weights; none where the train set knew no order, then all scores are 0."""

    recipe: Model[SLITConfig]
    weights: ItemWeights
    """B (n, n) over the items of the fit; (0, 0) where no order was known."""
    new_columns: ColumnBlocks
    """Weights toward items that joined after the fit (n, a)."""
    size: int
    """n_items."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return self.size

    @property
    def n_fitted(self) -> int:
        """Items of the fit, 0 where no order was known."""
        return int(self.weights.shape[0])

    def _score(self, query: Query) -> Floats:
        scores = np.zeros((len(query), self.n_items), np.float32)
        n_fitted = self.n_fitted
        if not n_fitted:
            return scores
        known = sparse.csr_matrix(query.decayed(self.recipe.config.half_life)[:, :n_fitted])
        scores[:, :n_fitted] = weigh(known, self.weights)
        scores[:, n_fitted:] = self.new_columns.weigh(known)
        return scores

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: γ_h c_h B_hi, 0 of items that joined after the fit."""
        known, n_fitted = query.weights.indices, self.n_fitted
        shares = np.zeros((len(items), len(known)))
        h, fitted = np.flatnonzero(known < n_fitted), items < n_fitted
        if len(h):
            decay = sparse.csr_matrix(query.decayed(self.recipe.config.half_life)[:, known[h]]).toarray()[0]
            shares[np.ix_(fitted, h)] = cells(self.weights, known[h], items[fitted]).T * decay
            shares[np.ix_(~fitted, h)] = self.new_columns.cells(known[h], items[~fitted] - n_fitted).T * decay
        return shares

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: they have followed on nothing, and score 0."""
        grown = replace(self, size=self.size + len(features))
        if not self.n_fitted:
            return grown
        none = np.zeros((self.n_fitted, len(features)), np.float32)
        return replace(grown, new_columns=self.new_columns.append(none))

    def with_imputed_items(self, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`AcceptsImputedItems`: they follow on what similar items follow on."""
        grown = replace(self, size=self.size + len(features))
        if not self.n_fitted:
            return grown
        columns = mixed_columns(self.weights, features, imputer)
        return replace(grown, new_columns=self.new_columns.append(columns))

    def impute_cold_items(self, cold: Indices, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`ImputesColdItems`: they follow on what similar items follow on."""
        n_fitted = self.n_fitted
        if not n_fitted:
            return self
        weights, new_columns, in_fit = self.weights, self.new_columns, cold < n_fitted
        if in_fit.any():
            weights = impute_weights(weights, cold[in_fit], features[in_fit], imputer)
        if not in_fit.all():
            mixed = mixed_columns(self.weights, features[~in_fit], imputer)
            new_columns = new_columns.with_columns(cold[~in_fit] - n_fitted, mixed)
        return replace(self, weights=weights, new_columns=new_columns)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        state = state_of(self.weights) | {"n_items": np.array([self.size])}
        return state | {"new_columns": self.new_columns.toarray()} if self.new_columns.width else state


@register_model("slit")
class SLIT(Model[SLITConfig]):
    """What follows on the latest items, by a ridge regression from faded histories (SLIT)."""

    config_class = SLITConfig
    needs_order = True

    def fit(self, data: TrainSet) -> FittedSLIT:
        """See :meth:`Model.fit`."""
        if data.order is None or not data.order.nnz:
            return FittedSLIT(self, np.zeros((0, 0), np.float32), ColumnBlocks(0), data.n_items)
        return self.fit_transitions(*self.transitions(data.order, data.confidence))

    def fit_transitions(self, before: Csr, after: Csr, each: BlockMap = in_threads) -> FittedSLIT:
        """Fit the weights.

        Args:
            before: SᵀCS of all users (n_items, n_items).
            after: SᵀCT.
            each: what solves blocks of columns in catalogues of more than ``max_dense_items``.
        """
        n = before.shape[0]
        full = n <= self.config.max_dense_items
        weights = self._full(before, after) if full else self._nearest(before, after, each)
        return FittedSLIT(self, weights, ColumnBlocks(n), n)

    def transitions(self, order: Csr, confidence: Csr | None = None) -> tuple[Csr, Csr]:
        """Return SᵀCS and SᵀCT (n_items, n_items), summed over blocks of users.

        Args:
            order: places of the items in each user's order (U, n_items), later ones larger.
            confidence: the same cells: how sure each is; None: 1 each.
        """
        n = order.shape[1]
        before = after = sparse.csr_matrix(empty_rows(n, n).astype(precision(n)))
        for S, T, c in self._steps(order, confidence):
            weighted = S if c is None else sparse.diags(c) @ S
            before = sparse.csr_matrix(before + (S.T @ weighted).astype(before.dtype))
            after = sparse.csr_matrix(after + (weighted.T @ T).astype(after.dtype))
        return before, after

    def _full(self, before: Csr, after: Csr) -> Floats:
        inverse = before.toarray()
        add_to_diagonal(inverse, self.config.regularization)
        return np.asarray(inverse_spd(inverse) @ after.toarray(), dtype=np.float32)

    def _nearest(self, before: Csr, after: Csr, each: BlockMap) -> Csr:
        """Return the weights toward each item from those alone that it follows most."""
        by_item, regularization = sparse.csr_matrix(after.T), self.config.regularization

        def right(rows: slice) -> Floats:
            return np.asarray(by_item[rows].toarray(), dtype=np.float32)

        scale = np.sqrt(before.diagonal() + regularization).astype(np.float32)
        penalty = np.full(len(scale), regularization)
        return sparse_weights(before, penalty, right, self.config.neighbours, scale, "slit", each)

    def _steps(self, order: Csr, confidence: Csr | None = None) -> Iterator[tuple[Csr, Csr, Floats | None]]:
        """Yield rows of S and T (b, n_items), and how sure the targets are (b,), a block of steps at a time."""
        window, n = self.config.window, order.shape[1]
        row, items = in_order(order)
        sure = None if confidence is None else values_in_order(order, confidence)
        position = np.arange(len(items)) - order.indptr[row]
        decay = 0.5 ** (np.arange(window) / self.config.fit_half_life)
        size = max(1, _CELLS // window)
        for start in progress(range(0, len(items), size), "slit", "block"):
            step = np.arange(start, min(start + size, len(items)))
            lag = np.arange(1, min(window, int(position[step].max(initial=0))) + 1)
            t, column = np.nonzero(position[step][:, None] >= lag)
            sources = step[t] - lag[column]
            cells = (decay[column] if sure is None else decay[column] * sure[sources], (t, items[sources]))
            S = sparse.csr_matrix(cells, shape=(len(step), n))
            T = sparse.csr_matrix((np.ones(len(step)), (np.arange(len(step)), items[step])), shape=(len(step), n))
            yield S, T, None if sure is None else sure[step]

    def load(self, state: State) -> FittedSLIT:
        """See :meth:`Model.load`."""
        weights = from_state(state)
        new_columns = ColumnBlocks(weights.shape[0])
        if "new_columns" in state:
            new_columns = new_columns.append(state["new_columns"])
        return FittedSLIT(self, weights, new_columns, int(state["n_items"][0]))
