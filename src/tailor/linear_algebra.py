"""Symmetric positive definite systems, and the ridge regression that the whole project solves in one way."""

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tailor.errors import BadInputError
from tailor.types import AnyArray

Matrix = NDArray[np.float64]


def plus_diagonal(matrix: Matrix, diagonal: Matrix | float) -> Matrix:
    """Return a copy of ``matrix`` (n, n) with ``diagonal`` (n,), or a number, added."""
    out = matrix.copy()
    np.einsum("ii->i", out)[:] += diagonal
    return out


def inverse_spd(matrix: Matrix) -> Matrix:
    """Invert a symmetric positive definite matrix (n, n) by Cholesky, in place where LAPACK can.

    Raises:
        BadInputError: the matrix is not positive definite.
    """
    factor, info = linalg.lapack.dpotrf(matrix, lower=True, overwrite_a=True)
    if info:
        raise BadInputError(f"A Gram matrix is not positive definite (LAPACK potrf {info}); raise the regularization")
    inverse, _ = linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    lower = np.tril(inverse)
    return np.asarray(lower + np.tril(lower, -1).T)


def solve_spd(matrix: Matrix, right: AnyArray) -> Matrix:
    """Solve ``matrix`` Z = ``right`` for Z (n, d) by Cholesky; ``matrix`` (n, n) is symmetric positive definite.

    Raises:
        BadInputError: the matrix is not positive definite.
    """
    try:
        return np.asarray(linalg.cho_solve(linalg.cho_factor(matrix, lower=True), right))
    except linalg.LinAlgError as exc:
        raise BadInputError(f"A Gram matrix is not positive definite ({exc}); raise the regularization") from None


def ridge(X: AnyArray, Y: AnyArray, regularization: float, weights: AnyArray | None = None) -> Matrix:
    """Fit Y ≈ X W by ridge regression: W = (XᵀDX + λI)⁻¹ XᵀDY (Hoerl & Kennard 1970), in double precision.

    Args:
        X: inputs (n, m); append a column of ones for a bias, which is then regularized like the rest.
        Y: targets (n, d).
        regularization: λ > 0, in the units of XᵀDX.
        weights: the diagonal of D (n,), one weight per row; None weighs all rows 1.

    Returns:
        W (m, d).

    Raises:
        BadInputError: XᵀDX + λI is not positive definite.

    Example:
        >>> X, Y = np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]])
        >>> ridge(X, Y, regularization=5.0)  # 10 / (5 + 5)
        array([[1.]])
    """
    X = np.asarray(X, dtype=np.float64)
    weighted = X if weights is None else X * weights[:, None]
    return solve_spd(plus_diagonal(weighted.T @ X, regularization), weighted.T @ Y)
