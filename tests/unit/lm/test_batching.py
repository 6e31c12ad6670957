"""Which items an epoch draws."""

import numpy as np
import pytest

from tailor.lm.batching import draw_items


def test_balanced_sampling_draws_rare_items_more_often():
    rng, rows = np.random.default_rng(0), np.arange(2)
    assert sorted(draw_items(np.arange(50), np.ones(50, np.int64), 0.0, rng)) == list(range(50))
    drawn = draw_items(rows.repeat(2000), np.array([100, 1]), 0.5, rng)
    # Chances in proportion to n^-1/2: 1/10 against 1.
    assert (drawn == 1).mean() == pytest.approx(10 / 11, abs=0.02)
