"""Symmetric positive definite systems: the one place where they are inverted and solved."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tailor.errors import BadInputError


def plus_diagonal(matrix: NDArray[np.float64], diagonal: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return a copy of ``matrix`` (n, n) with ``diagonal`` (n,), or a number, added."""
    out = matrix.copy()
    np.einsum("ii->i", out)[:] += diagonal
    return out


def inverse_spd(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
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


def solve_spd(gram: NDArray[Any], regularization: float, target: NDArray[Any]) -> NDArray[np.float64]:
    """Return (G + λI)⁻¹ T (n, k), by Cholesky.

    Args:
        gram: G, symmetric and positive semi-definite (n, n).
        regularization: λ, above 0 unless G is positive definite.
        target: T (n, k).

    Raises:
        BadInputError: G + λI is not positive definite.
    """
    _, solution, info = linalg.lapack.dposv(plus_diagonal(np.asarray(gram, np.float64), regularization), target)
    if info:
        raise BadInputError(f"A Gram matrix is not positive definite (LAPACK posv {info}); raise the regularization")
    return np.asarray(solution)


def ridge(
    X: NDArray[Any], Y: NDArray[Any], regularization: float, weights: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Return (XᵀDX + λI)⁻¹ XᵀDY (p, k), D = diag(weights): weighted ridge regression of Y (n, k) on X (n, p).

    Hoerl & Kennard 1970, "Ridge regression: biased estimation for nonorthogonal problems", eq. 2.1.

    Example:
        >>> ridge(np.eye(2), np.array([[2.0], [4.0]]), 1.0).ravel()
        array([1., 2.])
    """
    weighted = X if weights is None else X * weights[:, None]
    return solve_spd(weighted.T @ X, regularization, weighted.T @ Y)
