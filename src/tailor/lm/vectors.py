"""Joining precomputed item vectors (image, audio) to text embeddings."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c


def join_vectors(embeddings: NDArray[np.float32], items: pd.DataFrame) -> NDArray[np.float32]:
    """Append each centred, L2-normalised ``vector_*`` column and normalise the whole row again.

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
