r"""Text-prior implicit ALS (docs/explanation/mathematics.md, "Text-prior iALS").

    L(U,V,W) = Σ_(u,i)∈S c_ui (1 - u·v_i)² + α Σ_u Σ_(i warm) (u·v_i)²
             + λ Σ_u f_u |u|² + λ Σ_(i warm) f_i |v_i - W e_i|² + ρ|W|²,   f = (n + α N)^ν

with c_ui the confidence of an interaction, 1 where kinds of behaviour are not told apart.
Hu, Koren & Volinsky 2008; frequency scaling from Rendle et al. 2021, "Revisiting the performance of iALS", eq. 3.
The solver is irspack (C++), or torch for CUDA. A cold item is v := W e by definition; a user is always one exact
ridge solve.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import linalg, sparse

from tailor.appending import append
from tailor.config import Count, Options, Positive
from tailor.linear_algebra import ridge
from tailor.models.base import (
    ColdItemImputer,
    Csr,
    FittedModel,
    Floats,
    Indices,
    Mask,
    Model,
    Query,
    State,
    TrainSet,
)
from tailor.models.registry import register_model
from tailor.progress import progress
from tailor.types import AnyArray

#: Factors of the warm items (n, d), and W (m, d) where there are features.
Solution = tuple[AnyArray, NDArray[np.float64] | None]


class IALSConfig(Options):
    """Configuration of :class:`TextIALS` and :class:`IALS`."""

    engine: Literal["irspack", "torch"] = "irspack"
    """irspack (C++, conjugate gradients) on a CPU; torch (exact solves) on CUDA, or on a CPU at leisure."""
    factors: Count = 64
    """Latent dimension d."""
    alpha: Positive = 0.1
    """Weight of the unobserved cells."""
    regularization: Positive = 0.003
    """λ_u = λ_v, before the frequency scaling f = (n + α N)^ν."""
    nu: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    """Exponent ν of the frequency scaling."""
    lambda_item_feature: Annotated[float, Field(ge=0.0)] = 10.0
    """Ridge ρ on the text-to-factor map W; 0 together with no features is plain iALS."""
    iterations: Count = 16
    """Alternating sweeps."""
    n_threads: Count = 1
    """CPU threads of irspack; more than one is faster and no longer bit-identical between runs: the last digits of the
    factors differ. The engine torch takes the threads that OMP_NUM_THREADS allows, and is identical."""


def fold_in(
    history: Csr,
    item_factors: NDArray[np.float64],
    gram: NDArray[np.float64],
    diagonal: NDArray[np.float64],
    prior: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Solve each user's exact ridge problem (Σ_S c v vᵀ + gram + λ_u I) u = Σ_S c v + λ_u prior_u.

    One symmetric rank update and one Cholesky solve (LAPACK posv) for each user, so that a user's factor is the same to
    the last bit whoever else is solved for.

    Args:
        history: confidences c (B, n_items).
        item_factors: V (n_items, d).
        gram: α Σ_(i warm) v vᵀ, (d, d).
        diagonal: λ_u per user (B,), positive.
        prior: what each user is pulled toward (B, d); None: 0.

    Returns:
        User factors (B, d); zero for an empty history.
    """
    d, indices, bounds = item_factors.shape[1], history.indices, history.indptr.tolist()
    out, start = np.zeros((history.shape[0], d)), np.asfortranarray(gram)
    weights = history.data.astype(np.float64)
    roots = None if (weights == 1).all() else np.sqrt(weights)[:, None]
    rank_update, solve = linalg.blas.dsyrk, linalg.lapack.dposv
    for user in np.flatnonzero(np.diff(history.indptr)).tolist():
        first, last = bounds[user], bounds[user + 1]
        vectors = item_factors.take(indices[first:last], axis=0).astype(np.float64, copy=False)
        rooted = vectors if roots is None else vectors * roots[first:last]
        normal = rank_update(1.0, rooted.T, 1.0, start, lower=1)
        normal.ravel(order="K")[:: d + 1] += diagonal[user]
        right = weights[first:last] @ vectors
        if prior is not None:
            right += diagonal[user] * prior[user]
        out[user] = solve(normal, right, 1, 1, 1)[1]
    return out


def products(users: Floats, items: Floats) -> Floats:
    """Return users @ itemsᵀ (B, n); of one user by a matrix-vector product, which reads the items once."""
    return (items @ users[0])[None] if len(users) == 1 else users @ items.T


