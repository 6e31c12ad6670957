"""EASE and text EASE: full item-item weights in closed form, for catalogues of up to some ten thousand items."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from tailor.cf.base import Engine, Floats, Mask, State
from tailor.errors import BadInputError
from tailor.options import EASEOptions


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


def ease_weights(gram: NDArray[np.float64], regularization: float) -> NDArray[np.float64]:
    """Return B = I - P diag(1/P_ii), P = (G + λI)⁻¹: Steck 2019, "Embarrassingly shallow autoencoders", eq. 8."""
    P = inverse_spd(gram + regularization * np.eye(len(gram)))
    B = P / -np.diag(P)
    np.fill_diagonal(B, 0.0)
    return np.asarray(B)


def pulled_ease_weights(
    gram: NDArray[np.float64],
    regularization: float,
    features: NDArray[np.float64],
    text_regularization: float,
    pull: float,
) -> NDArray[np.float64]:
    """Minimise |X - XB|² + λ|B|² + κ|B - B_text|² with diag(B) = 0 (L3AE 2025, eq. 7), B_text = EASE(EEᵀ, λ_t).

    With P = (G + (λ+κ)I)⁻¹ and Π(C) = C - P diag(C_ii / P_ii), the minimum is Π(P(G + κ B_text)) (eq. 8). Π takes every
    P diag(·) to 0, PG = I - (λ+κ)P, and by Woodbury B_text = I - (I - E K Eᵀ) diag(q), K = (EᵀE + λ_t I)⁻¹ and
    q_i = 1 / (1 - e_iᵀ K e_i). What is left is plain EASE plus a correction of rank m, so B_text is never formed:

        B = Π(I) + κ Π(P E K Eᵀ diag(q))

    Args:
        gram: G = XᵀX (n, n).
        regularization: λ.
        features: E (n, m).
        text_regularization: λ_t.
        pull: κ.
    """
    P = inverse_spd(gram + (regularization + pull) * np.eye(len(gram)))
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
        gram = np.asarray((train.T @ train).toarray(), dtype=np.float64)
        if features is None or o.text_pull == 0:
            weights = ease_weights(gram, o.regularization)
        else:
            weights = pulled_ease_weights(
                gram, o.regularization, features.astype(np.float64), o.text_regularization, o.text_pull
            )
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
