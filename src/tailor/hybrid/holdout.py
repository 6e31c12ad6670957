"""What choices are made on: a fit that treats pseudo-cold B as cold, and the validation rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.cf.base import Engine, Mask
from tailor.data.hashing import tie_ranks
from tailor.data.matrices import bucket_items, keep_items, pseudo_cold_items, warm_items
from tailor.metrics.lists import recommend
from tailor.metrics.ranking import hits, ndcg


@dataclass(frozen=True)
class Holdout:
    """The validation side of the split; no test row is among its fields."""

    train: sparse.csr_matrix
    """Train interactions without B (U, n_items)."""
    seen: sparse.csr_matrix
    """What lists leave out: all train interactions (U, n_items)."""
    validation: sparse.csr_matrix
    """Positives (U, n_items)."""
    warm: Mask
    """Items that are learnt from (n_items,)."""
    cold: Mask
    """Pseudo-cold B (n_items,)."""
    candidates: Mask
    """Everything but the held-out cold items (n_items,)."""
    tie_rank: NDArray[np.int64]

    @classmethod
    def build(
        cls, train: sparse.csr_matrix, validation: sparse.csr_matrix, items: pd.DataFrame, seed: int
    ) -> "Holdout":
        """Derive the masks from the item table; no test row is among the inputs."""
        cold = pseudo_cold_items(items, "B")
        warm = warm_items(items) & ~cold
        candidates = ~bucket_items(items, c.COLD)
        ties = tie_ranks(seed, items[c.ITEM])
        return cls(keep_items(train, warm), train, validation, warm, cold, candidates, ties)

    def measure(self, engine: Engine[Any], k: int) -> dict[str, float]:
        """Return NDCG@k of warm positives over warm candidates, and of cold positives over B."""
        users = np.flatnonzero(np.diff(self.validation.indptr) > 0)
        sets = {c.WARM: self.candidates & ~self.cold, c.COLD: self.cold}
        found = recommend(engine, users, self.train[users], self.seen[users], sets, k, self.tie_rank)
        values = {}
        for name, mask in sets.items():
            positives = keep_items(self.validation[users], mask)
            per_user = ndcg(hits(found[name][0], positives), np.diff(positives.indptr), k)
            values[name] = float(np.nanmean(per_user)) if np.isfinite(per_user).any() else 0.0
        return values
