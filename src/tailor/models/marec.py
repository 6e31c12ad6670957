"""MARec: EASE whose weights of rare items are aligned with the similarity of texts, in closed form.

    X̃ = μ X S,   S_ij = e_i · e_j (i ≠ j), S_ii = 0
    B = I - P diag(1 / P_jj),   P = (XᵀX + XᵀX̃ D + λI)⁻¹,   D = diag(a (p - n_j)₊ / p)

Monteil et al. 2024, "MARec: Metadata alignment for cold-start recommendation", with EASE as its backbone. n_j counts
interactions, p is a percentile of them and at least 1; μ is the slope of the regression of X on X S with an intercept,
in which an empty cell weighs a fifth of an interaction. Items of more than p interactions are predicted as by EASE. The
column of an item c without any is the ridge regression of its texts' similarity:

    min_b |X b - a X̃_c|² + λ|b|²

The formulas are those of the authors' notebooks, not of the paper's text, which was not at hand: the percentile, the
fifth, the empty diagonal of S, and P, the inverse of a matrix that is not symmetric where items with interactions are
aligned, so that B is then no minimum of a sum of squares.
Their α and β occur as a product alone, which is a here. They add a similarity per kind of metadata, each with its μ;
here the embedding is the one kind, and their shrinkage of the cosine is left out: on embeddings of length 1 it is a
factor that μ takes back.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from tailor.appending import append_columns
from tailor.config import Count, Options, Positive
from tailor.errors import BadInputError
from tailor.linear_algebra import add_to_diagonal, inverse_spd, precision
from tailor.models.base import Csr, FittedModel, Floats, Indices, Model, Query, State, TrainSet
from tailor.models.ease import weighted_gram
from tailor.models.item_weights import ItemWeights, cells, from_state, sparse_weights, state_of, weigh
from tailor.models.registry import register_model
from tailor.progress import announce, progress
from tailor.threads import blocks
from tailor.types import AnyArray

#: What an empty cell weighs in the regression of X on X S; an interaction weighs 1.
_EMPTY = 0.2


class MARecConfig(Options):
    """Configuration of :class:`MARec`."""

    regularization: Positive = 200.0
    """λ on B."""
    alignment: Annotated[float, Field(ge=0.0)] = 1.0
    """a: how far an item without interactions is aligned; 0 is plain EASE."""
    percentile: Annotated[float, Field(ge=0.0, le=100.0)] = 10.0
    """Of the items' interactions: items with more than this many are not aligned."""
    max_dense_items: Count = 10_000
    """Items up to which B is full, n_items² floats; in larger catalogues an item is predicted from the nearest ones."""
    neighbours: Count = 200
    """How many these are."""


