"""What tests of models compare, and the same query in other clothes: other values, stored otherwise, more items."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import sparse

from tailor.models.base import Csr, Indices, Model, Query
from tailor.types import JsonObject

#: What float32 leaves of two sums in another order.
RTOL, ATOL = 1e-4, 1e-5


def assert_close(actual: Any, expected: Any, what: str = "") -> None:
    """Compare two arrays up to what float32 leaves of sums in another order."""
    np.testing.assert_allclose(actual, expected, rtol=RTOL, atol=ATOL, err_msg=what)


def snapshot(value: Any) -> Any:
    """Copy what a recipe, a train set or a query holds into plain values that can be compared by ``==``."""
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, (list, tuple)):
        return [snapshot(entry) for entry in value]
    parts = _parts(value)
    return value if parts is None else {name: snapshot(part) for name, part in parts.items()}


def _parts(value: Any) -> JsonObject | None:
    """Return what an object consists of by name; None for a plain value."""
    if isinstance(value, sparse.csr_matrix):
        return {"shape": value.shape, "data": value.data, "indices": value.indices, "indptr": value.indptr}
    if isinstance(value, BaseModel):
        return value.model_dump()
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value) if field.compare}
    return vars(value) if isinstance(value, Model) else value if isinstance(value, dict) else None


def wider(matrix: Csr, n_more: int) -> Csr:
    """Return the matrix with ``n_more`` empty columns behind its own."""
    shape = (matrix.shape[0], matrix.shape[1] + n_more)
    return sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=shape)


def wider_query(query: Query, n_more: int) -> Query:
    """Return the query over a catalogue of ``n_more`` more items."""
    order, confidence = (None if m is None else wider(m, n_more) for m in (query.order, query.confidence))
    history = wider(query.history, n_more)
    known = (query.profile, query.context, query.user_index, query.user_text)
    return Query.of(history, order, confidence, *known)


def with_values(matrix: Csr, values: NDArray[np.float32]) -> Csr:
    """Return a matrix of the same cells with other values (nnz,)."""
    return sparse.csr_matrix((values, matrix.indices.copy(), matrix.indptr.copy()), shape=matrix.shape)


def reversed_cells(matrix: Csr) -> Csr:
    """Return the matrix with the cells of each row stored from the last column to the first."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    cells: Indices = np.lexsort((-matrix.indices, row))
    return sparse.csr_matrix((matrix.data[cells], matrix.indices[cells], matrix.indptr.copy()), shape=matrix.shape)
