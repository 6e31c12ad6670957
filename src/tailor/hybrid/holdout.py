"""What choices are made on: a fit that treats pseudo-cold B as cold and some users as new, and the validation rows."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import bucket_items, keep_items, pseudo_cold_items, warm_items
from tailor.data.side_features import SideFeatures
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.base import Engine, Mask
from tailor.models.listing import recommend

MIXED_COLD = "mixed_cold"


@dataclass(frozen=True)
class Holdout:
    """The validation side of the split; no test row is among its fields."""

    train: sparse.csr_matrix
    """What is fitted on: train interactions without B and without the newcomers' rows (U, n_items)."""
    history: sparse.csr_matrix
    """What lists are computed from: train interactions without B (U, n_items); values order a user's items where time
    is known."""
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
    tail: Mask
    """Tail items (n_items,)."""
    newcomers: NDArray[np.int64]
    """Users that play new ones (their rows are in no fit), internal ids."""
    order: sparse.csr_matrix
    """Train and validation rows without B; values order a user's items (U, n_items)."""
    told: SideFeatures = field(default_factory=SideFeatures.nothing)
    """What is told of users and of the moments they acted in."""

    @classmethod
    def build(
        cls,
        train: sparse.csr_matrix,
        validation: sparse.csr_matrix,
        items: pd.DataFrame,
        seed: int,
        order: sparse.csr_matrix | None = None,
        newcomers: float = 0.1,
        told: SideFeatures | None = None,
    ) -> "Holdout":
        """Derive the masks from the item table, and draw a fraction ``newcomers`` of the users with train rows.

        No test row is among the inputs.

        Args:
            train: (U, n_items).
            validation: (U, n_items).
            items: the item table.
            seed: of the draw.
            order: train and validation rows, values order a user's items; None: a seeded order.
            newcomers: fraction of users.
            told: of users, and of the moments they acted in.
        """
        cold = pseudo_cold_items(items, "B")
        warm = warm_items(items) & ~cold
        candidates = ~bucket_items(items, c.COLD)
        ties = tie_ranks(seed, items[c.ITEM])
        history = keep_items(train, warm)
        known = np.flatnonzero(np.diff(train.indptr) > 0)
        new = np.sort(np.random.default_rng([seed, 1]).permutation(known)[: round(newcomers * len(known))])
        stays = np.ones(train.shape[0], dtype=np.float32)
        stays[new] = 0.0
        fitted = sparse.csr_matrix(sparse.diags(stays) @ history)
        fitted.eliminate_zeros()
        fitted.sort_indices()
        if order is None:
            order = sparse.csr_matrix(train + validation)
            order.data = np.random.default_rng(0).permutation(order.nnz).astype(np.float32) + 1
        tail = bucket_items(items, c.TAIL) & warm
        places = keep_items(order, warm)
        return cls(
            fitted,
            history,
            train,
            validation,
            warm,
            cold,
            candidates,
            ties,
            tail,
            new,
            places,
            told or SideFeatures.nothing(),
        )

    def measure(self, engine: Engine[Any], k: int) -> dict[str, float]:
        """Return mean NDCG@k: warm, tail (over warm candidates), cold (over B), mixed and mixed_cold (over both)."""
        users = np.flatnonzero(np.diff(self.validation.indptr) > 0)
        sets = {c.WARM: self.candidates & ~self.cold, c.COLD: self.cold, c.MIXED: self.candidates}
        found = recommend(engine, users, self.history[users], self.seen[users], sets, k, self.tie_rank)
        counted = {name: (name, mask) for name, mask in sets.items()}
        counted |= {c.TAIL: (c.WARM, self.tail), MIXED_COLD: (c.MIXED, self.cold)}
        values = {}
        for name, (lists, mask) in counted.items():
            positives = keep_items(self.validation[users], mask)
            per_user = ndcg(hits(found[lists][0], positives), np.diff(positives.indptr), k)
            values[name] = float(np.nanmean(per_user)) if np.isfinite(per_user).any() else 0.0
        return values
