"""Centring and whitening, fitted on some rows and applied to all."""

import numpy as np

from tailor.lm.whitening import Whitening


def test_centring_is_fitted_on_the_given_rows_only():
    pooled = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0]], dtype=np.float32)
    got = Whitening.fit(pooled, np.array([True, True, False])).apply(pooled)
    np.testing.assert_allclose(got, [[-1, 0], [1, 0], [0, 1]])


def test_zca_decorrelates_the_rows_it_was_fitted_on():
    rng = np.random.default_rng(0)
    pooled = (rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + 3).astype(np.float32)
    fitted_on = np.arange(500) < 400
    whitening = Whitening.fit(pooled, fitted_on, "zca", shrinkage=1e-6)
    white = (pooled - whitening.centre) @ whitening.projection
    np.testing.assert_allclose(np.cov(white[fitted_on], rowvar=False, bias=True), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(whitening.projection, whitening.projection.T, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whitening.apply(pooled), axis=1), 1, atol=1e-5)
    pooled[450] += 100
    np.testing.assert_array_equal(Whitening.fit(pooled, fitted_on, "zca", 1e-6).projection, whitening.projection)
