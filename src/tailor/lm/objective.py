r"""The exact implicit loss of an item as a function of its factor (DESIGN §5).

With the user factors U (U, d) of a teacher fixed, the part of the iALS loss that item i's factor v appears in is

    q_i(v) = Σ_(u∈i) (1 - u·v)² + α vᵀ(UᵀU)v = (v - v*_i)ᵀ A_i (v - v*_i) + const,  A_i = Σ_(u∈i) u uᵀ + α UᵀU

so reading each item once an epoch puts the whole user base in the loss, with no negative sampling.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class QuadraticObjective:
    """The teacher's side of the loss."""

    users: torch.Tensor
    """Teacher user factors (U, d), fp32."""
    gram: torch.Tensor
    """α UᵀU, (d, d)."""
    by_item: sparse.csr_matrix
    """Train interactions by item, (n_items, U)."""
    weights: NDArray[np.float32]
    """w_i = (n_i + α U)^-power scaled to mean 1, (n_items,)."""

    @classmethod
    def build(
        cls, user_factors: NDArray[np.float32], train: sparse.csr_matrix, alpha: float, power: float
    ) -> "QuadraticObjective":
        """Build from the teacher's user factors (U, d) and its train matrix (U, n_items)."""
        users = torch.from_numpy(np.ascontiguousarray(user_factors, dtype=np.float32))
        by_item = sparse.csr_matrix(train.T)
        weights = (np.diff(by_item.indptr) + alpha * len(user_factors)) ** -power
        return cls(users, alpha * users.T @ users, by_item, (weights / weights.mean()).astype(np.float32))

    def loss(self, factors: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return the mean over the batch of w_i q_i(v_i).

        Args:
            factors: predicted item factors v (B, d).
            rows: internal ids of the items (B,).
        """
        block = self.by_item[rows].tocoo()
        item, user = torch.from_numpy(block.row.astype(np.int64)), torch.from_numpy(block.col.astype(np.int64))
        # index_select, not indexing: the gradient of indexing adds in no fixed order, so runs would differ in bits.
        residual = (1.0 - (factors.cpu().index_select(0, item) * self.users[user]).sum(dim=1)) ** 2
        observed = torch.zeros(len(rows)).index_add(0, item, residual)
        everything = ((factors.cpu() @ self.gram) * factors.cpu()).sum(dim=1)
        return ((observed + everything) * torch.from_numpy(self.weights[rows])).mean()
