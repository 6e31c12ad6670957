"""EASE and text EASE: item-item weights in closed form, for all pairs of up to some ten thousand items; of larger
catalogues for the nearest items alone.
"""

from dataclasses import dataclass, fields, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from tailor.config import Count, Fraction, Options, Positive
from tailor.linear_algebra import AnyMatrix, add_to_diagonal, inverse_spd, plus_diagonal, precision
from tailor.models.base import (
    ColdItemImputer,
    Csr,
    FittedModel,
    Floats,
    Indices,
    Model,
    Query,
    State,
    TrainSet,
)
from tailor.models.item_weights import (
    ItemWeights,
    cells,
    from_state,
    impute_columns,
    impute_weights,
    sparse_weights,
    state_of,
    weigh,
)
from tailor.models.registry import register_model
from tailor.types import AnyArray


class EASEConfig(Options):
    """Configuration of :class:`EASE` (Steck 2019) and :class:`TextEASE`, pulled toward a text EASE (L3AE 2025)."""

    regularization: Positive = 200.0
    """λ on B."""
    dropout: Fraction = 0.0
    """Chance p of an item to be missing from the history it is predicted from (Steck 2020): adds p/(1-p) n_i to λ."""
    user_weight_power: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """A user's row weighs (mean length / n_u)^this: 0 treats interactions alike, 1 treats users alike."""
    text_pull: Annotated[float, Field(ge=0.0)] = 0.0
    """κ on the distance between B and the text EASE; 0 is plain EASE."""
    text_regularization: Positive = 1.0
    """λ of the text EASE itself."""
    max_dense_items: Count = 10_000
    """Items up to which B is full, n_items² floats; in larger catalogues an item is predicted from the nearest ones."""
    neighbours: Count = 200
    """How many these are."""

    renamed: ClassVar[dict[str, str]] = {"max_items": "max_dense_items"}


def weighted_gram(train: Csr, power: float) -> Csr:
    """Return G = Xᵀ diag(w) X (n, n) with w_u = (mean history length / n_u)^power: 0 treats interactions alike."""
    lengths = np.diff(train.indptr).astype(np.float64)
    mean = lengths[lengths > 0].mean() if len(train.data) else 1.0
    rows = sparse.diags((mean / np.maximum(lengths, 1)) ** power) @ train
    # A column of a symmetric matrix is a row.
    return sparse.csr_matrix((train.T @ rows.astype(precision(train.shape[1]))).T)


def penalty(diagonal: AnyArray, regularization: float, dropout: float) -> NDArray[np.float64]:
    """Return the diagonal Λ = λI + p / (1 - p) diag(G), (n,), of EASE trained on histories with dropout p.

    Steck 2020, "Autoencoders that don't overfit towards the identity", eq. 5 and 9: frequent items are held back more.

    Args:
        diagonal: of G (n,).
        regularization: λ.
        dropout: p.
    """
    return np.asarray(regularization + dropout / (1 - dropout) * diagonal, dtype=np.float64)


def ease_weights(gram: AnyMatrix, ridge: AnyArray) -> AnyMatrix:
    """Return B = I - P diag(1/P_ii), P = (G + diag(Λ))⁻¹: Steck 2019, "Embarrassingly shallow autoencoders", eq. 8.

    Args:
        gram: G (n, n), which B overwrites.
        ridge: the diagonal of Λ (n,).
    """
    add_to_diagonal(gram, ridge)
    B = inverse_spd(gram)
    B /= -np.diag(B)
    np.fill_diagonal(B, 0.0)
    return B


