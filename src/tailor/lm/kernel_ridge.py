r"""The implicit loss of the factors that kernel ridge regression predicts of each item from the texts of all others.

An item without interactions takes after those with a text like its own (:mod:`tailor.hybrid.cold_items`). What they say
of an item that has interactions, if it had none, is known in closed form: with K_ij = exp(-γ|e_i - e_j|²) + 1,
H = (K + ρI)⁻¹, C = HV and h = diag H it is

    v̂_i = v_i - C_i / h_i        (Rifkin & Lippert 2007, "Notes on regularized least squares", eq. 10)

and the loss Σ_i w_i q_i(v̂_i) / n is that of serving, over every item. Its gradient needs no pass through the inverse:
with g = ∂loss/∂v̂, A = H (g / h) and s_i = g_i·C_i / h_i²,

    ∂loss/∂K + its transpose = A Cᵀ + C Aᵀ - 2 H diag(s) H =: W,    ∂loss/∂e_i = Σ_j W_ij ∂k(e_i, e_j)/∂e_i
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tailor.lm.config import KernelLossOptions
from tailor.lm.encoder import device
from tailor.progress import announce


def kernel(e: torch.Tensor, others: torch.Tensor, width: float) -> torch.Tensor:
    """Return exp(-γ|e - e'|²) + 1 (b, n) of embeddings (b, m) and (n, m); γ is ``width``."""
    squares = (e**2).sum(dim=1)[:, None] + (others**2).sum(dim=1)
    return torch.exp(-width * (squares - 2 * e @ others.T).clamp(min=0)) + 1


def predict(
    known: NDArray[np.float32], targets: NDArray[np.float32], e: NDArray[np.float32], options: KernelLossOptions
) -> NDArray[np.float32]:
    """Predict the factors of items without interactions.

    Args:
        known: embeddings of items with interactions (n, m).
        targets: their factors (n, d).
        e: embeddings of the others (a, m).
        options: width and ridge.

    Returns:
        Factors (a, d).
    """
    landmarks, others = (torch.from_numpy(rows).to(device()).double() for rows in (known, e))
    regularized = kernel(landmarks, landmarks, options.width)
    regularized.diagonal().add_(options.ridge)
    V = torch.from_numpy(targets).to(regularized)
    shares = torch.cholesky_solve(V, torch.linalg.cholesky(regularized))
    return (kernel(others, landmarks, options.width) @ shares).float().cpu().numpy()


@dataclass(frozen=True)
class LeftOut:
    """Kernel ridge regression over n items, solved: what each would be predicted without itself."""

    inverse: torch.Tensor
    """H (n, n)."""
    solved: torch.Tensor
    """C = HV (n, d)."""
    targets: torch.Tensor
    """V (n, d)."""

    @classmethod
    def solve(cls, e: torch.Tensor, targets: torch.Tensor, width: float, ridge: float) -> "LeftOut":
        """Solve for embeddings (n, m) and targets (n, d), both in double precision."""
        announce(f"kernel regression on {len(e):,} items", len(e) ** 3)
        regularized = kernel(e, e, width) + ridge * torch.eye(len(e), dtype=e.dtype, device=e.device)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(regularized))
        return cls(inverse, inverse @ targets, targets)

    def predicted(self) -> torch.Tensor:
        """Return v̂ (n, d)."""
        return self.targets - self.solved / self.inverse.diagonal()[:, None]

    def gradient(self, of_predicted: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return W by rows: a function from positions (b,) to (b, n), given ∂loss/∂v̂ (n, d)."""
        h = self.inverse.diagonal()[:, None]
        A = self.inverse @ (of_predicted / h)
        s = (of_predicted * self.solved / h**2).sum(dim=1)

        def rows(positions: torch.Tensor) -> torch.Tensor:
            H = self.inverse[positions]
            W = A[positions] @ self.solved.T + self.solved[positions] @ A.T - 2 * (H * s) @ self.inverse
            # k(e, e) does not depend on e.
            return W.scatter_(1, positions[:, None], 0.0)

        return rows
