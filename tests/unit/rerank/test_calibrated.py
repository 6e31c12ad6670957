"""Lists with the mix of categories that the history has."""

import itertools

import numpy as np

from tailor.metrics import Lists, diversity
from tailor.rerank import RerankOptions, rerank
from tailor.testing.rerankers import RerankerTests
from tests.unit.rerank.worlds import world


class TestCalibrated(RerankerTests):
    method = "calibrated"


def test_calibrated_lists_follow_the_history():
    pool, scores, history, metadata = world(n_users=20)
    before = diversity.category_calibration(Lists.build(pool[:, :6], metadata, history=history))
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="calibrated", strength=1.0), 6)
    after = diversity.category_calibration(Lists.build(items, metadata, history=history))
    assert after.mean() < 0.5 * before.mean()
    # With one category per item the greedy list is the best of all, for a short list.
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="calibrated", strength=1.0), 2)
    found = diversity.category_calibration(Lists.build(items, metadata, history=history))
    for user in range(3):
        best = min(
            diversity.category_calibration(Lists.build(np.array([pair]), metadata, history=history[[user]]))[0]
            for pair in itertools.combinations(pool[user], 2)
        )
        assert found[user] <= best + 0.25
