"""EASE and text EASE: full item-item weights in closed form, for catalogues of up to some ten thousand items."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from tailor.cf.base import Engine, Floats, Mask, State
from tailor.errors import BadInputError
from tailor.options import EASEOptions


def plus_diagonal(matrix: NDArray[np.float64], diagonal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a copy of ``matrix`` (n, n) with ``diagonal`` (n,) added."""
    out = matrix.copy()
    np.einsum("ii->i", out)[:] += diagonal
    return out


def inverse_spd(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert a symmetric positive definite matrix (n, n) by Cholesky, in place where LAPACK can."""
    factor, info = linalg.lapack.dpotrf(matrix, lower=True, overwrite_a=True)
    if info:
        raise BadInputError(
            f"EASE: the Gram matrix is not positive definite (LAPACK potrf {info}); raise regularization"
        )
    inverse, _ = linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    lower = np.tril(inverse)
    return np.asarray(lower + np.tril(lower, -1).T)


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
) -> NDArray[np.float64]:
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
    """
    P = inverse_spd(plus_diagonal(gram, ridge + pull))
    K = inverse_spd(features.T @ features + text_regularization * np.eye(features.shape[1]))
    projected = features @ K
    q = 1.0 / (1.0 - np.einsum("im,im->i", projected, features))
    B = (P @ projected) @ (features * (pull * q)[:, None]).T
    P *= (1.0 + np.diag(B)) / np.diag(P)
    B -= P
    np.fill_diagonal(B, 0.0)
    return np.asarray(B)


class EASE(Engine[EASEOptions]):
    """EASE; with features and ``text_pull`` > 0 its weights are pulled toward EASE on the texts."""

    options_class = EASEOptions
    scores_cold_items = True

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        o = self.options
        if self.n_items > o.max_items:
            raise BadInputError(
                f"EASE holds n_items² weights: {self.n_items} items are more than max_items = {o.max_items} "
                f"({8 * self.n_items**2 / 2**30:.0f} GiB while fitting). Raise max_items, or leave EASE out."
            )
        gram = weighted_gram(train, o.user_weight_power)
        ridge = penalty(gram, o.regularization, o.dropout)
        if features is None or o.text_pull == 0:
            weights = ease_weights(gram, ridge)
        else:
            weights = pulled_ease_weights(gram, ridge, features.astype(np.float64), o.text_regularization, o.text_pull)
        self.weights: NDArray[Any] = weights.astype(np.float32)

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return np.asarray(history @ self.weights, dtype=np.float32)

    def _state(self) -> State:
        return {"weights": self.weights}

    def _load(self, state: State) -> None:
        self.weights = state["weights"]


class PlainEASE(EASE):
    """EASE without features, the baseline. Items without interactions score 0."""

    scores_cold_items = False

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        super()._fit(train, warm, None)
