"""What carried a list: the source or the words behind each place, and the path of the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailor.hybrid.sources import SOURCES
from tailor.models.base import BlendsSources, FittedModel, Floats, Indices, Query


@dataclass(frozen=True)
class Carried:
    """What each source adds to the scores of lists."""

    sources: tuple[str, ...]
    """Names of the S sources; none where the model's scores cannot be taken apart."""
    parts: NDArray[np.float64]
    """Weighted standardised scores (B, k, S), beside words as they weigh there."""

    @classmethod
    def of(
        cls, model: FittedModel, query: Query, items: Indices, z: Sequence[Floats], beside: Mapping[int, float]
    ) -> "Carried":
        """Take lists apart.

        Args:
            model: that scored.
            query: of the users (B).
            items: internal ids (B, k), -1 for an empty place, which counts nothing.
            z: standardised scores (B, n_items) of every source; none where something else ranks.
            beside: by row with words, what the user's own score was multiplied by.
        """
        if not z or not isinstance(model, BlendsSources):
            return cls((), np.zeros((*items.shape, 0)))
        listed = np.maximum(items, 0)
        by_source = np.stack([np.take_along_axis(scores, listed, 1) for scores in z], 2)
        parts = model.source_weights(query, listed) * by_source
        parts[items < 0] = 0.0
        for row, factor in beside.items():
            parts[row] *= factor
        return cls(model.source_names, parts)

    def reasons(self, row: int) -> NDArray[np.object_]:
        """Return the reason of the source that carried each score of one list most (k,)."""
        names = np.array([SOURCES[name].reason for name in self.sources], dtype=object)
        return np.asarray(names[self.parts[row].argmax(axis=1)])

    def path(self, row: int, known: str) -> str:
        """Say what one list stands on, words aside.

        ``popular`` where a source that reads popularity alone carried most of its scores, whoever asked. Without a
        history, ``user_text``, ``profile`` or ``context`` where a source that reads it did. Else what is known of the
        user.

        Args:
            row: of the list.
            known: known_user, fold_in, user_text, profile or popular.
        """
        by_source = self.parts[row].sum(axis=0)
        if not by_source.any():
            return known
        reads = SOURCES[self.sources[int(by_source.argmax())]].reads
        if reads == {"popularity"}:
            return "popular"
        if known in ("known_user", "fold_in"):
            return known
        return next((name for name in ("user_text", "profile", "context") if name in reads), known)
