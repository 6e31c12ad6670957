"""What people who write like this take more than others: ridge regression from users' own texts to items.

    score(u) = x_u B,   B = (XᵀX + λI)⁻¹ (T - Σ_u x_u pᵀ),   T_i = Σ_(u took i) x_(u,-i)

x_u is the mean text of a user that speaks for what it is about, of length 1, beside the same of texts that speak
against (what one star was given to, is no praise); both centred on the users of the fit. p is the share of these users
who took each item. x_(u,-i) lacks what u wrote about i: a comment on an item names it, and would predict nothing but
itself. Texts are those of :mod:`tailor.data.user_texts`; a user who wrote nothing has x = 0.

The linear map of Gantner et al. 2010, "Learning attribute-to-feature mappings for cold-start recommendations", §4.3,
straight to the items; its targets left out as in EASE. Items without interactions are imputed by their texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy import sparse

from tailor.appending import append_columns
from tailor.config import Options, Positive
from tailor.data.user_texts import UserTexts
from tailor.linear_algebra import plus_diagonal, solve_spd
from tailor.models.base import ColdItemImputer, FittedModel, Floats, Indices, Model, Query, State, TrainSet
from tailor.models.item_weights import impute_columns
from tailor.models.registry import register_model
from tailor.progress import progress

#: Texts that are left out of their users' sums at a time.
_BLOCK = 4096


class UserTextConfig(Options):
    """Configuration of :class:`UserText`."""

    regularization: Positive = 10.0
    """λ, in users."""


@dataclass(frozen=True, eq=False)
class FittedUserText(FittedModel):
    """Weights from what users write to items."""

    recipe: Model[UserTextConfig]
    centre: Floats
    """Mean of the two parts of x over the users of the fit that have them (t,)."""
    weights: Floats
    """B (t, n_items); without rows where nobody wrote anything, then all scores are 0."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.weights.shape[1])

    def _score(self, query: Query) -> Floats:
        if not len(self.weights) or not query.user_text.shape[1]:
            return np.zeros((len(query), self.n_items), np.float32)
        return np.asarray(centred(query.user_text, self.centre) @ self.weights, dtype=np.float32)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: nobody has taken them; what imputes cold items says what they are."""
        none = np.zeros((len(self.weights), len(features)), np.float32)
        return replace(self, weights=append_columns(self.weights, none))

    def with_imputed_items(self, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`AcceptsImputedItems`."""
        imputed = imputer.predict(features, self.weights[:, imputer.landmarks].T)
        return replace(self, weights=append_columns(self.weights, imputed.T))

    def impute_cold_items(self, cold: Indices, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`ImputesColdItems`."""
        of_landmarks = self.weights[:, imputer.landmarks]
        return replace(self, weights=impute_columns(self.weights, of_landmarks, cold, features, imputer))

    def partial_fit(self, data: TrainSet, sweeps: int) -> FittedModel:  # noqa: ARG002
        """See :class:`PartialFit`: new interactions bring no texts, so what texts say of items stays."""
        return self.recipe.fit(data) if len(data.user_texts) else self

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {"centre": self.centre, "weights": self.weights}


@register_model("user_text")
class UserText(Model[UserTextConfig]):
    """Ridge regression from users' own texts to items."""

    config_class = UserTextConfig

    def fit(self, data: TrainSet) -> FittedUserText:
        """See :meth:`Model.fit`."""
        texts, width = data.user_texts, data.user_texts.width
        sums = texts.sums(data.interactions, np.arange(data.interactions.shape[0]))
        users = np.flatnonzero((np.diff(data.interactions.indptr) > 0) & sums.any(axis=1))
        if not len(users):
            return FittedUserText(self, np.zeros(0, np.float32), np.zeros((0, data.n_items), np.float32))
        centre = _mean(_unit(sums[users]))
        X, R = centred(sums[users], centre).astype(np.float64), sparse.csr_matrix(data.interactions[users])
        target = (R.T @ X).T - np.outer(X.sum(axis=0), np.asarray(R.mean(axis=0), dtype=np.float64).ravel())
        for items, change in _left_out(texts, data, sums, centre):
            np.add.at(target.T, items, change)
        weights = solve_spd(plus_diagonal(X.T @ X, self.config.regularization), target)
        return FittedUserText(self, centre, np.asarray(weights, dtype=np.float32).reshape(width, data.n_items))

    def load(self, state: State) -> FittedUserText:
        """See :meth:`Model.load`."""
        return FittedUserText(self, state["centre"], state["weights"])


def centred(sums: Floats, centre: Floats) -> Floats:
    """Return x (B, t) of sums of texts (B, t): each of the two parts of length 1 less its centre; 0 stays 0."""
    x = _unit(sums)
    for part in _parts(x):
        rows = x[:, part].any(axis=1)
        x[rows, part] -= centre[part]
    return x


def _parts(x: Floats) -> tuple[slice, slice]:
    half = x.shape[1] // 2
    return slice(0, half), slice(half, 2 * half)


def _unit(sums: Floats) -> Floats:
    x = np.array(sums, dtype=np.float32)
    for part in _parts(x):
        norms = np.linalg.norm(x[:, part], axis=1, keepdims=True)
        # What is left of a sum whose only text was taken out of it is rounding.
        x[:, part] = np.where(norms > 1e-4, x[:, part] / np.maximum(norms, 1e-4), 0)
    return x


def _mean(x: Floats) -> Floats:
    centre = np.zeros(x.shape[1], np.float32)
    for part in _parts(x):
        rows = x[:, part].any(axis=1)
        if rows.any():
            centre[part] = x[rows, part].mean(axis=0)
    return centre


def _left_out(texts: UserTexts, data: TrainSet, sums: Floats, centre: Floats) -> Iterator[tuple[Indices, Floats]]:
    """Yield items (b,) that a user took and wrote about, and x without that text less x with it (b, t)."""
    users, known = texts.known(data.interactions, np.arange(data.interactions.shape[0]))
    about = texts.items[known] >= 0
    users, known = users[about], known[about]
    m = texts.vectors.shape[1]
    for start in progress(range(0, len(known), _BLOCK), "texts of users", "block"):
        rows, block = users[start : start + _BLOCK], known[start : start + _BLOCK]
        less = sums[rows].copy()
        praise, vectors = texts.is_praise[block], texts.vectors[texts.codes[block]]
        less[praise, :m] -= vectors[praise]
        less[~praise, m:] -= vectors[~praise]
        yield texts.items[block], centred(less, centre) - centred(sums[rows], centre)
