"""Embeddings of a catalogue, with their provenance and the whitening that makes more of them."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.lm.config import LMOptions
from tailor.lm.encoder import Tokens, encode
from tailor.lm.whitening import Whitening
from tailor.types import JsonObject

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Embeddings:
    """One L2-normalised row per id."""

    ids: NDArray[np.object_]
    """(n,), strings."""
    vectors: Floats
    """(n, m)."""
    whitening: Whitening
    """From pooled states to rows; apply it to a new text's."""
    provenance: JsonObject = field(default_factory=dict)
    """Base model, its hash, data hash, options, seed."""

    @classmethod
    def none(cls) -> "Embeddings":
        """Return what stands for embeddings of an encoder that is left out."""
        return cls(np.zeros(0, object), np.zeros((0, 0), np.float32), Whitening(np.zeros(0, np.float32)))

    @property
    def is_empty(self) -> bool:
        """Whether the encoder is left out."""
        return not len(self.ids)

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            BadInputError: there is not one row per id.
        """
        if len(self.ids) != len(self.vectors):
            raise BadInputError(f"{len(self.ids)} ids, but {len(self.vectors)} embeddings")


def embed_catalogue(
    encoder: torch.nn.Module,
    tokens: Tokens,
    items: pd.DataFrame,
    fitted_on: NDArray[np.bool_],
    options: LMOptions,
    provenance: JsonObject,
    label: str,
) -> Embeddings:
    """Encode every item; centring and whitening are fitted on the items ``fitted_on`` (n_items,) alone."""
    pooled = encode(encoder, tokens, options.encoder.batch_size, label, options.encoder.pooling)
    whitening = Whitening.fit(pooled, fitted_on, options.whitening, options.whitening_shrinkage)
    vectors = join_vectors(whitening.apply(pooled), items)
    return Embeddings(items[c.ITEM].to_numpy(dtype=object), vectors, whitening, provenance)


def join_vectors(embeddings: Floats, items: pd.DataFrame) -> Floats:
    """Append each centred, L2-normalised ``vector_*`` column (image, audio) and normalise the whole row again.

    Args:
        embeddings: (n_items, m), L2-normalised rows.
        items: the catalogue, in the same order.

    Returns:
        (n_items, m + Σ vector lengths); the embeddings themselves where there is no vector column.
    """
    parts = [embeddings]
    for name in [col for col in items if str(col).startswith(c.VECTOR_PREFIX)]:
        vectors = np.stack([np.asarray(v, dtype=np.float64) for v in items[name]])
        vectors = vectors - vectors.mean(axis=0)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        parts.append((vectors / np.where(norms > 0, norms, 1)).astype(np.float32))
    return embeddings if len(parts) == 1 else np.asarray(np.hstack(parts) / np.sqrt(len(parts)), dtype=np.float32)
