"""Symmetric positive definite systems, and the ridge regression that the whole project solves in one way."""

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import linalg

from tailor.errors import BadInputError
from tailor.progress import announce
from tailor.types import AnyArray

Matrix = NDArray[np.float64]
AnyMatrix = TypeVar("AnyMatrix", NDArray[np.float64], NDArray[np.float32])
#: Rows of a square matrix up to which it is held in double precision: 8 n² bytes, half a GiB.
DOUBLE_UP_TO = 8_000
#: Rows and columns that are mirrored at a time.
_TILE = 512
#: Rows of a regression that are in double precision at a time.
_ROWS = 65_536


def precision(n: int) -> DTypeLike:
    """Return the type that square matrices of n rows are held in: above ``DOUBLE_UP_TO`` rows single precision."""
    return np.float64 if n <= DOUBLE_UP_TO else np.float32


def plus_diagonal(matrix: AnyMatrix, diagonal: AnyArray | float) -> AnyMatrix:
    """Return a copy of ``matrix`` (n, n) with ``diagonal`` (n,), or a number, added."""
    out = matrix.copy()
    add_to_diagonal(out, diagonal)
    return out


def unit_rows(rows: AnyArray) -> AnyArray:
    """Scale the rows of a matrix (n, m) to length 1; one of zeros stays.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), dtype=rows.dtype)


def add_to_diagonal(matrix: AnyArray, diagonal: AnyArray | float) -> None:
    """Add ``diagonal`` (n,), or a number, to ``matrix`` (n, n) in place."""
    np.einsum("ii->i", matrix)[:] += np.asarray(diagonal, dtype=matrix.dtype)


def inverse_spd(matrix: AnyMatrix) -> AnyMatrix:
    """Invert a symmetric positive definite matrix (n, n) by Cholesky, in its own precision and its own memory.

    Args:
        matrix: is overwritten; only its lower triangle is read.

    Raises:
        BadInputError: the matrix is not positive definite.
    """
    matrix = np.ascontiguousarray(matrix)
    announce(f"inverse of a matrix of {len(matrix):,} rows", len(matrix) ** 3)
    of_single = matrix.dtype == np.float32
    potrf, potri = (getattr(linalg.lapack, ("s" if of_single else "d") + name) for name in ("potrf", "potri"))
    # LAPACK reads columns: it gets the transpose, whose lower triangle is the upper one here.
    _copy_upper_to_lower(matrix.T)
    factor, info = potrf(matrix.T, lower=True, overwrite_a=True)
    if info:
        raise BadInputError(f"A Gram matrix is not positive definite (LAPACK potrf {info}); raise the regularization")
    inverse = potri(factor, lower=True, overwrite_c=True)[0].T
    _copy_upper_to_lower(inverse)
    return cast(AnyMatrix, inverse)


def _copy_upper_to_lower(matrix: AnyArray) -> None:
    """Make a square matrix symmetric in place, tile by tile."""
    for start in range(0, len(matrix), _TILE):
        rows, after = slice(start, start + _TILE), slice(start + _TILE, None)
        matrix[after, rows] = matrix[rows, after].T
        tile = matrix[rows, rows]
        lower = np.tril_indices(len(tile), -1)
        tile[lower] = tile.T[lower]


def solve_spd(matrix: Matrix, right: AnyArray) -> Matrix:
    """Solve ``matrix`` Z = ``right`` for Z (n, d) by Cholesky; ``matrix`` (n, n) is symmetric positive definite.

    Raises:
        BadInputError: the matrix is not positive definite.
    """
    announce(f"solution of {len(matrix):,} equations", len(matrix) ** 3 / 3 + 2 * len(matrix) * right.size)
    return np.asarray(linalg.cho_solve(_cholesky(matrix), right))


def _cholesky(matrix: Matrix) -> tuple[AnyArray, bool]:
    try:
        return cast(tuple[AnyArray, bool], linalg.cho_factor(matrix, lower=True))
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
    return RidgeSolver(X, regularization, weights).solve(Y)


class RidgeSolver:
    """:func:`ridge` for several targets of the same inputs: XᵀDX + λI is factorized once.

    Inputs are held as they are given; ``_ROWS`` of them at a time are in double precision.
    """

    def __init__(self, X: AnyArray, regularization: float, weights: AnyArray | None = None) -> None:
        """Factorize; arguments and errors as of :func:`ridge`."""
        self._X, self._weights = X, weights
        gram = self._sum(lambda rows, weighted: weighted.T @ X[rows].astype(np.float64, copy=False))
        self._factor = _cholesky(plus_diagonal(gram, regularization))

    def solve(self, Y: AnyArray) -> Matrix:
        """Return W (m, d) for targets (n, d)."""
        return np.asarray(linalg.cho_solve(self._factor, self._sum(lambda rows, weighted: weighted.T @ Y[rows])))

    def _sum(self, product: Callable[[slice, Matrix], Matrix]) -> Matrix:
        """Return the sum of products with D X over stretches of rows."""
        total: Matrix | None = None
        for start in range(0, max(len(self._X), 1), _ROWS):
            rows = slice(start, start + _ROWS)
            part = np.asarray(self._X[rows], dtype=np.float64)
            made = product(rows, part if self._weights is None else part * self._weights[rows, None])
            total = made if total is None else total + made
        return cast(Matrix, total)
