"""Kernel ridge regression without an item, its gradient, and its likeness to what serves cold items."""

import numpy as np
import pytest
import torch

from tailor.hybrid.cold_items import KernelImputer
from tailor.hybrid.config import ColdItemOptions
from tailor.lm.config import KernelLossOptions
from tailor.lm.kernel_ridge import LeftOut, kernel, predict


@pytest.fixture
def e():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 5))
    return torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.fixture
def targets():
    return torch.from_numpy(np.random.default_rng(1).normal(size=(9, 3)))


def test_the_kernel_of_two_embeddings_by_hand():
    e, others = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(kernel(e, others, 0.5).numpy(), [[2.0, 1 + np.exp(-0.5 * 2)]], rtol=1e-6)


def test_an_item_is_predicted_by_a_fit_without_it(e, targets):
    predicted = LeftOut.solve(e, targets, 1.5, 0.7).predicted()
    for item in range(len(e)):
        others = np.arange(len(e)) != item
        K = kernel(e[others], e[others], 1.5) + 0.7 * torch.eye(8, dtype=e.dtype)
        by_others = kernel(e[[item]], e[others], 1.5) @ torch.linalg.solve(K, targets[others])
        np.testing.assert_allclose(predicted[item], by_others[0], rtol=1e-10)


def test_the_gradient_is_that_through_the_inverse(e, targets):
    moved, pull = e.clone().requires_grad_(), torch.linspace(-1, 1, 27, dtype=e.dtype).reshape(9, 3)
    loss = (LeftOut.solve(moved, targets, 1.5, 0.7).predicted() * pull).sum()
    (expected,) = torch.autograd.grad(loss, moved)
    solution = LeftOut.solve(e, targets, 1.5, 0.7)
    batch = torch.tensor([7, 2, 4])
    live = e[batch].clone().requires_grad_()
    (solution.gradient(pull)(batch) * kernel(live, e, 1.5)).sum().backward()
    np.testing.assert_allclose(live.grad, expected[batch], rtol=1e-9)


def test_items_without_interactions_are_predicted_as_they_are_served():
    rng = np.random.default_rng(0)
    features, counts = rng.normal(size=(12, 5)).astype(np.float32), np.array([1, 0, 2, 0, 1, 3, 1, 1, 1, 4, 1, 1])
    targets, known = rng.normal(size=(12, 3)).astype(np.float32), counts > 0
    served = KernelImputer.fit(ColdItemOptions(width=0.4, ridge=0.2), features, counts)
    ours = predict(features[known], targets[known], features[~known], KernelLossOptions(width=0.4, ridge=0.2))
    np.testing.assert_allclose(ours, served.predict(features[~known], targets[known]), rtol=1e-4)