def pulled_ease_weights(
    gram: AnyArray, ridge: AnyArray, features: AnyArray, text_regularization: float, pull: float
) -> tuple[AnyArray, "TextPart"]:
    """Minimise |X - XB|² + |Λ^½ B|² + κ|B - B_text|² with diag(B) = 0 (L3AE 2025, eq. 7), B_text = EASE(EEᵀ, λ_t).

    With P = (G + Λ + κI)⁻¹ and Π(C) = C - P diag(C_ii / P_ii), the minimum is Π(P(G + κ B_text)) (eq. 8). Π takes every
    P diag(·) to 0, PG = I - P(Λ + κI), and by Woodbury B_text = I - (I - E K Eᵀ) diag(q), K = (EᵀE + λ_t I)⁻¹ and
    q_i = 1 / (1 - e_iᵀ K e_i). What is left is plain EASE plus a correction of rank m, so B_text is never formed:

        B = Π(I) + κ Π(P E K Eᵀ diag(q))

    Args:
        gram: G = XᵀX (n, n), which is overwritten.
        ridge: the diagonal of Λ (n,).
        features: E (n, m).
        text_regularization: λ_t.
        pull: κ.

    Returns:
        B (n, n), and what an item without interactions needs to join.
    """
    add_to_diagonal(gram, ridge + pull)
    P = inverse_spd(gram)
    K, projected, scaled = _text_ease(features, text_regularization)
    M = pull * (P @ projected)
    B = M @ scaled.T
    P *= (1.0 + np.diag(B)) / np.diag(P)
    B -= P
    np.fill_diagonal(B, 0.0)
    return B, TextPart(M, K, scaled)


