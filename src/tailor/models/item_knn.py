"""What is taken together with the history: item-to-item cosine.

Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms"; with shrinkage as in Ferrari
Dacrema et al. 2021, "A troubling analysis of reproducibility and progress in recommender systems research", eq. 2.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import sparse

from tailor.config import Count, Options
from tailor.models.base import Csr, FittedModel, Floats, Model, Query, State, TrainSet
from tailor.models.registry import register_model
from tailor.progress import progress
from tailor.threads import blocks

#: Items whose similarities are computed at a time; 4 bytes x n_items each.
_BLOCK = 512


class ItemKNNConfig(Options):
    """Configuration of :class:`ItemKNN`."""

    neighbours: Count = 100
    """Most similar items kept per item."""
    shrinkage: Annotated[float, Field(ge=0.0)] = 0.0
    """Added to the denominator of the cosine: similarities of few common users shrink toward 0."""


@dataclass(frozen=True, eq=False)
class FittedItemKNN(FittedModel):
    """Similarities of each item's nearest neighbours."""

    recipe: Model[ItemKNNConfig]
    similarity: Csr
    """(n_items, n_items)."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.similarity.shape[0])

    def _score(self, query: Query) -> Floats:
        return np.asarray((query.weights @ self.similarity).toarray(), dtype=np.float32)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        s = self.similarity
        return {"data": s.data.astype(np.float32), "indices": s.indices, "indptr": s.indptr}


@register_model("item_knn")
class ItemKNN(Model[ItemKNNConfig]):
    """Items that the same people take as those of the history, by cosine. Memory: n_items x neighbours."""

    config_class = ItemKNNConfig

    def fit(self, data: TrainSet) -> FittedItemKNN:
        """See :meth:`Model.fit`."""
        by_item = sparse.csr_matrix(data.weights.T)
        norms = np.sqrt(np.asarray(by_item.multiply(by_item).sum(axis=1))).ravel()
        parts = progress(blocks(data.n_items, _BLOCK), "item-KNN", "block")
        neighbours = [self._nearest(by_item, data.weights, norms, block) for block in parts]
        return FittedItemKNN(self, sparse.csr_matrix(sparse.vstack(neighbours)))

    def _nearest(self, by_item: Csr, by_user: Csr, norms: Floats, block: slice) -> Csr:
        """Return the similarities of a block of items to their nearest neighbours (b, n_items)."""
        config, n_items = self.config, by_user.shape[1]
        common = np.asarray((by_item[block] @ by_user).toarray(), dtype=np.float32)
        rows = np.arange(len(common))
        common[rows, block.start + rows] = 0.0
        common /= norms[block, None] * norms + config.shrinkage + 1e-9
        if config.neighbours < n_items:
            limit = np.partition(common, -config.neighbours, axis=1)[:, -config.neighbours, None]
            common[common < limit] = 0.0
        return sparse.csr_matrix(common)

    def load(self, state: State) -> FittedItemKNN:
        """See :meth:`Model.load`."""
        n_items = len(state["indptr"]) - 1
        arrays = (state["data"], state["indices"], state["indptr"])
        return FittedItemKNN(self, sparse.csr_matrix(arrays, shape=(n_items, n_items)))
