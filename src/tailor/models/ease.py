"""EASE and text EASE: item-item weights in closed form, for all pairs of up to some ten thousand items; of larger
catalogues for the nearest items alone.
"""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from tailor.appending import ColumnBlocks, append
from tailor.config import Count, Fraction, Options, Positive
from tailor.data.domains import domain_masks_of
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
    impute_weights,
    mixed_columns,
    sparse_weights,
    state_of,
    weigh,
    with_blocks,
)
from tailor.models.registry import register_model
from tailor.threads import BlockMap, in_threads
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


def weighted_gram(train: Csr, power: float, mean: float | None = None) -> Csr:
    """Return G = Xᵀ diag(w) X (n, n) with w_u = (mean history length / n_u)^power: 0 treats interactions alike.

    Args:
        train: X (U, n).
        power: of the weights.
        mean: history length, where X holds some of the users alone; None: that of X, over users with any.
    """
    lengths = np.diff(train.indptr).astype(np.float64)
    if mean is None:
        mean = float(lengths[lengths > 0].mean()) if len(train.data) else 1.0
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


def nearest_ease_weights(gram: Csr, ridge: AnyArray, neighbours: int, each: BlockMap = in_threads) -> Csr:
    """Return the B of :func:`ease_weights` (n, n), each column over its nearest items alone.

    Args:
        gram: G (n, n).
        ridge: the diagonal of Λ (n,).
        neighbours: how many items are nearest.
        each: what solves blocks of columns.
    """

    def right(rows: slice) -> Floats:
        return _without_own(np.asarray(gram[rows].toarray(), dtype=np.float32), rows)

    return sparse_weights(gram, ridge, right, neighbours, _roots(gram.diagonal()), "ease", each)


