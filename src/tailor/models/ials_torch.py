"""The text-prior iALS of :mod:`tailor.models.ials` in torch, for CUDA: the same mathematics, every solve exact.

irspack's sweeps make three conjugate-gradient steps per row, these a Cholesky solve; so the same options need fewer
sweeps here. Memory: ``_BUDGET`` gathered floats at a time, beside the factors.

On a CPU groups of rows are solved in threads, each group on one thread: the factors are the same to the last bit,
whatever the number of threads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from tailor.determinism import one_thread
from tailor.models.ials import IALSConfig
from tailor.progress import progress
from tailor.threads import in_threads
from tailor.types import AnyArray

#: Floats that are gathered at a time: on a GPU what keeps it busy, on a CPU what a core's cache holds.
_BUDGET = {"cuda": 32_000_000, "cpu": 500_000}
Factors = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """Factors of users (U, d) and of warm items (n, d), and the map W (m, d) where there are features."""

    users: Factors
    items: Factors
    feature_weights: Factors | None


def frequency(counts: torch.Tensor, others: int, alpha: float, nu: float) -> torch.Tensor:
    """Return f = (n + α N)^ν of Rendle et al. 2021, eq. 3."""
    return (counts + alpha * others) ** nu


def solve_rows(
    matrix: sparse.csr_matrix,
    other: torch.Tensor,
    gram: torch.Tensor,
    ridge: torch.Tensor,
    prior: torch.Tensor | None = None,
) -> torch.Tensor:
    """Solve (Σ_S c o oᵀ + gram + ridge_r I) x_r = Σ_S c o + ridge_r prior_r for every row r.

    Rows of like length are solved together.

    Args:
        matrix: confidences c (R, n).
        other: factors of the other side (n, d).
        gram: (d, d).
        ridge: (R,), positive.
        prior: (R, d); zero where None.

    Returns:
        (R, d).
    """
    d, device = other.shape[1], other.device
    lengths = torch.from_numpy(np.diff(matrix.indptr).astype(np.int64)).to(device)
    start_of = torch.from_numpy(matrix.indptr[:-1].astype(np.int64)).to(device)
    indices = torch.from_numpy(np.append(matrix.indices, 0).astype(np.int64)).to(device)
    confidence = torch.from_numpy(np.append(matrix.data, 0).astype(np.float64)).to(device, other.dtype)
    padded = torch.vstack([other, torch.zeros(1, d, dtype=other.dtype, device=device)])
    right = torch.zeros(len(lengths), d, dtype=other.dtype, device=device) if prior is None else ridge[:, None] * prior
    out, order = torch.empty_like(right), torch.argsort(lengths, stable=True)
    sizes = lengths[order].cpu().numpy()

    def solve(group: slice) -> None:
        rows = order[group]
        slots = torch.arange(int(sizes[group.stop - 1]), device=device)
        valid = slots < lengths[rows, None]
        positions = (start_of[rows, None] + slots).clamp(max=len(indices) - 1)
        # Empty places take the row of zeros at the end.
        chosen = (
            torch.where(valid, indices[positions], len(other))
            if len(indices)
            else torch.full_like(positions, len(other))
        )
        vectors = padded[chosen]
        weighted = vectors * confidence[positions][..., None]
        normal = weighted.transpose(1, 2) @ vectors + gram
        normal.diagonal(dim1=1, dim2=2).add_(ridge[rows, None])
        rhs = right[rows] + weighted.sum(dim=1)
        out[rows] = torch.cholesky_solve(rhs[..., None], torch.linalg.cholesky(normal))[..., 0]

    _for_each(solve, _groups(sizes, d, _BUDGET[device.type]), device)
    return out


def _groups(sizes: NDArray[np.int64], d: int, budget: int) -> list[slice]:
    """Cut rows, the shortest first, into groups of which ``budget`` floats are gathered, or of one row.

    Args:
        sizes: cells of each row (R,), ascending.
        d: width of the factors.
        budget: floats; a group depends on it alone, not on the machine.
    """
    groups, first = [], 0
    while first < len(sizes):
        end = first + 1
        while end < len(sizes) and (end + 1 - first) * (int(sizes[end]) + d) * d <= budget:
            end += 1
        groups.append(slice(first, end))
        first = end
    return groups


def _for_each(solve: Callable[[slice], None], groups: list[slice], device: torch.device) -> None:
    """Solve groups: on a GPU one after the other, on a CPU several at a time, each on one thread of torch."""
    if device.type == "cuda":
        for group in groups:
            solve(group)
        return

    def alone(group: slice) -> None:
        with one_thread():
            solve(group)

    with one_thread():
        for _ in in_threads(alone, groups):
            pass


def fit(train: sparse.csr_matrix, features: AnyArray | None, options: IALSConfig, seed: int) -> Solution:
    """Minimise the objective of :mod:`tailor.models.ials` by alternating exact solves: users, W, items.

    Args:
        train: confidences over warm items (U, n).
        features: [e_i, 1] per warm item (n, m), or None for plain iALS.
        options: factors, alpha, regularization, nu, lambda_item_feature (ρ), iterations.
        seed: of the items' start.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    by_user, by_item = sparse.csr_matrix(train), sparse.csr_matrix(train.T)
    n_users, n_items = train.shape
    start = np.random.default_rng(seed).normal(scale=1 / np.sqrt(options.factors), size=(n_items, options.factors))
    items = torch.from_numpy(start).to(device)
    counts = [torch.from_numpy(np.diff(m.indptr).astype(np.float64)).to(device) for m in (by_user, by_item)]
    user_ridge = options.regularization * frequency(counts[0], n_items, options.alpha, options.nu)
    item_ridge = options.regularization * frequency(counts[1], n_users, options.alpha, options.nu)
    E = None if features is None else torch.from_numpy(np.asarray(features, np.float64)).to(device)
    weights: torch.Tensor | None = None
    users = torch.zeros(n_users, options.factors, dtype=torch.float64, device=device)
    for _ in progress(range(options.iterations), "iALS (torch)", "sweep"):
        users = solve_rows(by_user, items, options.alpha * items.T @ items, user_ridge)
        if E is not None:
            weights = feature_weights(E, items, item_ridge, options.lambda_item_feature)
        prior = None if weights is None or E is None else E @ weights
        items = solve_rows(by_item, users, options.alpha * users.T @ users, item_ridge, prior)
    return Solution(users.cpu().numpy(), items.cpu().numpy(), None if weights is None else weights.cpu().numpy())


def feature_weights(features: torch.Tensor, items: torch.Tensor, ridge: torch.Tensor, rho: float) -> torch.Tensor:
    """Return W = (Eᵀ D E + ρI)⁻¹ Eᵀ D V (m, d), D = diag(λ f): the weighted ridge of item factors on their texts."""
    weighted = features * ridge[:, None]
    normal = features.T @ weighted + rho * torch.eye(features.shape[1], dtype=features.dtype, device=features.device)
    with one_thread():
        weights: torch.Tensor = torch.linalg.solve(normal, weighted.T @ items)
    return weights
