"""What reads like the history: mean cosine similarity of texts."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tailor.appending import append
from tailor.models.base import FittedModel, Floats, Indices, Model, NoConfig, Query, State, TrainSet
from tailor.models.registry import register_model


@dataclass(frozen=True, eq=False)
class FittedTextKNN(FittedModel):
    """Mean cosine similarity between an item's text and the texts of the history."""

    recipe: Model[NoConfig]
    features: Floats
    """L2-normalised embeddings (n_items, m)."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.features)

    @property
    def item_vectors(self) -> Floats:
        """See :class:`Embeds`."""
        return self.features

    def user_vectors(self, query: Query) -> Floats:
        """Return the mean text of each history (B, m), see :class:`Embeds`."""
        return np.asarray(query.history @ self.features / np.maximum(query.lengths, 1)[:, None])

    def _profile(self, query: Query) -> Floats:
        return np.asarray(query.weights @ self.features / np.maximum(query.lengths, 1)[:, None])

    def _score(self, query: Query) -> Floats:
        return np.asarray(self._profile(query) @ self.features.T, dtype=np.float32)

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """See :class:`Explains`: c_h cos(e_h, e_i) / n."""
        of_history = query.weights.data[:, None] * self.features[query.weights.indices]
        return np.asarray(self.features[items] @ of_history.T, dtype=np.float64) / max(int(query.lengths[0]), 1)

    def score_texts(self, query: Query, features: Floats) -> Floats:
        """See :class:`ScoresTexts`; narrower embeddings lack the last dimensions, which are 0."""
        return np.asarray(self._profile(query)[:, : features.shape[1]] @ features.T, dtype=np.float32)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {"features": self.features}

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`."""
        return replace(self, features=append(self.features, features))

    def with_item_texts(self, rows: Indices, features: Floats) -> Self:
        """See :class:`ScoresTexts`."""
        changed = self.features.copy()
        changed[rows] = features
        return replace(self, features=changed)


@register_model("text_knn")
class TextKNN(Model[NoConfig]):
    """Items whose texts are near the texts of the history."""

    scores_cold_items = True

    def fit(self, data: TrainSet) -> FittedTextKNN:
        """See :meth:`Model.fit`."""
        return FittedTextKNN(self, data.item_features)

    def load(self, state: State) -> FittedTextKNN:
        """See :meth:`Model.load`."""
        return FittedTextKNN(self, state["features"])
