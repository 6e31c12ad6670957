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

from tailor.topk import EXCLUDED, reached_by, top_k

Floats = NDArray[np.float32]
#: Candidates of the shortlist per place of the list.
_POOL = 4


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
        self, user: Floats, barred: NDArray[np.int64], k: int, tie_rank: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Floats]:
        """Return one row of what :func:`tailor.topk.top_k` returns for ``user @ vectors.T``.

        Args:
            user: (d,).
            barred: items that must not be listed.
            k: list length.
            tie_rank: (n,).
        """
        self.rows += 1
        if _POOL * k < len(self.vectors):
            (code,), (scale,) = _code(user[None])
            coded = np.multiply(
                np.asarray(numkong.dots_packed(code[None], self.packed))[0], self.scale, dtype=np.float32
            )
            coded[barred] = EXCLUDED
            bound = reached_by(coded, _POOL * k)
            pool = np.flatnonzero(coded >= bound)
            exact = self.vectors[pool] @ user
            order = np.lexsort((tie_rank[pool], -exact))[:k]
            off = self.error * np.linalg.norm(user) + self.longest * np.linalg.norm(user - code * scale)
            if len(order) == k and exact[order[-1]] > bound * scale + off:
                return pool[order], exact[order]
        self.full += 1
        scores = self.vectors @ user
        scores[barred] = EXCLUDED
        items, values = top_k(scores[None], k, tie_rank)
        return items[0], values[0]


def _code(rows: Floats) -> tuple[NDArray[np.int8], Floats]:
    scale = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    scale[scale == 0] = 1
    return np.round(rows / scale[:, None]).astype(np.int8), scale


def _longest(rows: Floats) -> float:
    return float(np.sqrt(np.einsum("nd,nd->n", rows, rows).max(initial=0)))
