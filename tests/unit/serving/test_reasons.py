"""What carried a list: by planted parts of three sources."""

import numpy as np
import pytest
from scipy import sparse

from tailor.models.base import Query
from tailor.serving.intent import Intent
from tailor.serving.reasons import Carried
from tailor.serving.words import WordScores

SOURCES = ("ials", "demographic", "popular")


def carried(*rows):
    """One list; each row the parts of one place."""
    return Carried(SOURCES, np.array([rows], dtype=float))


@pytest.mark.parametrize(
    ("rows", "known", "path"),
    [
        ([(1.0, 0.0, 0.5), (0.2, 0.0, 0.6)], "fold_in", "fold_in"),  # 1.2 : 1.1
        ([(1.0, 0.0, 0.5), (0.2, 0.0, 0.8)], "fold_in", "popular"),  # 1.2 : 1.3
        ([(0.1, 0.0, 0.5)], "known_user", "popular"),
        ([(0.1, 0.6, 0.5)], "known_user", "known_user"),
        ([(0.0, 0.6, 0.5)], "profile", "profile"),
        ([(0.0, 0.4, 0.5)], "profile", "popular"),
        ([(0.0, 0.6, 0.5)], "popular", "profile"),
        ([(0.0, 0.0, 0.0)], "profile", "profile"),
        ([(-0.1, 0.0, -0.2)], "fold_in", "fold_in"),
    ],
)
def test_the_path_is_what_carried_most_of_the_listed_scores(rows, known, path):
    assert carried(*rows).path(0, known) == path


def test_each_place_has_the_reason_of_its_largest_part():
    assert carried((1, 0, 2), (1, 0, 0.5), (0, 3, 2)).reasons(0).tolist() == ["popular", "taken_together", "profile"]


class TwoSources:
    """Weights 2 and 3 for every item."""

    source_names = ("ials", "popular")

    def scored(self, query):
        raise NotImplementedError

    def source_weights(self, query, items):  # noqa: ARG002
        return np.tile([2.0, 3.0], (*items.shape, 1))


def test_parts_are_weights_times_scores_and_empty_places_count_nothing():
    """2 · 5 and 3 · 7 of item 1; beside words times one half."""
    z = [np.array([[4.0, 5.0], [4.0, 5.0]], np.float32), np.array([[6.0, 7.0], [6.0, 7.0]], np.float32)]
    query = Query.of(sparse.csr_matrix((2, 2), dtype=np.float32))
    found = Carried.of(TwoSources(), query, np.array([[1, -1], [1, 0]]), z, {1: 0.5})
    assert found.parts.tolist() == [[[10, 21], [0, 0]], [[5, 10.5], [4, 9]]]


def test_a_model_that_cannot_be_taken_apart_leaves_the_path():
    found = Carried.of(object(), Query.of(sparse.csr_matrix((1, 2), dtype=np.float32)), np.array([[1, 0]]), [], {})
    assert found.path(0, "known_user") == "known_user"


@pytest.mark.parametrize(("n_history", "share"), [(0, 0.3), (5, 0.5), (15, 0.75)])
def test_the_share_beside_words_is_that_of_the_blend(n_history, share):
    """n / (n + 5), and .3 where nothing is known; a best score far above the others counts as 7."""
    score = np.random.default_rng(0).normal(size=50).astype(np.float32)
    words = WordScores(Intent("robots"), score, np.zeros(50, bool))
    assert words.share(n_history, 4.0) == pytest.approx(share, abs=1e-6)
    assert words.share(n_history, 28.0) == pytest.approx(share / 4, abs=1e-6)
