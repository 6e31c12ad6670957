"""EASE and text EASE: full item-item weights in closed form, for catalogues of up to some ten thousand items."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.errors import BadInputError
from tailor.linear_algebra import inverse_spd, plus_diagonal
from tailor.models.base import Engine, Floats, Mask, State
from tailor.options import EASEOptions

if TYPE_CHECKING:
    from tailor.hybrid.cold_items import TextKernel


def weighted_gram(train: sparse.csr_matrix, power: float) -> NDArray[np.float64]:
    """Return G = Xᵀ diag(w) X (n, n) with w_u = (mean history length / n_u)^power: 0 treats interactions alike."""
    lengths = np.diff(train.indptr).astype(np.float64)
    mean = lengths[lengths > 0].mean() if len(train.data) else 1.0
    rows = sparse.diags((mean / np.maximum(lengths, 1)) ** power) @ train
    return np.asarray((train.T @ rows).toarray(), dtype=np.float64)


def penalty(gram: NDArray[np.float64], regularization: float, dropout: float) -> NDArray[np.float64]:
    """Return the diagonal Λ = λI + p / (1 - p) diag(G), (n,), of EASE trained on histories with dropout p.

    Steck 2020, "Autoencoders that don't overfit towards the identity", eq. 5 and 9: frequent items are held back more.
    """
    return np.asarray(regularization + dropout / (1 - dropout) * np.diag(gram))


def ease_weights(gram: NDArray[np.float64], ridge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return B = I - P diag(1/P_ii), P = (G + diag(Λ))⁻¹: Steck 2019, "Embarrassingly shallow autoencoders", eq. 8."""
    P = inverse_spd(plus_diagonal(gram, ridge))
    B = P / -np.diag(P)
    np.fill_diagonal(B, 0.0)
    return np.asarray(B)


def pulled_ease_weights(
    gram: NDArray[np.float64],
    ridge: NDArray[np.float64],
    features: NDArray[np.float64],
    text_regularization: float,
    pull: float,
) -> tuple[NDArray[np.float64], "TextPart"]:
    """Minimise |X - XB|² + |Λ^½ B|² + κ|B - B_text|² with diag(B) = 0 (L3AE 2025, eq. 7), B_text = EASE(EEᵀ, λ_t).

    With P = (G + Λ + κI)⁻¹ and Π(C) = C - P diag(C_ii / P_ii), the minimum is Π(P(G + κ B_text)) (eq. 8). Π takes every
    P diag(·) to 0, PG = I - P(Λ + κI), and by Woodbury B_text = I - (I - E K Eᵀ) diag(q), K = (EᵀE + λ_t I)⁻¹ and
    q_i = 1 / (1 - e_iᵀ K e_i). What is left is plain EASE plus a correction of rank m, so B_text is never formed:

        B = Π(I) + κ Π(P E K Eᵀ diag(q))

    Args:
        gram: G = XᵀX (n, n).
        ridge: the diagonal of Λ (n,).
        features: E (n, m).
        text_regularization: λ_t.
        pull: κ.

    Returns:
        B (n, n), and what an item without interactions needs to join.
    """
    P = inverse_spd(plus_diagonal(gram, ridge + pull))
    K = inverse_spd(features.T @ features + text_regularization * np.eye(features.shape[1]))
    projected = features @ K
    q = 1.0 / (1.0 - np.einsum("im,im->i", projected, features))
    M = pull * (P @ projected)
    B = M @ (features * q[:, None]).T
    P *= (1.0 + np.diag(B)) / np.diag(P)
    B -= P
    np.fill_diagonal(B, 0.0)
    return np.asarray(B), TextPart(M, K, features * q[:, None])


def mixed_columns(
    weights: NDArray[Any], known: NDArray[Any], places: NDArray[np.int64], texts: Floats, kernel: "TextKernel"
) -> NDArray[Any]:
    """Return a copy of ``weights`` (r, n) in which some columns are mixtures of the landmarks' (r, l) by ``kernel``."""
    found = weights.copy()
    for rows, shares in kernel.blocks(texts):
        found[:, places[rows]] = known @ shares.T
    return found


