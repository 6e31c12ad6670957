"""Top-k of inner products over a large catalogue: a scan of int8 codes, then exact scores of what it leaves.

Rows are coded v̂ = s_i q_i with q_i in [-127, 127]. The scores of the codes are wrong by at most

    |u·v_i - û·v̂_i|  <=  |u| |v_i - v̂_i| + |u - û| |v̂_i|

so when the k-th exact score of the shortlist is above the best coded score outside of it plus that bound, the list is
the exact one; where it is not, the row is scanned in full. A quarter of the memory is read (numkong's kernels).
"""

from typing import Any

import numkong
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.cf.topk import EXCLUDED, top_k
from tailor.data.matrices import cells

Floats = NDArray[np.float32]
#: Candidates of the shortlist, per place of the list.
_POOL = 8


class Scan:
    """Codes of item vectors (n, d)."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        codes, self.scale = _code(vectors)
        self.error = _longest(vectors - codes * self.scale[:, None])
        self.longest = _longest(codes * self.scale[:, None])
        self.packed: Any = numkong.dots_pack(codes)
        #: Rows that had to be scanned in full, of all.
        self.full, self.rows = 0, 0

    def top_k(
        self, users: Floats, barred: sparse.csr_matrix, k: int, tie_rank: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Floats]:
        """Return what :func:`tailor.cf.topk.top_k` returns for ``users @ vectors.T``.

        Args:
            users: (B, d).
            barred: non-zero where an item must not be listed (B, n).
            k: list length.
            tie_rank: (n,).
        """
        n = len(self.vectors)
        size = _POOL * k
        codes, scale = _code(users)
        coded = np.multiply(np.asarray(numkong.dots_packed(codes, self.packed)), self.scale, dtype=np.float32)
        coded[cells(barred)] = EXCLUDED
        if size >= n:
            return self._all(users, barred, k, tie_rank)
        pool = np.argpartition(coded, n - size, axis=1)[:, n - size :]
        reached = np.take_along_axis(coded, pool, axis=1)
        exact = np.einsum("bpd,bd->bp", self.vectors[pool], users)
        exact[np.isneginf(reached)] = EXCLUDED
        items, values = _ordered(pool, exact, k, tie_rank)
        off = self.error * np.linalg.norm(users, axis=1)
        off += self.longest * np.linalg.norm(users - codes * scale[:, None], axis=1)
        short = np.flatnonzero(values[:, -1] <= reached.min(axis=1) * scale + off)
        self.full, self.rows = self.full + len(short), self.rows + len(users)
        if len(short):
            items[short], values[short] = self._all(users[short], barred[short], k, tie_rank)
        return items, values

    def _all(
        self, users: Floats, barred: sparse.csr_matrix, k: int, tie_rank: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Floats]:
        scores = users @ self.vectors.T
        scores[cells(barred)] = EXCLUDED
        return top_k(scores, k, tie_rank)


def _code(rows: Floats) -> tuple[NDArray[np.int8], Floats]:
    scale = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    scale[scale == 0] = 1
    return np.round(rows / scale[:, None]).astype(np.int8), scale


def _longest(rows: Floats) -> float:
    return float(np.sqrt(np.einsum("nd,nd->n", rows, rows).max(initial=0)))


def _ordered(
    pool: NDArray[np.int64], scores: Floats, k: int, tie_rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats]:
    order = np.lexsort((tie_rank[pool], -scores), axis=1)[:, :k]
    items, values = np.take_along_axis(pool, order, axis=1), np.take_along_axis(scores, order, axis=1)
    items[np.isneginf(values)] = -1
    return items, values
