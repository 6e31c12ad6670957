"""Under another split the champion's recipe reads the present texts by its own encoder."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.registry import promote
from tests.unit.serving.conftest import Planted, genres, names, served

__all__ = ["genres", "names", "served"]


def test_the_champion_s_own_encoder_reads_the_challenger_s_texts(served, names):
    """Its encoder knows the first genre alone; the challenger's knows all."""
    known = names[0]
    champion = replace(served, encoder_of=lambda: Planted({known: np.array([0.0, 1.0])}))
    features = promote.own_features(champion, served)
    of_genre = np.array([known in ". ".join(pieces).lower() for pieces in served.known_metadata.pieces])
    np.testing.assert_array_equal(features, np.where(of_genre[:, None], [[0.0, 1.0]], 0.0))
    assert (promote.own_features(served, served) != 0).any(axis=1).all()


@pytest.mark.parametrize("run_id", ["", None])
def test_a_version_without_a_run_left_no_measured_model(run_id):
    assert promote.load_evaluated(run_id or "") is None
