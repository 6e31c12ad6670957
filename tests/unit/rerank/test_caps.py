"""At most so many items of a category."""

import numpy as np

from tailor.rerank import RerankOptions, rerank
from tailor.testing.rerankers import RerankerTests
from tests.unit.rerank.worlds import world


class TestCaps(RerankerTests):
    method = "caps"


def test_caps_hold_as_long_as_the_pool_allows():
    pool, scores, history, metadata = world()
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="caps", strength=0.75), 4)
    for user in range(len(pool)):
        available = len(set(metadata.category_matrix[pool[user]].indices))
        counts = np.bincount(metadata.category_matrix[items[user]].indices)
        assert (counts > 0).sum() == min(4, available)  # ceil(4 · 0.25) = one per category