@dataclass(frozen=True)
class TextPart:
    """The text part of B, in factors. An item e without interactions has P_ei = 0 for every other i, so its column is
    M e / (1 - eᵀKe) and its row κ / (λ + κ) eᵀK Eᵀ diag(q); K is kept, so that no other weight moves.
    """

    columns: NDArray[Any]
    """M = κ P E K (n, m)."""
    inverse: NDArray[Any]
    """K (m, m)."""
    rows: NDArray[Any]
    """diag(q) E (n, m)."""

    def column(self, e: NDArray[Any]) -> NDArray[np.float32]:
        """Return the weights of all items for items e (a, m): (n, a)."""
        q = 1.0 / (1.0 - np.einsum("am,mk,ak->a", e, self.inverse, e))
        return np.asarray((self.columns @ e.T) * q, dtype=np.float32)

    def row(self, e: NDArray[Any]) -> NDArray[np.float32]:
        """Return the weights of items e (a, m) for all items, times (λ + κ) / κ: (a, n)."""
        return np.asarray((e @ self.inverse) @ self.rows.T, dtype=np.float32)


class EASE(Engine[EASEOptions]):
    """EASE; with features and ``text_pull`` > 0 its weights are pulled toward EASE on the texts."""

    options_class = EASEOptions
    scores_cold_items = True
    text: TextPart | None = None
    #: Embeddings (a, m) of items that joined after the fit, with their columns, rows and weights among themselves.
    newcomers: Floats = np.zeros((0, 0), np.float32)
    new_columns: Floats
    new_rows: Floats
    new_block: Floats

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        o = self.options
        if self.n_items > o.max_items:
            raise BadInputError(
                f"EASE holds n_items² weights: {self.n_items} items are more than max_items = {o.max_items} "
                f"({8 * self.n_items**2 / 2**30:.0f} GiB while fitting). "
                "Raise max_items, or set hybrid_cf.without: [ease]."
            )
        gram = weighted_gram(train, o.user_weight_power)
        ridge = penalty(gram, o.regularization, o.dropout)
        if features is None or o.text_pull == 0:
            weights = ease_weights(gram, ridge)
        else:
            weights, self.text = pulled_ease_weights(
                gram, ridge, features.astype(np.float64), o.text_regularization, o.text_pull
            )
        self.weights: NDArray[Any] = weights.astype(np.float32)

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        n = len(self.weights)
        if n == self.n_items:
            return np.asarray(history @ self.weights, dtype=np.float32)
        old, new = sparse.csr_matrix(history[:, :n]), sparse.csr_matrix(history[:, n:])
        return np.hstack([old @ self.weights + new @ self.new_rows, old @ self.new_columns + new @ self.new_block])

    def _append(self, features: Floats) -> None:
        n, before = len(self.weights), self.newcomers
        self.newcomers = np.vstack([before, features]) if before.size else np.asarray(features)
        e, a = self.newcomers, len(self.newcomers)
        if self.text is None:
            self.new_columns, self.new_rows = np.zeros((n, a), np.float32), np.zeros((a, n), np.float32)
            self.new_block = np.zeros((a, a), np.float32)
            return
        q = 1.0 / (1.0 - np.einsum("am,mk,ak->a", e, self.text.inverse, e))
        share = self.options.text_pull / (self.options.text_pull + self.options.regularization)
        self.new_columns, self.new_rows = self.text.column(e), np.float32(share) * self.text.row(e)
        self.new_block = np.asarray(share * (e @ self.text.inverse @ e.T) * q, dtype=np.float32)
        np.fill_diagonal(self.new_block, 0.0)

    def impute_cold_items(self, cold: NDArray[np.int64], texts: Floats, kernel: "TextKernel") -> Self:
        """See :meth:`Engine.with_cold`: the weights toward these items are mixed, those from them stay."""
        twin, n = copy.copy(self), len(self.weights)
        fitted, known = cold < n, self.weights[:, kernel.landmarks]
        if fitted.any():
            twin.weights = mixed_columns(self.weights, known, cold[fitted], texts[fitted], kernel)
        if not fitted.all():
            at, new = cold[~fitted] - n, texts[~fitted]
            twin.new_columns = mixed_columns(self.new_columns, known, at, new, kernel)
            twin.new_block = mixed_columns(self.new_block, self.new_rows[:, kernel.landmarks], at, new, kernel)
            np.fill_diagonal(twin.new_block, 0.0)
        return twin

    def _state(self) -> State:
        found = {"weights": self.weights}
        if self.text is not None:
            parts = {"columns": self.text.columns, "inverse": self.text.inverse, "rows": self.text.rows}
            found |= {f"text_{name}": part.astype(np.float32) for name, part in parts.items()}
        return found

    def _load(self, state: State) -> None:
        self.weights = state["weights"]
        names = ("columns", "inverse", "rows")
        self.text = TextPart(*(state[f"text_{name}"] for name in names)) if "text_columns" in state else None


class PlainEASE(EASE):
    """EASE without features, the baseline. Items without interactions score 0."""

    scores_cold_items = False

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        super()._fit(train, warm, None)
