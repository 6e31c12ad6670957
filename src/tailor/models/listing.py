"""Top-k lists of any fitted model, block by block."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.models.base import Engine
from tailor.topk import EXCLUDED, top_k

Lists = tuple[NDArray[np.int64], NDArray[np.float32]]


def recommend(
    engine: Engine[Any],
    users: NDArray[np.int64],
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    candidate_sets: dict[str, NDArray[np.bool_]],
    k: int,
    tie_rank: NDArray[np.int64],
    block_users: int = 512,
) -> dict[str, Lists]:
    """List the k best items per user and candidate set, scoring each block of users once.

    Memory: about 3 x block_users x n_items x 4 bytes.

    Args:
        users: internal ids (U,), for engines that look at them.
        history: what scores are computed from (U, n_items).
        seen: what lists leave out (U, n_items).
        candidate_sets: masks (n_items,) by name.

    Returns:
        Per candidate set: items (U, k), -1 for an empty place, and scores (U, k).
    """
    parts: dict[str, list[Lists]] = {name: [] for name in candidate_sets}
    columns = {name: np.flatnonzero(mask) for name, mask in candidate_sets.items()}
    for start in range(0, len(users), block_users):
        block = slice(start, start + block_users)
        scores = engine.score(history[block], users[block])
        scores[seen[block].nonzero()] = EXCLUDED
        for name, listed in columns.items():
            places, values = top_k(scores[:, listed], k, tie_rank[listed])
            parts[name].append((np.where(places >= 0, listed[places], -1), values))
    return {name: (np.vstack([p[0] for p in found]), np.vstack([p[1] for p in found])) for name, found in parts.items()}
