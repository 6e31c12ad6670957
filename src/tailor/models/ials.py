r"""Text-prior implicit ALS (DESIGN §4).

    L(U,V,W) = Σ_(u,i)∈S (1 - u·v_i)² + α Σ_u Σ_(i warm) (u·v_i)²
             + λ Σ_u f_u |u|² + λ Σ_(i warm) f_i |v_i - W e_i|² + ρ|W|²,   f = (n + α N)^ν

Hu, Koren & Volinsky 2008; frequency scaling from Rendle et al. 2021, "Revisiting the performance of iALS", eq. 3.
The engine is irspack (C++), or torch for CUDA. A cold item is v := W e by definition; a user is always one exact
ridge solve.
"""

import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from tailor.data.interactions import binary
from tailor.models.base import Engine, Floats, Mask, State
from tailor.options import IALSOptions
from tailor.progress import progress

if TYPE_CHECKING:
    from tailor.hybrid.cold_items import TextKernel
    from tailor.models.scan import Scan

#: Factors of the warm items (n, d), and W (m, d) where there are features.
Learnt = tuple[NDArray[Any], NDArray[np.float64] | None]
#: Floats gathered at a time by fold-in; 8 bytes each.
_BUDGET = 4_000_000


def fold_in(
    history: sparse.csr_matrix,
    item_factors: NDArray[np.float64],
    gram: NDArray[np.float64],
    ridge: NDArray[np.float64],
    prior: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Solve each user's exact ridge problem (Σ_S c v vᵀ + gram + ridge_u I) u = Σ_S c v + ridge_u prior_u.

    Users of similar history length are solved together, at most ``_BUDGET`` gathered floats at a time.

    Args:
        history: confidences c (B, n_items).
        item_factors: V (n_items, d).
        gram: α Σ_(i warm) v vᵀ, (d, d).
        ridge: per user (B,), positive.
        prior: what the ridge pulls toward (B, d); None: 0.

    Returns:
        User factors (B, d); zero for an empty history.
    """
    d = item_factors.shape[1]
    if history.shape[0] == 1 and history.nnz:
        return _fold_in_one(history, item_factors, gram, float(ridge[0]), prior)
    lengths = np.diff(history.indptr)
    out = np.zeros((history.shape[0], d))
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * (lengths[order[end]] + d) * d <= _BUDGET:
            end += 1
        rows = order[start:end]
        slots = np.arange(lengths[rows[-1]])
        valid = slots < lengths[rows, None]
        at = np.where(valid, history.indptr[rows, None] + slots, 0)
        weights = history.data[at].astype(np.float64) * valid
        vectors = item_factors[history.indices[at]].astype(np.float64, copy=False)
        weighted = vectors * weights[..., None]
        normal = weighted.transpose(0, 2, 1) @ vectors + gram
        normal[:, np.arange(d), np.arange(d)] += ridge[rows, None]
        wanted = weighted.sum(axis=1)
        if prior is not None:
            wanted = wanted + ridge[rows, None] * prior[rows]
        out[rows] = np.linalg.solve(normal, wanted[..., None])[..., 0]
        start = end
    return out


def _fold_in_one(
    history: sparse.csr_matrix,
    item_factors: NDArray[np.float64],
    gram: NDArray[np.float64],
    ridge: float,
    prior: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Solve one user's problem by Cholesky, in half the time of a batch of one."""
    vectors = item_factors[history.indices].astype(np.float64, copy=False)
    weighted = vectors * history.data[:, None]
    normal = weighted.T @ vectors + gram
    normal.ravel()[:: len(gram) + 1] += ridge
    wanted = weighted.sum(axis=0)
    if prior is not None:
        wanted = wanted + ridge * prior[0]
    return np.asarray(linalg.lapack.dposv(normal, wanted, lower=True)[1])[None]


def products(users: Floats, items: Floats) -> Floats:
    """Return users @ itemsᵀ (B, n); of one user by a matrix-vector product, which reads the items once."""
    return (items @ users[0])[None] if len(users) == 1 else users @ items.T


class IALS(Engine[IALSOptions]):
    """Implicit ALS; with features, item factors lean on their text and cold items are W e."""

    options_class = IALSOptions
    scores_cold_items = True
    _scan: "tuple[NDArray[Any] | None, Scan | None]" = (None, None)
    _cast: tuple[NDArray[Any] | None, Floats] = (None, np.zeros((0, 0), np.float32))

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:
        columns = np.flatnonzero(warm)
        augmented = None if features is None else np.hstack([features, np.ones((len(features), 1), np.float32)])
        learn = self._torch if self.options.engine == "torch" else self._irspack
        trainable, weights = learn(
            sparse.csr_matrix(train[:, columns]), None if augmented is None else augmented[columns]
        )
        self.item_factors = np.zeros((self.n_items, self.options.factors))
        self.feature_weights = np.zeros((0, self.options.factors)) if weights is None else weights
        if augmented is not None:
            self.item_factors[~warm] = augmented[~warm] @ self.feature_weights
        self.item_factors[columns] = trainable
        self._remember(warm)

    def _irspack(self, train: sparse.csr_matrix, features: Floats | None) -> Learnt:
        from irspack import IALSRecommender  # noqa: PLC0415  (training only: serving needs no irspack)

        o = self.options
        engine = IALSRecommender(
            train,
            n_components=o.factors,
            alpha0=o.alpha,
            reg=o.regularization,
            nu=o.nu,
            train_epochs=o.iterations,
            n_threads=o.n_threads,
            random_seed=self.seed,
            item_features=features,
            lambda_item_feature=0.0 if features is None else o.lambda_item_feature,
        )
        engine.start_learning()
        for _ in progress(range(o.iterations), "iALS", "sweep"):
            engine.run_epoch()
        if features is None:
            return engine.get_item_embedding(), None
        weights = engine.trainer_as_ials.core_trainer.item_feature_weight
        return engine.get_item_embedding(), np.asarray(weights, np.float64)

    def _torch(self, train: sparse.csr_matrix, features: Floats | None) -> Learnt:
        from tailor.models import ials_torch  # noqa: PLC0415  (training only: serving needs no torch)

        found = ials_torch.fit(train, features, self.options, self.seed)
        return found.items, found.feature_weights

    def _remember(self, warm: Mask) -> None:
        vectors = self.item_factors[warm].astype(np.float64, copy=False)
        self.n_warm = len(vectors)
        self.gram = self.options.alpha * vectors.T @ vectors

    def fold_in(self, history: sparse.csr_matrix) -> NDArray[np.float64]:
        """Return user factors (B, d) for histories (B, n_items): the user step of the training, solved exactly."""
        o, lengths = self.options, np.diff(history.indptr)
        ridge = o.regularization * (lengths + o.alpha * self.n_warm) ** o.nu
        return fold_in(history, self.item_factors, self.gram, ridge)

    def partial_fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None, sweeps: int = 1) -> Self:
        """Return an engine that has gone on from where its factors stand, toward the optimum for ``train``.

        Args:
            train: all interactions, old and new (U, n_items).
            warm: items with any (n_items,).
            features: text embeddings (n_items, m), where the fit had them.
            sweeps: exact steps of users, W and items.
        """
        o, other, plain, columns = self.options, copy.copy(self), binary(train), np.flatnonzero(warm)
        by_item = sparse.csr_matrix(plain[:, columns].T)
        ridge = o.regularization * (np.diff(by_item.indptr) + o.alpha * train.shape[0]) ** o.nu
        E = np.zeros((len(warm), 0)) if features is None else np.hstack([features, np.ones((len(features), 1))])
        other.item_factors = self.item_factors.astype(np.float64)
        other._remember(warm)
        for _ in progress(range(sweeps), "iALS", "sweep"):
            users = other.fold_in(plain)
            prior = None
            if self.feature_weights.size and features is not None:
                weighted = E[columns] * ridge[:, None]
                normal = weighted.T @ E[columns] + o.lambda_item_feature * np.eye(E.shape[1])
                solved = np.linalg.solve(normal, weighted.T @ other.item_factors[columns])
                other.feature_weights = np.asarray(solved, np.float64)
                prior = E[columns] @ other.feature_weights
                other.item_factors[~warm] = E[~warm] @ other.feature_weights
            other.item_factors[columns] = fold_in(by_item, users, o.alpha * users.T @ users, ridge, prior)
            other._remember(warm)
        return other

    def impute_cold_items(self, cold: NDArray[np.int64], texts: Floats, kernel: "TextKernel") -> Self:
        """See :meth:`Engine.with_cold`: factors are mixed."""
        twin = copy.copy(self)
        twin.item_factors = self.item_factors.copy()
        twin.item_factors[cold] = kernel.predict(texts, self.item_factors[kernel.landmarks])
        return twin

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return self.of_users(self.fold_in(history))

    def of_users(self, users: NDArray[np.float64]) -> Floats:
        """Return scores (B, n_items) for user factors (B, d)."""
        return products(users.astype(np.float32), self._single())

    def _single(self) -> Floats:
        """Return the item factors in single precision: what scoring reads of memory, halved."""
        kept, single = self._cast
        if kept is not self.item_factors:
            single = self.item_factors.astype(np.float32, copy=False)
            self._cast = (self.item_factors, single)
        return single

    @property
    def scan(self) -> "Scan":
        """Codes of the item factors, for lists over a large catalogue; made when they are first asked for."""
        from tailor.models.scan import Scan  # noqa: PLC0415  (few catalogues are large enough)

        kept, scan = self._scan
        if scan is None or kept is not self.item_factors:
            scan = Scan(self._single())
            self._scan = (self.item_factors, scan)
        return scan

    def _state(self) -> State:
        return {
            "item_factors": self.item_factors.astype(np.float32),
            "gram": self.gram,
            "n_warm": np.array([self.n_warm]),
            "feature_weights": self.feature_weights.astype(np.float32),
        }

    def _load(self, state: State) -> None:
        self.item_factors = state["item_factors"]
        self.gram = state["gram"]
        self.n_warm = int(state["n_warm"][0])
        self.feature_weights = state["feature_weights"].astype(np.float64)

    def _append(self, features: Floats) -> None:
        bias = np.ones((len(features), 1))
        self.item_factors = np.vstack([self.item_factors, np.hstack([features, bias]) @ self.feature_weights])


class PlainIALS(IALS):
    """Implicit ALS without features: the irspack baseline. Items without interactions score 0."""

    scores_cold_items = False

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        super()._fit(train, warm, None)
