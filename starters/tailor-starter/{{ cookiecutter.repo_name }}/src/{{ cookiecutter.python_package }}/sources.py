"""What users with similar histories took."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tailor.config import Options, Positive
from tailor.hybrid.sources import source
from tailor.models.base import FittedModel, Model, Query, State, TrainSet


class UserKNNConfig(Options):
    """Options of the source; a misspelt key stops the run."""

    shrinkage: Positive = 5.0
    """Added to the number of items of a train user, so that short histories do not win by chance."""


@dataclass(frozen=True, eq=False)
class FittedUserKNN(FittedModel):
    """The histories of the train users."""

    recipe: Model[UserKNNConfig]
    histories: sparse.csr_matrix
    """(U, n_items), 0/1."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.histories.shape[1])

    def _score(self, query: Query) -> np.ndarray:
        lengths = np.asarray(self.histories.sum(axis=1)).ravel() + self.recipe.config.shrinkage
        similar = (query.weights @ self.histories.T) @ sparse.diags(1 / lengths)
        return np.asarray((similar @ self.histories).toarray(), dtype=np.float32)

    def state(self) -> State:
        """Return everything that is saved."""
        rows = self.histories
        return {"indices": rows.indices, "indptr": rows.indptr, "n_items": np.array([self.n_items])}

    def with_new_items(self, features: np.ndarray) -> "FittedUserKNN":
        """Take items in without being fitted again: nobody has taken them yet."""
        grown = self.histories.copy()
        grown.resize((grown.shape[0], self.n_items + len(features)))
        return FittedUserKNN(self.recipe, grown)


@source(name="user_knn", reason="taken_together", label="similar users", reads={"history", "confidence"})
class UserKNN(Model[UserKNNConfig]):
    """What users with similar histories took."""

    config_class = UserKNNConfig

    def fit(self, data: TrainSet) -> FittedUserKNN:
        """Keep the histories."""
        return FittedUserKNN(self, sparse.csr_matrix(data.interactions, dtype=np.float32))

    def load(self, state: State) -> FittedUserKNN:
        """Rebuild what `fit` returned."""
        shape = (len(state["indptr"]) - 1, int(state["n_items"][0]))
        ones = np.ones(len(state["indices"]), np.float32)
        return FittedUserKNN(self, sparse.csr_matrix((ones, state["indices"], state["indptr"]), shape=shape))
