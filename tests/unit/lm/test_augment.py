"""Views of an item's text for contrastive training."""

import numpy as np
import pytest

from tailor.lm.augment import drop_pieces


def test_a_view_drops_pieces_but_never_all():
    rng = np.random.default_rng(0)
    pieces = [["a", "b", "c"]] * 2000
    views = drop_pieces(pieces, 0.5, rng)
    # P(all three stay) = 1/8; P(one is left) = 3/8 + 1/8 of the draws where all would have gone.
    assert np.mean([v == "a. b. c" for v in views]) == pytest.approx(1 / 8, abs=0.03)
    assert np.mean([len(v) == 1 for v in views]) == pytest.approx(4 / 8, abs=0.04)
    assert drop_pieces([[], ["x"]], 0.99, rng) == ["", "x"]
    assert drop_pieces(pieces[:1], 0.0, rng) == ["a. b. c"]
