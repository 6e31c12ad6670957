"""The lower rungs of the ladder: what a model must beat to be worth its name."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from tailor.config import Count, Options, Positive
from tailor.data.hashing import splitmix64
from tailor.models.base import Engine, Floats, Mask, NoOptions, State

#: Items whose similarities are computed at a time; 4 bytes x n_items each.
_BLOCK = 512


class Constant(Engine[NoOptions]):
    """The same score for everything: what the tie-breaking alone is worth."""

    options_class = NoOptions

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:
        """Nothing is learnt."""

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return np.zeros((history.shape[0], self.n_items), dtype=np.float32)

    def _state(self) -> State:
        return {}

    def _load(self, state: State) -> None:
        """Nothing is kept."""

    def _append(self, features: Floats) -> None:
        """Items that join score the same."""


class Random(Constant):
    """A seeded hash of (user, item): uniform, and the same in any block."""

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        rows = splitmix64(np.asarray(users, dtype=np.int64).astype(np.uint64) + np.uint64(self.seed))
        hashes = splitmix64(rows[:, None] ^ splitmix64(np.arange(self.n_items, dtype=np.uint64)))
        return (hashes >> np.uint64(40)).astype(np.float32)


class Popular(Engine[NoOptions]):
    """Train interactions per item."""

    options_class = NoOptions

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        self.counts: Floats = np.asarray((train > 0).sum(axis=0), dtype=np.float32).ravel()

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return np.tile(self.counts, (history.shape[0], 1))

    def _state(self) -> State:
        return {"counts": self.counts}

    def _load(self, state: State) -> None:
        self.counts = state["counts"]

    def _append(self, features: Floats) -> None:
        self.counts = np.append(self.counts, np.zeros(len(features), np.float32))


class TextKNN(Engine[NoOptions]):
    """Mean cosine similarity between an item's text and the texts of the history."""

    options_class = NoOptions
    scores_cold_items = True

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        self.features: Floats = np.zeros((self.n_items, 1), np.float32) if features is None else features

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        profile = history @ self.features / np.maximum(np.diff(history.indptr), 1)[:, None]
        return np.asarray(profile @ self.features.T, dtype=np.float32)

    def _state(self) -> State:
        return {"features": self.features}

    def _load(self, state: State) -> None:
        self.features = state["features"]

    def _append(self, features: Floats) -> None:
        self.features = np.vstack([self.features, features])


class ItemKNNOptions(Options):
    """Options of item-to-item nearest neighbours."""

    neighbours: Count = 100
    """Most similar items kept per item."""
    shrinkage: Annotated[float, Field(ge=0.0)] = 0.0
    """Added to the denominator of the cosine: similarities of few common users shrink toward 0."""


class ItemKNN(Engine[ItemKNNOptions]):
    """Item-to-item cosine, Sarwar et al. 2001; with shrinkage as in Ferrari Dacrema et al. 2021, eq. 2.

    Memory: n_items x neighbours; the similarities are computed for blocks of items.
    """

    options_class = ItemKNNOptions

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        o, by_item = self.options, sparse.csr_matrix(train.T)
        norms = np.sqrt(np.asarray(by_item.multiply(by_item).sum(axis=1))).ravel()
        kept = []
        for start in range(0, self.n_items, _BLOCK):
            block = slice(start, start + _BLOCK)
            common = np.asarray((by_item[block] @ train).toarray(), dtype=np.float32)
            rows = np.arange(len(common))
            common[rows, start + rows] = 0.0
            common /= norms[block, None] * norms + o.shrinkage + 1e-9
            if o.neighbours < self.n_items:
                limit = np.partition(common, -o.neighbours, axis=1)[:, -o.neighbours, None]
                common[common < limit] = 0.0
            kept.append(sparse.csr_matrix(common))
        self.similarity = sparse.csr_matrix(sparse.vstack(kept))

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        return np.asarray((history @ self.similarity).toarray(), dtype=np.float32)

    def _state(self) -> State:
        s = self.similarity
        return {"data": s.data.astype(np.float32), "indices": s.indices, "indptr": s.indptr}

    def _load(self, state: State) -> None:
        parts = (state["data"], state["indices"], state["indptr"])
        self.similarity = sparse.csr_matrix(parts, shape=(self.n_items, self.n_items))


class ImplicitALSOptions(Options):
    """Options of ``implicit.als.AlternatingLeastSquares``."""

    factors: Count = 64
    """Latent dimension."""
    regularization: Positive = 0.01
    """L2 penalty on both sides."""
    alpha: Positive = 1.0
    """Weight of an observed interaction."""
    iterations: Annotated[int, Field(ge=1)] = 15
    """Alternating sweeps."""


class ImplicitALS(Engine[ImplicitALSOptions]):
    """The ``implicit`` library's ALS (Hu et al. 2008), users recalculated from their history."""

    options_class = ImplicitALSOptions

    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None:  # noqa: ARG002
        model = self._model()
        model.fit(train, show_progress=False)
        self.item_factors: Floats = np.asarray(model.item_factors)

    def _model(self):  # type: ignore[no-untyped-def]
        from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415  (an optional peer)
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        with threadpool_limits(1, "blas"):
            return AlternatingLeastSquares(**self.options.model_dump(), random_state=self.seed, num_threads=1)

    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        model = self._model()
        model.item_factors = self.item_factors
        factors = model.recalculate_user(np.arange(history.shape[0]), history)
        return np.asarray(factors @ self.item_factors.T, dtype=np.float32)

    def _state(self) -> State:
        return {"item_factors": self.item_factors}

    def _load(self, state: State) -> None:
        self.item_factors = state["item_factors"]