@dataclass(frozen=True, eq=False)
class FittedMARec(FittedModel):
    """Item-item weights B; a user's scores are x B."""

    recipe: Model[MARecConfig]
    weights: ItemWeights
    """B over the items of the fit (n, n)."""
    text_map: Floats
    """a μ P XᵀX E (n, m): times the text of an item without interactions, its column of B."""
    new_columns: Floats
    """Weights toward items that joined after the fit (n, a)."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return self.n_fitted + int(self.new_columns.shape[1])

    @property
    def n_fitted(self) -> int:
        """Items of the fit."""
        return int(self.weights.shape[0])

    def _score(self, query: Query) -> Floats:
        known = sparse.csr_matrix(query.weights[:, : self.n_fitted])
        return np.hstack([weigh(known, self.weights), weigh(known, self.new_columns)])

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: c_h B_hi, 0 of items that joined after the fit."""
        known, n_fitted = query.weights.indices, self.n_fitted
        shares = np.zeros((len(items), len(known)))
        h, fitted = np.flatnonzero(known < n_fitted), items < n_fitted
        confidence = query.weights.data[h]
        shares[np.ix_(fitted, h)] = cells(self.weights, known[h], items[fitted]).T * confidence
        shares[np.ix_(~fitted, h)] = cells(self.new_columns, known[h], items[~fitted] - n_fitted).T * confidence
        return shares

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: what a cold item of the fit with that text would be."""
        columns = np.asarray(self.text_map @ features.T, dtype=np.float32)
        return replace(self, new_columns=append_columns(self.new_columns, columns))

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        state = state_of(self.weights) | {"text_map": self.text_map}
        return state | {"new_columns": self.new_columns} if self.new_columns.size else state


def alignment(counts: Indices, percentile: float) -> NDArray[np.float64]:
    """Return how far each item is aligned (n,), from 1 without interactions down to 0 at the percentile p.

    Args:
        counts: interactions of each item (n,).
        percentile: of the counts of all items; p is at least 1.
    """
    p = max(float(np.percentile(counts, percentile)), 1.0)
    return np.asarray(np.clip(1.0 - counts / p, 0.0, None))


def similarity_slope(train: Csr, features: AnyArray) -> float:
    """Return μ: the slope of X on X S over all cells, empty ones weighing a fifth, with an intercept.

    Cells z of X S are (x_u E) · e_j - x_uj |e_j|². Sums over all of them need sums of E alone, so X S is never formed.

    Args:
        train: X (U, n), 0/1.
        features: E (n, m).

    Returns:
        0 where X S is the same everywhere.
    """
    E = features.astype(np.float64)
    squares, of_pairs, total = (E**2).sum(axis=1), E.T @ E, E.sum(axis=0)
    sums = np.zeros(4)
    for part in progress(blocks(train.shape[0]), "MARec: similarities", "block"):
        rows = train[part]
        of_users, removed = rows @ E, squares[rows.indices]
        z = np.einsum("cm,cm->c", np.repeat(of_users, np.diff(rows.indptr), axis=0), E[rows.indices]) - removed
        every = of_users.sum(axis=0) @ total - removed.sum()
        every_squared = ((of_users.T @ of_users) * of_pairs).sum() - (removed * (2 * z + removed)).sum()
        sums += every, every_squared, z.sum(), (z**2).sum()
    weight = _EMPTY * train.shape[0] * train.shape[1] + (1 - _EMPTY) * train.nnz
    mean, mean_square = (_EMPTY * sums[:2] + (1 - _EMPTY) * sums[2:]) / weight
    variance, covariance = mean_square - mean**2, (sums[2] - mean * train.nnz) / weight
    return float(covariance / variance) if variance > 1e-9 * mean**2 else 0.0


def aligned_weights(
    gram: Csr, features: AnyArray, pull: AnyArray, strongest: float, regularization: float
) -> tuple[Floats, AnyArray]:
    """Return B of :mod:`tailor.models.marec` (n, n), and what a text makes a column of B for an item without any rows.

    Items without interactions have empty rows in XᵀX, so P is needed among the others alone.

    Args:
        gram: XᵀX (n, n).
        features: E (n, m).
        pull: the diagonal of D, times μ (n,).
        strongest: of ``pull``: that of an item without interactions.
        regularization: λ.

    Returns:
        B, and a μ P XᵀX E (n, m).

    Raises:
        BadInputError: the matrix to invert is singular.
    """
    n, known = gram.shape[0], np.flatnonzero(gram.diagonal() > 0)
    matrix, E = gram[known][:, known].toarray(), features[known]
    taken_with = matrix @ E
    aligned = np.flatnonzero(pull[known])
    for part in blocks(len(aligned)):
        j = aligned[part]
        of_texts = taken_with @ E[j].T - matrix[:, j] * (E[j] ** 2).sum(axis=1)
        matrix[:, j] += of_texts * pull[known][j]
    add_to_diagonal(matrix, regularization)
    P = _inverse(matrix) if len(aligned) else inverse_spd(matrix)
    text_map = np.zeros(features.shape, dtype=features.dtype)
    text_map[known] = strongest * (P @ taken_with)
    P /= -np.diag(P)
    np.fill_diagonal(P, 0.0)
    weights = np.zeros((n, n), np.float32)
    weights[np.ix_(known, known)] = P
    cold = np.setdiff1d(np.arange(n), known)
    weights[:, cold] = text_map @ features[cold].T
    return weights, text_map


def _inverse(matrix: AnyArray) -> AnyArray:
    announce(f"inverse of a matrix of {len(matrix):,} rows", 2 * len(matrix) ** 3)
    try:
        return np.asarray(np.linalg.inv(matrix))
    except np.linalg.LinAlgError:
        raise BadInputError("MARec has no solution: its matrix is singular; lower the alignment") from None


def nearest_aligned_weights(
    gram: Csr, features: AnyArray, pull: AnyArray, regularization: float, neighbours: int
) -> Csr:
    """Return B (n, n), each column over its nearest items alone: those of the largest cells of XᵀX + XᵀX̃ D.

    Column j is then the ridge regression of x_j + d_j x̃_j.

    Args:
        gram: XᵀX (n, n).
        features: E (n, m).
        pull: the diagonal of D, times μ (n,).
        regularization: λ.
        neighbours: how many items are nearest.
    """
    taken_with, squares = gram @ features, (features**2).sum(axis=1)

    def right(rows: slice) -> Floats:
        d = pull[rows, None]
        cells = gram[rows].toarray() * (1 - d * squares[rows, None]) + d * (features[rows] @ taken_with.T)
        cells[np.arange(len(cells)), np.arange(rows.start, rows.start + len(cells))] = 0
        return np.asarray(cells, dtype=np.float32)

    diagonal = gram.diagonal()
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1)).astype(np.float32)
    return sparse_weights(gram, np.full(len(scale), regularization), right, neighbours, scale, "marec")


@register_model("marec")
class MARec(Model[MARecConfig]):
    """EASE that leads to rare and cold items by their texts; without texts plain EASE."""

    config_class = MARecConfig
    scores_cold_items = True

    def fit(self, data: TrainSet) -> FittedMARec:
        """See :meth:`Model.fit`.

        Raises:
            BadInputError: the alignment is so strong that the closed form has no solution.
        """
        config, n = self.config, data.n_items
        gram, E = weighted_gram(data.interactions, 0.0), data.item_features.astype(precision(n))
        strongest = config.alignment * similarity_slope(data.interactions, E)
        pull = strongest * alignment(data.counts, config.percentile)
        weights: ItemWeights
        if n <= config.max_dense_items:
            weights, text_map = aligned_weights(gram, E, pull, strongest, config.regularization)
        else:
            weights = nearest_aligned_weights(gram, E, pull, config.regularization, config.neighbours)
            # P XᵀX is taken to be diagonal.
            text_map = strongest * E * (gram.diagonal() / (gram.diagonal() + config.regularization))[:, None]
        text_map = text_map.astype(np.float32)
        return FittedMARec(self, weights, text_map, np.zeros((n, 0), np.float32))

    def load(self, state: State) -> FittedMARec:
        """See :meth:`Model.load`."""
        weights = from_state(state)
        new_columns = state.get("new_columns", np.zeros((weights.shape[0], 0), np.float32))
        return FittedMARec(self, weights, state["text_map"], new_columns)
