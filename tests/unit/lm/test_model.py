"""The head's closed form."""

import numpy as np

from tailor.lm.model import ridge_head


def test_ridge_head_recovers_a_linear_map():
    rng = np.random.default_rng(0)
    E, W = rng.normal(size=(200, 5)).astype(np.float32), rng.normal(size=(6, 3))
    V = (np.hstack([E, np.ones((200, 1))]) @ W).astype(np.float32)
    head = ridge_head(E, V, np.ones(200, np.float32), 1e-6)
    np.testing.assert_allclose(head.numpy(), W.T, atol=1e-4)
