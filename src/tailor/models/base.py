"""What every collaborative-filtering engine is: fit on a sparse matrix, score blocks of histories, save and load.

Shapes, used on every line: ``U`` users, ``n_items`` items of the whole catalogue (warm, cold and unseen), ``B`` users
of a block, ``d`` factors, ``m`` embedding dimensions. Engines never see a user × item table: scores exist per block.
"""

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.config import Options
from tailor.data.interactions import binary
from tailor.errors import BadInputError

if TYPE_CHECKING:
    from tailor.hybrid.cold_items import TextKernel

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
State = dict[str, NDArray[Any]]
OptionsT = TypeVar("OptionsT", bound=Options)


class NoOptions(Options):
    """Options of an engine that has none."""


class Engine(ABC, Generic[OptionsT]):
    """One recommender: public methods validate, the underscored ones compute on internal ids.

    ``score`` depends on the history alone, so known users, sessions and newcomers take the same path.
    """

    options_class: ClassVar[type[Options]]
    #: Whether items without train interactions get a meaningful score.
    scores_cold_items: ClassVar[bool] = False
    #: Whether ``_fit`` and ``_score`` are handed the places of a history; the others get ones, or weights.
    reads_order: ClassVar[bool] = False

    def __init__(self, options: OptionsT, seed: int = 0) -> None:
        self.options = options
        self.seed = seed
        self.n_items = 0

    def fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None = None) -> Self:
        """Learn from train interactions.

        Args:
            train: positives (U, n_items); values order a user's items, later ones are larger, all equal where the
                order is not known.
            warm: items that may be learnt from, shape (n_items,); interactions of the others must not be in ``train``.
            features: text embeddings (n_items, m), L2-normalised rows, for engines that use them.

        Raises:
            BadInputError: shapes differ, or train holds interactions of items that are not warm.
        """
        if train.shape[1] != len(warm) or (features is not None and len(features) != len(warm)):
            raise BadInputError(
                f"train has {train.shape[1]} items, warm {len(warm)}, features "
                f"{None if features is None else len(features)}"
            )
        leaked = int(np.asarray(train[:, np.flatnonzero(~warm)].sum()))
        if leaked:
            raise BadInputError(f"{leaked} train interactions belong to items that must be treated as cold")
        self.n_items = len(warm)
        train = sparse.csr_matrix(train, dtype=np.float32)
        self._fit(train if self.reads_order else binary(train), warm, features)
        return self

    def score(
        self,
        history: sparse.csr_matrix,
        users: NDArray[np.int64] | None = None,
        weights: sparse.csr_matrix | None = None,
    ) -> Floats:
        """Score the whole catalogue for a block of histories.

        Args:
            history: what each user is known to have consumed, (B, n_items); values order a user's items as in ``fit``.
            users: internal ids (B,), -1 where unknown; only the random baseline looks at them.
            weights: confidence of each item of the history (B, n_items), the same cells; None: 1 each.

        Returns:
            Scores (B, n_items), higher is better; comparable within a row only.
        """
        if history.shape[1] != self.n_items:
            raise BadInputError(f"history has {history.shape[1]} items, the engine was fitted on {self.n_items}")
        if users is None:
            users = np.full(history.shape[0], -1, dtype=np.int64)
        if history.format != "csr" or history.dtype != np.float32:
            history = sparse.csr_matrix(history, dtype=np.float32)
        return self._score(self._weighed(history, weights), users)

    def _weighed(self, history: sparse.csr_matrix, weights: sparse.csr_matrix | None) -> sparse.csr_matrix:
        """Return what ``_score`` is handed for a history: its weights, 1 where none are given."""
        return binary(history) if weights is None else sparse.csr_matrix(weights, dtype=np.float32)

    def with_new_items(self, features: Floats) -> Self:
        """Return an engine that also scores items without interactions, behind its own; all other scores stay.

        Args:
            features: text embeddings (a, m) of the items that come.
        """
        twin = copy.copy(self)
        twin.n_items = self.n_items + len(features)
        twin._append(features)
        return twin

    def _append(self, features: Floats) -> None:  # noqa: ARG002
        raise BadInputError(f"A {type(self).__name__} cannot take items in without being fitted again")

    def impute_cold_items(self, cold: NDArray[np.int64], texts: Floats, kernel: "TextKernel") -> Self:  # noqa: ARG002
        """Return an engine whose items ``cold`` (a,) take after those with texts like theirs (a, m).

        Engines that have nothing of their own to say about such items stay as they are.
        """
        return self

    def state(self) -> State:
        """Return everything ``from_state`` needs, as plain arrays (for safetensors or npz, never pickle)."""
        return {"n_items": np.array([self.n_items]), **self._state()}

    @classmethod
    def from_state(cls, state: State, options: OptionsT, seed: int = 0) -> Self:
        """Rebuild a fitted engine; its scores equal the original's."""
        engine = cls(options, seed)
        engine.n_items = int(state["n_items"][0])
        engine._load({key: value for key, value in state.items() if key != "n_items"})
        return engine

    @abstractmethod
    def _fit(self, train: sparse.csr_matrix, warm: Mask, features: Floats | None) -> None: ...

    @abstractmethod
    def _score(self, history: sparse.csr_matrix, users: NDArray[np.int64]) -> Floats: ...

    @abstractmethod
    def _state(self) -> State: ...

    @abstractmethod
    def _load(self, state: State) -> None: ...
