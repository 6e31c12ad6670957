"""What follows on the latest items, in closed form; for catalogues that know the order of a user's interactions.

    min_B Σ_u Σ_t |e_(i_t) - x_t B|² + λ|B|²,   x_t = Σ_(l=1..L) γ^(l-1) e_(i_(t-l)),   γ = 2^(-1/fit_half_life)

with i_1, i_2, … a user's items in their order, so B = (SᵀS + λI)⁻¹ SᵀT with the x_t as rows of S and the e_(i_t) as
rows of T: the transition model SLIT of Choi et al. 2021, "Session-aware linear item-item models for session-based
recommendation", §3.3. A user's scores are x B, x the whole history under a decay of its own, ``half_life``.
"""

import copy
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.interactions import recency
from tailor.errors import BadInputError
from tailor.linear_algebra import inverse_spd, plus_diagonal
from tailor.models.base import Engine, Floats, Mask, State
from tailor.models.ease import mixed_columns
from tailor.options import SequenceOptions
from tailor.progress import progress

if TYPE_CHECKING:
    from tailor.hybrid.cold_items import TextKernel

#: Cells of S that are laid out at a time.
_BLOCK = 10_000_000


class Sequence(Engine[SequenceOptions]):
    """Transitions; where no order is known (all values of a matrix are equal), all scores are 0."""

    options_class = SequenceOptions
    reads_order = True
    new_columns: Floats
    """Weights toward items that joined after the fit (n, a)."""

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        o, n = self.options, self.n_items
        if n > o.max_items:
            raise BadInputError(
                f"Sequence holds n_items² weights: {n} items are more than max_items = {o.max_items} "
                f"({16 * n**2 / 2**30:.0f} GiB while fitting). Raise max_items, or set hybrid_cf.without: [sequence]."
            )
        self.weights: Floats = np.zeros((0, 0), np.float32)
        if train.nnz and np.ptp(train.data) > 0:
            past, following = self._transitions(train)
            inverse = inverse_spd(plus_diagonal(past, np.full(n, o.regularization)))
            self.weights = (inverse @ following).astype(np.float32)
        self.new_columns = np.zeros((len(self.weights), 0), np.float32)

    def _transitions(self, train: sparse.csr_matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return SᵀS and SᵀT (n_items, n_items), summed over blocks of users."""
        o, n = self.options, self.n_items
        row = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
        items = train.indices[np.lexsort((train.data, row))]
        place = np.arange(len(items)) - train.indptr[row]
        decay = 0.5 ** (np.arange(o.window) / o.fit_half_life)
        past, following = np.zeros((n, n)), np.zeros((n, n))
        size = max(1, _BLOCK // o.window)
        for start in progress(range(0, len(items), size), "sequence", "block"):
            at = np.arange(start, min(start + size, len(items)))
            lag = np.arange(1, min(o.window, int(place[at].max(initial=0))) + 1)
            known = place[at][:, None] >= lag
            t, step = np.nonzero(known)
            cells = (decay[step], (t, items[at[t] - lag[step]]))
            S = sparse.csr_matrix(cells, shape=(len(at), n))
            T = sparse.csr_matrix((np.ones(len(at)), (np.arange(len(at)), items[at])), shape=(len(at), n))
            past += (S.T @ S).toarray()
            following += (S.T @ T).toarray()
        return past, following

    def _weighed(self, history: sparse.csr_matrix, weights: sparse.csr_matrix | None) -> sparse.csr_matrix:
        aged = recency(history, self.options.half_life)
        return aged if weights is None else sparse.csr_matrix(aged.multiply(weights))

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        scores = np.zeros((history.shape[0], self.n_items), np.float32)
        n = len(self.weights)
        old = sparse.csr_matrix(history[:, :n])
        scores[:, :n] = old @ self.weights
        if n:
            scores[:, n:] = old @ self.new_columns
        return scores

    def _append(self, features: Floats) -> None:
        """Items that join have followed on nothing: they score 0."""
        if len(self.weights):
            self.new_columns = np.hstack([self.new_columns, np.zeros((len(self.weights), len(features)), np.float32)])

    def impute_cold_items(self, cold: NDArray[np.int64], texts: Floats, kernel: "TextKernel") -> Self:
        """See :meth:`Engine.with_cold`: they follow on what their likes follow on."""
        n = len(self.weights)
        if not n:
            return self
        twin, fitted, known = copy.copy(self), cold < n, self.weights[:, kernel.landmarks]
        if fitted.any():
            twin.weights = mixed_columns(self.weights, known, cold[fitted], texts[fitted], kernel)
        if not fitted.all():
            twin.new_columns = mixed_columns(self.new_columns, known, cold[~fitted] - n, texts[~fitted], kernel)
        return twin

    def _state(self) -> State:
        return {"weights": self.weights}

    def _load(self, state: State) -> None:
        self.weights = state["weights"]
        self.new_columns = np.zeros((len(self.weights), 0), np.float32)
