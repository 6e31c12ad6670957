"""The peer ALS of the library implicit."""

import os

import numpy as np

from tailor.models.base import Query, TrainSet
from tailor.models.implicit_als import ImplicitALS, ImplicitALSConfig
from tailor.testing.models import ModelTests
from tests.unit.models.histories import random_history


class TestImplicitALS(ModelTests):
    def make(self, seed=0):
        return ImplicitALS(ImplicitALSConfig(factors=8, iterations=5), seed)


def test_users_are_recalculated_from_their_history():
    """After the library's last sweep, which solves the items, its own recalculation gives the same scores."""
    X, config = random_history(), ImplicitALSConfig(factors=4, iterations=5, alpha=2.0)
    ours = ImplicitALS(config).fit(TrainSet.of(X, np.ones(25, bool)))
    theirs = ImplicitALS(config).library_model()
    theirs.fit(X, show_progress=False)
    expected = theirs.recalculate_user(np.arange(5), X[:5]) @ theirs.item_factors.T
    np.testing.assert_allclose(ours.score(Query.of(X[:5])), expected, rtol=1e-5, atol=1e-6)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    def item_factors(n_threads):
        monkeypatch.setenv("OMP_NUM_THREADS", str(n_threads))
        recipe = ImplicitALS(ImplicitALSConfig(factors=8, iterations=5))
        assert recipe.library_model().num_threads == min(n_threads, len(os.sched_getaffinity(0)))
        return recipe.fit(TrainSet.of(random_history(), np.ones(25, bool))).item_factors

    np.testing.assert_array_equal(item_factors(1), item_factors(2))
