"""Under another split the champion's recipe reads the present texts by its own encoder."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.data.item_vectors import join_parts
from tailor.registry import promote
from tailor.serving.recommender import VECTORS
from tests.unit.serving.conftest import Planted, genres, names, served

BOTH = "train_and_validation"
__all__ = ["genres", "names", "served"]


def test_the_champion_s_own_encoder_reads_the_challenger_s_texts(served, names):
    """Its encoder knows the first genre alone; the challenger's knows all."""
    known = names[0]
    champion = replace(served, encoder_of=lambda: Planted({known: np.array([0.0, 1.0])}))
    features = promote.own_features(champion, served)
    of_genre = np.array([known in ". ".join(pieces).lower() for pieces in served.known_metadata.pieces])
    np.testing.assert_array_equal(features, np.where(of_genre[:, None], [[0.0, 1.0]], 0.0))
    assert (promote.own_features(served, served) != 0).any(axis=1).all()


def test_the_champion_sees_the_challengers_vectors_of_the_same_columns(served):
    """Half of each row's length is the text's where there is a vector of as many numbers, else all."""
    texts = served.item_features.shape[1]
    vectors = np.tile(np.array([[0.6, 0.8]], np.float32), (len(served.item_ids), 1))
    wide = replace(served.model, item_features=join_parts([served.item_features, vectors]))
    seen = replace(served, model=wide, about=served.about | {VECTORS: {"vector_image": [0.0, 0.0]}})
    features = promote.own_features(seen, seen)
    np.testing.assert_allclose(features[:, texts:], vectors / np.sqrt(2), rtol=1e-5)
    np.testing.assert_allclose(features[:, :texts], promote.own_features(served, seen) / np.sqrt(2), rtol=1e-5)
    lacking = promote.own_features(seen, served)
    assert lacking.shape == features.shape
    assert not lacking[:, texts:].any()


@pytest.mark.parametrize(
    ("champion", "challenger", "reason"),
    [
        ({}, {}, ""),
        ({"evaluated_fit_on": "train"}, {}, ""),
        ({"evaluated_fit_on": BOTH}, {"evaluated_fit_on": BOTH}, ""),
        ({}, {"evaluated_fit_on": BOTH}, "was measured with evaluation.fit_on: train, the challenger with " + BOTH),
        ({"evaluated_fit_on": BOTH}, {}, f"was measured with evaluation.fit_on: {BOTH}, the challenger with train"),
        ({"split_hash": "t", "evaluated_fit_on": BOTH}, {"evaluated_fit_on": BOTH}, "was fitted under another split"),
    ],
)
def test_what_was_fitted_on_other_rows_is_not_compared_as_it_is(champion, challenger, reason):
    assert promote.difference({"split_hash": "s"} | champion, {"split_hash": "s"} | challenger) == reason


@pytest.mark.parametrize("run_id", ["", None])
def test_a_version_without_a_run_left_no_measured_model(run_id):
    assert promote.load_evaluated(run_id or "") is None
