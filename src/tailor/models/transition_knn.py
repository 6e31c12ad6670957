"""Which items follow which, counted: item neighbourhoods over the order of histories.

    C_ij = Σ_u Σ_(s<t) γ^(t-s-1) [i_s = i][i_t = j],   S_ij = C_ij / (√(n_i n_j) + shrinkage)

with γ = 2^(-1/fit_half_life), over pairs at most ``window`` items apart; n_i are the interactions of an item, and of
each item the ``neighbours`` largest S_ij stay. A user's scores are x S, x the history under a decay of its own. After
Garg et al. 2019, "Sequence and time aware neighborhood for session-based recommendations", by items, not sessions.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.config import Count, Options, Positive
from tailor.data.interactions import empty_rows, in_order, values_in_order
from tailor.models.base import Csr, FittedModel, Floats, Indices, Model, Query, State, TrainSet
from tailor.models.registry import register_model
from tailor.models.store import sparse_from_state, sparse_state
from tailor.progress import progress


class TransitionKNNConfig(Options):
    """Configuration of :class:`TransitionKNN`."""

    window: Count = 20
    """Items before another that are counted as leading to it."""
    fit_half_life: Positive = 10.0
    """Items between two after which their pair counts half."""
    half_life: Positive = 5.0
    """Items of a history after which a weight has halved, in scoring."""
    neighbours: Count = 200
    """Followers that are kept of each item."""
    shrinkage: Positive = 10.0
    """Added to the denominator, so that rare pairs do not rank first."""


@dataclass(frozen=True, eq=False)
class FittedTransitionKNN(FittedModel):
    """Counted transitions; none where the train set knew no order, then all scores are 0."""

    recipe: Model[TransitionKNNConfig]
    weights: Csr
    """S (n_items, n_items)."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.weights.shape[0])

    def _score(self, query: Query) -> Floats:
        return np.asarray((query.decayed(self.recipe.config.half_life) @ self.weights).toarray(), dtype=np.float32)

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: γ_h c_h S_hi."""
        known = query.weights.indices
        decay = sparse.csr_matrix(query.decayed(self.recipe.config.half_life)[:, known]).toarray()[0]
        return np.asarray(self.weights[known][:, items].toarray().T * decay, dtype=np.float64)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: they have followed on nothing, and score 0."""
        n_new, weights = len(features), self.weights
        indptr = np.append(weights.indptr, np.full(n_new, weights.nnz))
        size = self.n_items + n_new
        return replace(self, weights=sparse.csr_matrix((weights.data, weights.indices, indptr), shape=(size, size)))

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return sparse_state("weights", self.weights)


@register_model("transition_knn")
class TransitionKNN(Model[TransitionKNNConfig]):
    """Items that followed on those of the history, the latest first."""

    config_class = TransitionKNNConfig
    needs_order = True

    def fit(self, data: TrainSet) -> FittedTransitionKNN:
        """See :meth:`Model.fit`."""
        n = data.n_items
        if data.order is None or not data.order.nnz:
            return FittedTransitionKNN(self, empty_rows(n, n))
        counted = self._transitions(data.order, data.confidence)
        root = np.sqrt(data.counts)
        row = np.repeat(np.arange(n), np.diff(counted.indptr))
        counted.data /= root[row] * root[counted.indices] + self.config.shrinkage
        return FittedTransitionKNN(self, _largest(counted, self.config.neighbours))

    def _transitions(self, order: Csr, confidence: Csr | None = None) -> Csr:
        """Return C (n_items, n_items), lag by lag; a pair counts by the confidences of both items."""
        (row, items), n = in_order(order), order.shape[1]
        sure = None if confidence is None else values_in_order(order, confidence)
        counted = sparse.csr_matrix(empty_rows(n, n), dtype=np.float64)
        longest = int(np.diff(order.indptr).max())
        for lag in progress(range(1, min(self.config.window, longest - 1) + 1), "transitions", "lag"):
            same = row[lag:] == row[:-lag]
            before, after = items[:-lag][same], items[lag:][same]
            weight = np.full(len(before), 0.5 ** ((lag - 1) / self.config.fit_half_life))
            if sure is not None:
                weight *= (sure[:-lag] * sure[lag:])[same]
            counted = counted + sparse.csr_matrix((weight, (before, after)), shape=counted.shape)
        return sparse.csr_matrix(counted)

    def load(self, state: State) -> FittedTransitionKNN:
        """See :meth:`Model.load`."""
        return FittedTransitionKNN(self, sparse_from_state(state, "weights"))


def _largest(matrix: Csr, k: int) -> Csr:
    """Return the k largest cells of each row, of equal ones the first columns."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    top = order[np.arange(len(row)) - matrix.indptr[row[order]] < k]
    cells = (matrix.data[top].astype(np.float32), (row[top], matrix.indices[top]))
    largest = sparse.csr_matrix(cells, shape=matrix.shape)
    largest.sort_indices()
    return largest