def nearest_pulled_ease_weights(
    gram: Csr,
    ridge: AnyArray,
    features: Floats,
    text_regularization: float,
    pull: float,
    neighbours: int,
    each: BlockMap = in_threads,
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
        each: what solves blocks of columns.
    """
    K, projected, scaled = _text_ease(features, text_regularization)

    def right(rows: slice) -> Floats:
        of_texts = scaled[rows] @ projected.T
        return _without_own(gram[rows].toarray() + np.float32(pull) * of_texts, rows)

    scale = _roots(gram.diagonal() + pull)
    weights = sparse_weights(gram, ridge + pull, right, neighbours, scale, "text_ease", each)
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

    def incoming(self, e: AnyArray) -> NDArray[np.float32]:
        """Return q e (a, m): with κ / (λ + κ) e K of other items, the weights from these toward items e."""
        q = 1.0 / (1.0 - np.einsum("am,mk,ak->a", e, self.inverse, e))
        return np.asarray(e * q[:, None], dtype=np.float32)


@dataclass(frozen=True)
class JoinedItems:
    """Items that joined after the fit (a), with their weights from and toward the n fitted ones and each other.

    What an item gives is a row of m numbers g, what reaches it from others that joined another, h: the weight from i
    toward j is g_i·h_j, and g_i·r_j toward a fitted item j with r_j its row of :attr:`TextPart.rows`. So an item more
    costs the same however many have joined. m is 0 where the fit had no texts: all these weights are 0.
    """

    columns: ColumnBlocks
    """From the fitted items toward these (n, a)."""
    outgoing: Floats
    """g (a, m)."""
    incoming: Floats
    """h (a, m)."""

    @classmethod
    def none(cls, n_fitted: int, width: int) -> Self:
        """Return no items, beside ``n_fitted`` ones; ``width``: m."""
        none = np.zeros((0, width), np.float32)
        return cls(ColumnBlocks(n_fitted), none, none)

    def append(self, columns: Floats, outgoing: Floats, incoming: Floats) -> "JoinedItems":
        """Return these items and more behind them."""
        return JoinedItems(
            self.columns.append(columns), append(self.outgoing, outgoing), append(self.incoming, incoming)
        )

    def with_items(self, positions: Indices, columns: Floats, outgoing: Floats, incoming: Floats) -> "JoinedItems":
        """Return the same items, of which those at ``positions`` (b,) are others."""
        of_all, to_all = self.outgoing.copy(), self.incoming.copy()
        of_all[positions], to_all[positions] = outgoing, incoming
        return JoinedItems(self.columns.with_columns(positions, columns), of_all, to_all)

    def weigh(self, history: Csr) -> Floats:
        """Return ``history`` (B, a) times the weights among these items, none toward itself: (B, a)."""
        known = np.unique(history.indices).astype(np.int64)
        return np.asarray(history[:, known] @ self.cells(known, np.arange(len(self.incoming))))

    def cells(self, rows: Indices, columns: Indices) -> Floats:
        """Return the weights from some of these items toward others (r, c)."""
        weights = self.outgoing[rows] @ self.incoming[columns].T
        return np.where(rows[:, None] == columns, np.float32(0), weights)


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
        return self.n_fitted + self.joined.columns.width

    @property
    def n_fitted(self) -> int:
        """Items of the fit."""
        return int(self.weights.shape[0])

    def _score(self, query: Query) -> Floats:
        n_fitted, x, joined = self.n_fitted, query.weights, self.joined
        if n_fitted == self.n_items:
            return weigh(x, self.weights)
        fitted, others = sparse.csr_matrix(x[:, :n_fitted]), sparse.csr_matrix(x[:, n_fitted:])
        toward_fitted, toward_joined = weigh(fitted, self.weights), joined.columns.weigh(fitted)
        if others.nnz:
            toward_fitted = toward_fitted + (others @ joined.outgoing) @ self._text_rows.T
            toward_joined = toward_joined + joined.weigh(others)
        return np.hstack([toward_fitted, toward_joined]).astype(np.float32, copy=False)

    @property
    def _text_rows(self) -> AnyArray:
        """What the weights of joined items toward the fitted ones are products with (n, m)."""
        return np.zeros((self.n_fitted, 0), np.float32) if self.text is None else self.text.rows

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: c_h B_hi."""
        n_fitted, known = self.n_fitted, query.weights.indices
        shares = np.zeros((len(known), len(items)))
        h, i = np.flatnonzero(known < n_fitted), np.flatnonzero(items < n_fitted)
        h_joined, i_joined = np.flatnonzero(known >= n_fitted), np.flatnonzero(items >= n_fitted)
        giving, reached, joined = known[h_joined].astype(np.int64) - n_fitted, items[i_joined] - n_fitted, self.joined
        shares[np.ix_(h, i)] = cells(self.weights, known[h], items[i])
        shares[np.ix_(h, i_joined)] = joined.columns.cells(known[h], reached)
        shares[np.ix_(h_joined, i)] = joined.outgoing[giving] @ self._text_rows[items[i]].T
        shares[np.ix_(h_joined, i_joined)] = joined.cells(giving, reached)
        return np.asarray(shares.T * query.weights.data)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: their weights are those of their texts, 0 without texts."""
        if self.text is None:
            columns, incoming = np.zeros((self.n_fitted, len(features)), np.float32), self._outgoing(features)
        else:
            columns, incoming = self.text.column(features), self.text.incoming(features)
        return replace(self, joined=self.joined.append(columns, self._outgoing(features), incoming))

    def with_imputed_items(self, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`AcceptsImputedItems`: as :meth:`impute_cold_items` after :meth:`with_new_items`."""
        columns, incoming = mixed_columns(self.weights, features, imputer), self._imputed_incoming(features, imputer)
        return replace(self, joined=self.joined.append(columns, self._outgoing(features), incoming))

    def _outgoing(self, e: Floats) -> Floats:
        """Return κ / (λ + κ) e K (a, m): κ / (λ + κ) says how far rows of items without interactions follow texts."""
        if self.text is None:
            return np.zeros((len(e), 0), np.float32)
        config = self.recipe.config
        share = config.text_pull / (config.text_pull + config.regularization)
        return np.asarray(share * (e @ self.text.inverse), dtype=np.float32)

    def _imputed_incoming(self, features: Floats, imputer: ColdItemImputer) -> Floats:
        """Return what reaches items from others that joined (a, m): mixtures of what reaches the landmarks."""
        return np.asarray(imputer.predict(features, self._text_rows[imputer.landmarks]), dtype=np.float32)

    def impute_cold_items(self, cold: Indices, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`ImputesColdItems`: the weights toward these items are imputed; those from items of the fit stay,
        those from items that joined are what their texts say.
        """
        weights, joined, in_fit = self.weights, self.joined, cold < self.n_fitted
        if in_fit.any():
            weights = impute_weights(weights, cold[in_fit], features[in_fit], imputer)
        if not in_fit.all():
            positions, e = cold[~in_fit] - self.n_fitted, features[~in_fit]
            columns, incoming = mixed_columns(self.weights, e, imputer), self._imputed_incoming(e, imputer)
            joined = joined.with_items(positions, columns, self._outgoing(e), incoming)
        return replace(self, weights=weights, joined=joined)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        arrays = state_of(self.weights)
        if self.text is not None:
            parts = {"columns": self.text.columns, "inverse": self.text.inverse, "rows": self.text.rows}
            arrays |= {f"text_{name}": part.astype(np.float32) for name, part in parts.items()}
        if self.joined.columns.width:
            arrays |= {"joined_columns": self.joined.columns.toarray()}
            arrays |= {f"joined_{name}": getattr(self.joined, name) for name in ("outgoing", "incoming")}
        return arrays


@register_model("text_ease")
class TextEASE(Model[EASEConfig]):
    """EASE whose weights are pulled toward EASE on the texts; without texts, or with ``text_pull`` 0, plain EASE."""

    config_class = EASEConfig
    scores_cold_items = True

    def fit(self, data: TrainSet) -> FittedEASE:
        """See :meth:`Model.fit`.

        Of several domains, the weights between items of one are those of a fit on it alone: beside texts of another
        catalogue, those of its own are told apart less well.
        """
        every = self._fit_items(data.weights, data.item_features)
        parts = [np.flatnonzero(inside) for inside in domain_masks_of(data.domains, data.n_items)]
        if len(parts) == 1:
            return every
        as_all = {"max_dense_items": 1 if sparse.issparse(every.weights) else self.config.max_dense_items}
        alone = type(self)(self.config.model_copy(update=as_all), self.seed)
        within = [
            alone._fit_items(sparse.csr_matrix(data.weights[:, items]), data.item_features[items]).weights
            for items in parts
        ]
        return replace(every, weights=with_blocks(every.weights, parts, within))

    def _fit_items(self, train: Csr, features: Floats) -> FittedEASE:
        return self.fit_gram(weighted_gram(train, self.config.user_weight_power), features)

    def fit_gram(self, gram: Csr, features: Floats, each: BlockMap = in_threads) -> FittedEASE:
        """Fit the weights.

        Args:
            gram: :func:`weighted_gram` of all histories (n, n).
            features: text embeddings (n, m); m is 0 where there are none.
            each: what solves blocks of columns in catalogues of more than ``max_dense_items``.
        """
        config = self.config
        diagonal = penalty(gram.diagonal(), config.regularization, config.dropout)
        weights: ItemWeights
        text: TextPart | None = None
        if features.shape[1] and config.text_pull > 0:
            weights, text = self._pulled(gram, diagonal, features, each)
        else:
            weights = self._plain(gram, diagonal, each)
        joined = JoinedItems.none(gram.shape[0], 0 if text is None else text.rows.shape[1])
        return FittedEASE(self, weights, text, joined)

    def _plain(self, gram: Csr, ridge: AnyArray, each: BlockMap) -> ItemWeights:
        n = gram.shape[0]
        if n > self.config.max_dense_items:
            return nearest_ease_weights(gram, ridge, self.config.neighbours, each)
        return _single(ease_weights(gram.toarray().astype(precision(n), copy=False), ridge))

    def _pulled(self, gram: Csr, ridge: AnyArray, features: Floats, each: BlockMap) -> tuple[ItemWeights, TextPart]:
        config, n = self.config, gram.shape[0]
        options = (config.text_regularization, config.text_pull)
        if n > config.max_dense_items:
            return nearest_pulled_ease_weights(gram, ridge, features, *options, config.neighbours, each)
        full, E = (matrix.astype(precision(n), copy=False) for matrix in (gram.toarray(), features))
        weights, text = pulled_ease_weights(full, ridge, E, *options)
        return _single(weights), text

    def load(self, state: State) -> FittedEASE:
        """See :meth:`Model.load`."""
        names = ("columns", "inverse", "rows")
        text = TextPart(*(state[f"text_{name}"] for name in names)) if "text_columns" in state else None
        weights = from_state(state)
        joined = JoinedItems.none(weights.shape[0], 0 if text is None else text.rows.shape[1])
        if "joined_columns" in state:
            joined = joined.append(*(state[f"joined_{name}"] for name in ("columns", "outgoing", "incoming")))
        return FittedEASE(self, weights, text, joined)


def _single(weights: AnyArray) -> Floats:
    return np.asarray(weights, dtype=np.float32)


@register_model("ease")
class EASE(TextEASE):
    """Weights between all pairs of items in closed form (EASE), without texts. Items without interactions score 0."""

    scores_cold_items = False

    def fit_gram(self, gram: Csr, features: Floats, each: BlockMap = in_threads) -> FittedEASE:
        """See :meth:`TextEASE.fit_gram`; the features are not read."""
        return super().fit_gram(gram, features[:, :0], each)