@dataclass(frozen=True, eq=False)
class FittedIALS(FittedModel):
    """Item factors, and what a fold-in of users needs."""

    recipe: Model[IALSConfig]
    item_factors: AnyArray
    """V (n_items, d)."""
    feature_weights: NDArray[np.float64]
    """W (m + 1, d), the last row a bias; without rows where the fit had no features."""
    gram: NDArray[np.float64]
    """α Σ_(i warm) v vᵀ (d, d)."""
    n_warm: int

    @classmethod
    def of_factors(
        cls, recipe: Model[IALSConfig], item_factors: AnyArray, feature_weights: NDArray[np.float64], warm: Mask
    ) -> Self:
        """Build from factors: the Gram matrix is that of the warm items."""
        vectors = item_factors[warm].astype(np.float64, copy=False)
        return cls(recipe, item_factors, feature_weights, recipe.config.alpha * vectors.T @ vectors, len(vectors))

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.item_factors)

    @property
    def item_vectors(self) -> AnyArray:
        """See :class:`Embeds`."""
        return self.item_factors

    def user_vectors(self, query: Query) -> NDArray[np.float64]:
        """Return user factors by history alone, whatever its confidence, see :class:`Embeds`."""
        return self.fold_in(query.history)

    def fold_in(self, history: Csr) -> NDArray[np.float64]:
        """Return user factors (B, d) for confidences (B, n_items): the user step of the training, solved exactly."""
        config, lengths = self.recipe.config, np.diff(history.indptr)
        diagonal = config.regularization * (lengths + config.alpha * self.n_warm) ** config.nu
        return fold_in(history, self.item_factors, self.gram, diagonal)

    def users_of(self, query: Query) -> NDArray[np.float64]:
        """Return the factors of a query's users (B, d), solved once per query."""
        # The entry holds this model too, so that no other can come to have its id.
        if id(self) not in query.memo:
            query.memo[id(self)] = (self, self.fold_in(query.weights))
        users: NDArray[np.float64] = query.memo[id(self)][1]
        return users

    def _score(self, query: Query) -> Floats:
        return products(self.users_of(query).astype(np.float32), self._single)

    @cached_property
    def _single(self) -> Floats:
        """The item factors in single precision: what scoring reads of memory, halved."""
        return np.asarray(self.item_factors.astype(np.float32, copy=False))

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: u = A⁻¹ Σ_h c_h v_h with A = Σ_h c_h v_h v_hᵀ + αG + λ f I, so the shares are
        c_h v_hᵀ A⁻¹ v_i, and they sum to u·v_i; columns in the order of ``query.weights.indices``.
        """
        return self.history_shares_of(query, self.item_factors[items])

    def history_shares_of(self, query: Query, vectors: AnyArray) -> NDArray[np.float64]:
        """Return the share (k, h) of each history item in the products of the user with ``vectors`` (k, d)."""
        config, known, V = self.recipe.config, query.weights.indices, self.item_factors
        diagonal = config.regularization * (len(known) + config.alpha * self.n_warm) ** config.nu
        weighted = V[known].T * query.weights.data
        normal = weighted @ V[known] + self.gram + diagonal * np.eye(V.shape[1])
        return np.asarray(vectors @ np.linalg.solve(normal, weighted))

    def partial_fit(self, data: TrainSet, sweeps: int) -> Self:
        """Go on from where the factors stand, toward the optimum for ``data``; see :class:`PartialFit`.

        Args:
            data: all interactions, old and new; features where the fit had them.
            sweeps: exact steps of users, W and items.
        """
        current = self
        E = np.hstack([data.item_features, np.ones((data.n_items, 1))])
        by_item = sparse.csr_matrix(data.weights[:, np.flatnonzero(data.warm)].T)
        for _ in progress(range(sweeps), "iALS", "sweep"):
            current = current._sweep(data, by_item, E)
        return current

    def _sweep(self, data: TrainSet, by_item: Csr, E: AnyArray) -> Self:
        """Solve users, then W, then items, each exactly."""
        config, warm = self.recipe.config, data.warm
        factors = self.item_factors.astype(np.float64)
        model = self.of_factors(self.recipe, factors, self.feature_weights, warm)
        users = model.fold_in(data.weights)
        diagonal = config.regularization * (np.diff(by_item.indptr) + config.alpha * len(users)) ** config.nu
        W, prior = self.feature_weights, None
        if W.size and data.item_features.shape[1]:
            W = ridge(E[warm], factors[warm], config.lambda_item_feature, diagonal)
            prior = E[warm] @ W
            factors[~warm] = E[~warm] @ W
        factors[warm] = fold_in(by_item, users, config.alpha * users.T @ users, diagonal, prior)
        return self.of_factors(self.recipe, factors, W, warm)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: their factors are W e."""
        augmented = np.hstack([features, np.ones((len(features), 1))])
        if not self.feature_weights.size:
            new = np.zeros((len(features), self.item_factors.shape[1]))
        else:
            new = augmented @ self.feature_weights
        return self._appended(new)

    def with_imputed_items(self, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`AcceptsImputedItems`: their factors are mixtures of the landmarks' factors."""
        return self._appended(imputer.predict(features, self.item_factors[imputer.landmarks]))

    def _appended(self, factors: AnyArray) -> Self:
        """Return a model with more items, by their factors (a, d)."""
        grown = replace(self, item_factors=append(self.item_factors, factors))
        if "_single" in self.__dict__:
            grown.__dict__["_single"] = append(self._single, factors.astype(np.float32))
        return grown

    def impute_cold_items(self, cold: Indices, features: Floats, imputer: ColdItemImputer) -> Self:
        """See :class:`ImputesColdItems`: their factors are mixtures of the landmarks' factors."""
        factors = self.item_factors.copy()
        factors[cold] = imputer.predict(features, self.item_factors[imputer.landmarks])
        return replace(self, item_factors=factors)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {
            "item_factors": self.item_factors.astype(np.float32),
            "gram": self.gram,
            "n_warm": np.array([self.n_warm]),
            "feature_weights": self.feature_weights.astype(np.float32),
        }


@register_model("text_ials")
class TextIALS(Model[IALSConfig]):
    """Matrix factorization (iALS) whose item factors lean on their texts, which alone place cold items."""

    config_class = IALSConfig
    scores_cold_items = True

    def fit(self, data: TrainSet) -> FittedIALS:
        """See :meth:`Model.fit`."""
        warm, features = data.warm, data.item_features
        train = sparse.csr_matrix(data.weights[:, np.flatnonzero(warm)])
        E = np.hstack([features, np.ones((len(features), 1), np.float32)]) if features.shape[1] else None
        solve = self._solve_by_torch if self.config.engine == "torch" else self._solve_by_irspack
        factors, W = solve(train, None if E is None else E[warm])
        item_factors = np.zeros((data.n_items, self.config.factors))
        if E is not None and W is not None:
            item_factors[~warm] = E[~warm] @ W
        item_factors[warm] = factors
        return FittedIALS.of_factors(self, item_factors, np.zeros((0, self.config.factors)) if W is None else W, warm)

    def _solve_by_irspack(self, train: Csr, features: Floats | None) -> Solution:
        from irspack import IALSRecommender  # noqa: PLC0415  (training only: what is served needs no irspack)

        config = self.config
        solver = IALSRecommender(
            train,
            n_components=config.factors,
            alpha0=config.alpha,
            reg=config.regularization,
            nu=config.nu,
            train_epochs=config.iterations,
            n_threads=config.n_threads,
            random_seed=self.seed,
            item_features=features,
            lambda_item_feature=0.0 if features is None else config.lambda_item_feature,
        )
        solver.start_learning()
        for _ in progress(range(config.iterations), "iALS", "sweep"):
            solver.run_epoch()
        if features is None:
            return solver.get_item_embedding(), None
        W = solver.trainer_as_ials.core_trainer.item_feature_weight
        return solver.get_item_embedding(), np.asarray(W, np.float64)

    def _solve_by_torch(self, train: Csr, features: Floats | None) -> Solution:
        from tailor.models import ials_torch  # noqa: PLC0415  (training only: what is served needs no torch)

        solution = ials_torch.fit(train, features, self.config, self.seed)
        return solution.items, solution.feature_weights

    def load(self, state: State) -> FittedIALS:
        """See :meth:`Model.load`."""
        W = state["feature_weights"].astype(np.float64)
        return FittedIALS(self, state["item_factors"], W, state["gram"], int(state["n_warm"][0]))


@register_model("ials")
class IALS(TextIALS):
    """Matrix factorization (iALS) without texts. Items without interactions score 0."""

    scores_cold_items = False

    def fit(self, data: TrainSet) -> FittedIALS:
        """See :meth:`Model.fit`."""
        return super().fit(data.without_features())