def _text_ease(features: AnyArray, regularization: float) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return K (m, m), E K and diag(q) E (n, m): off the diagonal, the text EASE is E K (diag(q) E)ᵀ."""
    K = inverse_spd(plus_diagonal(features.T @ features, regularization))
    projected = features @ K
    q = 1.0 / (1.0 - np.einsum("im,im->i", projected, features))
    return K, projected, features * q[:, None]


def nearest_ease_weights(gram: Csr, ridge: AnyArray, neighbours: int) -> Csr:
    """Return the B of :func:`ease_weights` (n, n), each column over its nearest items alone.

    Args:
        gram: G (n, n).
        ridge: the diagonal of Λ (n,).
        neighbours: how many items are nearest.
    """

    def right(rows: slice) -> Floats:
        return _without_own(np.asarray(gram[rows].toarray(), dtype=np.float32), rows)

    return sparse_weights(gram, ridge, right, neighbours, _roots(gram.diagonal()), "ease")


def nearest_pulled_ease_weights(
    gram: Csr, ridge: AnyArray, features: Floats, text_regularization: float, pull: float, neighbours: int
) -> tuple[Csr, "TextPart"]:
    """Return the B of :func:`pulled_ease_weights` (n, n), each column over its nearest items alone, and what an item
    without interactions needs to join.

    The right side is G + κ B_text, so that near are items that were taken together or have similar texts. For items
    that join, P is taken to be diagonal.

    Args:
        gram: G (n, n).
        ridge: the diagonal of Λ (n,).
        features: E (n, m).
        text_regularization: λ_t.
        pull: κ.
        neighbours: how many items are nearest.
    """
    K, projected, scaled = _text_ease(features, text_regularization)

    def right(rows: slice) -> Floats:
        of_texts = scaled[rows] @ projected.T
        return _without_own(gram[rows].toarray() + np.float32(pull) * of_texts, rows)

    weights = sparse_weights(gram, ridge + pull, right, neighbours, _roots(gram.diagonal() + pull), "text_ease")
    M = pull * projected / (gram.diagonal() + ridge + pull)[:, None]
    return weights, TextPart(M, K, scaled)


def _without_own(right: AnyArray, rows: slice) -> Floats:
    """Return the right sides (b, n) of items without that of each for itself."""
    right[np.arange(len(right)), np.arange(rows.start, rows.start + len(right))] = 0
    return np.asarray(right, dtype=np.float32)


def _roots(values: AnyArray) -> Floats:
    """Return square roots (n,), 1 of 0."""
    return np.asarray(np.sqrt(np.where(values > 0, values, 1)), dtype=np.float32)


@dataclass(frozen=True)
class TextPart:
    """The text part of B, in factors. An item e without interactions has P_ei = 0 for every other i, so its column is
    M e / (1 - eᵀKe) and its row κ / (λ + κ) eᵀK Eᵀ diag(q); K is kept, so that no other weight moves.
    """

    columns: AnyArray
    """M = κ P E K (n, m)."""
    inverse: AnyArray
    """K (m, m)."""
    rows: AnyArray
    """diag(q) E (n, m)."""

    def column(self, e: AnyArray) -> NDArray[np.float32]:
        """Return the weights of all items for items e (a, m): (n, a)."""
        q = 1.0 / (1.0 - np.einsum("am,mk,ak->a", e, self.inverse, e))
        return np.asarray((self.columns @ e.T) * q, dtype=np.float32)

    def row(self, e: AnyArray) -> NDArray[np.float32]:
        """Return the weights of items e (a, m) for all items, times (λ + κ) / κ: (a, n)."""
        return np.asarray((e @ self.inverse) @ self.rows.T, dtype=np.float32)

    def block(self, e: AnyArray) -> NDArray[np.float64]:
        """Return the weights among items e (a, m), times (λ + κ) / κ: (a, a)."""
        q = 1.0 / (1.0 - np.einsum("am,mk,ak->a", e, self.inverse, e))
        return np.asarray((e @ self.inverse @ e.T) * q)


@dataclass(frozen=True)
class JoinedItems:
    """Items that joined after the fit (a), with their weights from and toward the n fitted ones and each other."""

    features: Floats
    """(a, m)."""
    columns: Floats
    """From the fitted items toward these (n, a)."""
    rows: Floats
    """From these toward the fitted items (a, n)."""
    block: Floats
    """Among themselves (a, a), 0 on the diagonal."""

    @classmethod
    def none(cls, n_fitted: int) -> Self:
        """Return no items."""
        none = np.zeros((0, 0), np.float32)
        return cls(none, np.zeros((n_fitted, 0), np.float32), np.zeros((0, n_fitted), np.float32), none)


@dataclass(frozen=True, eq=False)
class FittedEASE(FittedModel):
    """Item-item weights B; a user's scores are x B."""

    recipe: Model[EASEConfig]
    weights: ItemWeights
    """B over the items of the fit (n, n)."""
    text: TextPart | None
    """What an item without interactions needs to join; None without texts."""
    joined: JoinedItems

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return self.n_fitted + int(self.joined.columns.shape[1])

    @property
    def n_fitted(self) -> int:
        """Items of the fit."""
        return int(self.weights.shape[0])

    def _score(self, query: Query) -> Floats:
        n_fitted, x = self.n_fitted, query.weights
        if n_fitted == self.n_items:
            return weigh(x, self.weights)
        fitted, joined = sparse.csr_matrix(x[:, :n_fitted]), sparse.csr_matrix(x[:, n_fitted:])
        toward_fitted = weigh(fitted, self.weights) + joined @ self.joined.rows
        return np.hstack([toward_fitted, fitted @ self.joined.columns + joined @ self.joined.block])

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: c_h B_hi."""
        n_fitted, known = self.n_fitted, query.weights.indices
        shares = np.zeros((len(known), len(items)))
        joined = self.joined
        for part, from_joined, to_joined in (
            (self.weights, False, False),
            (joined.columns, False, True),
            (joined.rows, True, False),
            (joined.block, True, True),
        ):
            h, i = np.flatnonzero((known >= n_fitted) == from_joined), np.flatnonzero((items >= n_fitted) == to_joined)
            if len(h) and len(i):
                rows, columns = known[h] - n_fitted * from_joined, items[i] - n_fitted * to_joined
                shares[np.ix_(h, i)] = cells(part, rows, columns)
        return np.asarray(shares.T * query.weights.data)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: their weights are those of their texts, 0 without texts."""
        before = self.joined.features
        e = np.vstack([before, features]) if len(before) else np.asarray(features)
        n_fitted, n_joined = self.n_fitted, self.joined.columns.shape[1] + len(features)
        if self.text is None:
            rows = np.zeros((n_joined, n_fitted), np.float32)
            block = np.zeros((n_joined, n_joined), np.float32)
            return replace(self, joined=JoinedItems(e, rows.T.copy(), rows, block))
        block = np.asarray(self._share * self.text.block(e), dtype=np.float32)
        np.fill_diagonal(block, 0.0)
        return replace(self, joined=JoinedItems(e, self.text.column(e), self._row(e), block))

    @property
    def _share(self) -> float:
        """κ / (λ + κ): how far the rows of items without interactions follow their texts."""
        config = self.recipe.config
        return config.text_pull / (config.text_pull + config.regularization)

    def _row(self, e: Floats) -> Floats:
        """Return the weights of items with texts e (a, m) for the fitted ones (a, n)."""
        if self.text is None:
            return np.zeros((len(e), self.n_fitted), np.float32)
        return np.asarray(np.float32(self._share) * self.text.row(e), dtype=np.float32)

    def impute_cold_items(self, cold: Indices, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`ImputesColdItems`: the weights toward these items are imputed, those from them stay."""
        n_fitted, in_fit = self.n_fitted, cold < self.n_fitted
        weights, joined = self.weights, self.joined
        if in_fit.any():
            weights = impute_weights(weights, cold[in_fit], features[in_fit], imputer)
        if not in_fit.all():
            columns, e = cold[~in_fit] - n_fitted, features[~in_fit]
            block = impute_columns(joined.block, joined.rows[:, imputer.landmarks], columns, e, imputer)
            np.fill_diagonal(block, 0.0)
            of_landmarks = self.weights[:, imputer.landmarks]
            toward = impute_columns(joined.columns, of_landmarks, columns, e, imputer)
            joined = replace(joined, columns=toward, block=block)
        return replace(self, weights=weights, joined=joined)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        arrays = state_of(self.weights)
        if self.text is not None:
            parts = {"columns": self.text.columns, "inverse": self.text.inverse, "rows": self.text.rows}
            arrays |= {f"text_{name}": part.astype(np.float32) for name, part in parts.items()}
        if self.joined.columns.shape[1]:
            arrays |= {f"joined_{part.name}": getattr(self.joined, part.name) for part in fields(self.joined)}
        return arrays


@register_model("text_ease")
class TextEASE(Model[EASEConfig]):
    """EASE whose weights are pulled toward EASE on the texts; without texts, or with ``text_pull`` 0, plain EASE."""

    config_class = EASEConfig
    scores_cold_items = True

    def fit(self, data: TrainSet) -> FittedEASE:
        """See :meth:`Model.fit`."""
        config, n = self.config, data.n_items
        gram = weighted_gram(data.interactions, config.user_weight_power)
        diagonal = penalty(gram.diagonal(), config.regularization, config.dropout)
        pulled = bool(data.item_features.shape[1]) and config.text_pull > 0
        weights, text = (self._pulled if pulled else self._plain)(gram, diagonal, data.item_features)
        return FittedEASE(self, weights, text, JoinedItems.none(n))

    def _plain(self, gram: Csr, ridge: AnyArray, features: Floats) -> tuple[ItemWeights, None]:  # noqa: ARG002
        n = gram.shape[0]
        if n > self.config.max_dense_items:
            return nearest_ease_weights(gram, ridge, self.config.neighbours), None
        return _single(ease_weights(gram.toarray().astype(precision(n), copy=False), ridge)), None

    def _pulled(self, gram: Csr, ridge: AnyArray, features: Floats) -> tuple[ItemWeights, TextPart]:
        config, n = self.config, gram.shape[0]
        options = (config.text_regularization, config.text_pull)
        if n > config.max_dense_items:
            return nearest_pulled_ease_weights(gram, ridge, features, *options, config.neighbours)
        full, E = (matrix.astype(precision(n), copy=False) for matrix in (gram.toarray(), features))
        weights, text = pulled_ease_weights(full, ridge, E, *options)
        return _single(weights), text

    def load(self, state: State) -> FittedEASE:
        """See :meth:`Model.load`."""
        names = ("columns", "inverse", "rows")
        text = TextPart(*(state[f"text_{name}"] for name in names)) if "text_columns" in state else None
        weights = from_state(state)
        joined = JoinedItems.none(weights.shape[0])
        if "joined_columns" in state:
            joined = JoinedItems(*(state[f"joined_{part.name}"] for part in fields(JoinedItems)))
        return FittedEASE(self, weights, text, joined)


def _single(weights: AnyArray) -> Floats:
    return np.asarray(weights, dtype=np.float32)


@register_model("ease")
class EASE(TextEASE):
    """EASE without texts, the baseline. Items without interactions score 0."""

    scores_cold_items = False

    def fit(self, data: TrainSet) -> FittedEASE:
        """See :meth:`Model.fit`."""
        return super().fit(data.without_features())
