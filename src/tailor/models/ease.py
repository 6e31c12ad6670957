"""EASE and text EASE: full item-item weights in closed form, for catalogues of up to some ten thousand items."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from tailor.config import Count, Fraction, Options, Positive
from tailor.errors import BadInputError
from tailor.linear_algebra import inverse_spd, plus_diagonal
from tailor.models.base import (
    ColdItemImputer,
    FittedModel,
    Floats,
    Indices,
    Model,
    Query,
    State,
    TrainSet,
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
    max_items: Count = 20_000
    """Refuse larger catalogues: B holds n_items² floats."""


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
) -> tuple[NDArray[np.float64], "TextPart"]:
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

    Returns:
        B (n, n), and what an item without interactions needs to join.
    """
    P = inverse_spd(plus_diagonal(gram, ridge + pull))
    K = inverse_spd(features.T @ features + text_regularization * np.eye(features.shape[1]))
    projected = features @ K
    q = 1.0 / (1.0 - np.einsum("im,im->i", projected, features))
    M = pull * (P @ projected)
    B = M @ (features * q[:, None]).T
    P *= (1.0 + np.diag(B)) / np.diag(P)
    B -= P
    np.fill_diagonal(B, 0.0)
    return np.asarray(B), TextPart(M, K, features * q[:, None])


def refuse_too_many_items(source: str, n_items: int, max_items: int, bytes_per_weight: int, baselines: str) -> None:
    """Refuse a catalogue whose item-item weights would not fit.

    Args:
        source: the source that holds them.
        n_items: of the catalogue.
        max_items: that its configuration allows.
        bytes_per_weight: while fitting.
        baselines: that hold such weights too.

    Raises:
        BadInputError: the catalogue is larger than ``max_items``.
    """
    if n_items > max_items:
        gib = bytes_per_weight * n_items**2 / 2**30
        raise BadInputError(
            f"{source} holds n_items² weights: {n_items} items are more than max_items = {max_items} ({gib:.0f} GiB "
            f"while fitting). Raise hybrid_cf.sources.{source}.max_items, or leave it out "
            f"(hybrid_cf.sources: {{{source}: null}}, and hybrid_cf.baselines without {baselines})."
        )


def impute_columns(
    weights: AnyArray, of_landmarks: AnyArray, columns: Indices, features: Floats, imputer: ColdItemImputer
) -> AnyArray:
    """Return a copy of ``weights`` (r, n) in which ``columns`` (a,) are mixtures of the landmarks' columns (r, l).

    Args:
        weights: from r items toward n.
        of_landmarks: the columns of the landmarks.
        columns: which ones are imputed.
        features: texts of these items (a, m).
        imputer: says how much of each landmark stands in each of them.
    """
    imputed = weights.copy()
    for rows, shares in imputer.blocks(features):
        imputed[:, columns[rows]] = of_landmarks @ shares.T
    return imputed


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
    weights: Floats
    """B over the items of the fit (n, n)."""
    text: TextPart | None
    """What an item without interactions needs to join; None without texts."""
    joined: JoinedItems

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.weights) + int(self.joined.columns.shape[1])

    def _score(self, query: Query) -> Floats:
        n_fitted, x = len(self.weights), query.weights
        if n_fitted == self.n_items:
            return np.asarray(x @ self.weights, dtype=np.float32)
        fitted, joined = sparse.csr_matrix(x[:, :n_fitted]), sparse.csr_matrix(x[:, n_fitted:])
        toward_fitted = fitted @ self.weights + joined @ self.joined.rows
        return np.hstack([toward_fitted, fitted @ self.joined.columns + joined @ self.joined.block])

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: c_h B_hi."""
        n_fitted, known = len(self.weights), query.weights.indices
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
                cells = np.ix_(known[h] - n_fitted * from_joined, items[i] - n_fitted * to_joined)
                shares[np.ix_(h, i)] = part[cells]
        return np.asarray(shares.T * query.weights.data)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: their weights are those of their texts, 0 without texts."""
        before = self.joined.features
        e = np.vstack([before, features]) if len(before) else np.asarray(features)
        n_fitted, n_joined = len(self.weights), self.joined.columns.shape[1] + len(features)
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
            return np.zeros((len(e), len(self.weights)), np.float32)
        return np.asarray(np.float32(self._share) * self.text.row(e), dtype=np.float32)

    def impute_cold_items(self, cold: Indices, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`ImputesColdItems`: the weights toward these items are imputed, those from them stay."""
        n_fitted, in_fit = len(self.weights), cold < len(self.weights)
        of_landmarks, weights, joined = self.weights[:, imputer.landmarks], self.weights, self.joined
        if in_fit.any():
            weights = impute_columns(weights, of_landmarks, cold[in_fit], features[in_fit], imputer)
        if not in_fit.all():
            columns, e = cold[~in_fit] - n_fitted, features[~in_fit]
            block = impute_columns(joined.block, joined.rows[:, imputer.landmarks], columns, e, imputer)
            np.fill_diagonal(block, 0.0)
            toward = impute_columns(joined.columns, of_landmarks, columns, e, imputer)
            joined = replace(joined, columns=toward, block=block)
        return replace(self, weights=weights, joined=joined)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        arrays = {"weights": self.weights}
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
        """See :meth:`Model.fit`.

        Raises:
            BadInputError: the catalogue is larger than ``max_items``.
        """
        config, n = self.config, data.n_items
        refuse_too_many_items("ease", n, config.max_items, 8, "ease and text_ease")
        gram = weighted_gram(data.interactions, config.user_weight_power)
        diagonal = penalty(gram, config.regularization, config.dropout)
        text, E = None, data.item_features.astype(np.float64)
        if not E.shape[1] or config.text_pull == 0:
            weights = ease_weights(gram, diagonal)
        else:
            weights, text = pulled_ease_weights(gram, diagonal, E, config.text_regularization, config.text_pull)
        return FittedEASE(self, weights.astype(np.float32), text, JoinedItems.none(n))

    def load(self, state: State) -> FittedEASE:
        """See :meth:`Model.load`."""
        names = ("columns", "inverse", "rows")
        text = TextPart(*(state[f"text_{name}"] for name in names)) if "text_columns" in state else None
        joined = JoinedItems.none(len(state["weights"]))
        if "joined_columns" in state:
            joined = JoinedItems(*(state[f"joined_{part.name}"] for part in fields(JoinedItems)))
        return FittedEASE(self, state["weights"], text, joined)


@register_model("ease")
class EASE(TextEASE):
    """EASE without texts, the baseline. Items without interactions score 0."""

    scores_cold_items = False

    def fit(self, data: TrainSet) -> FittedEASE:
        """See :meth:`Model.fit`."""
        return super().fit(data.without_features())
