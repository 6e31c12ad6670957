"""Symmetric positive definite systems."""

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tailor.errors import BadInputError


def plus_diagonal(matrix: NDArray[np.float64], diagonal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a copy of ``matrix`` (n, n) with ``diagonal`` (n,) added."""
    out = matrix.copy()
    np.einsum("ii->i", out)[:] += diagonal
    return out


def inverse_spd(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert a symmetric positive definite matrix (n, n) by Cholesky, in place where LAPACK can."""
    factor, info = linalg.lapack.dpotrf(matrix, lower=True, overwrite_a=True)
    if info:
        raise BadInputError(f"A Gram matrix is not positive definite (LAPACK potrf {info}); raise the regularization")
    inverse, _ = linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    lower = np.tril(inverse)
    return np.asarray(lower + np.tril(lower, -1).T)
