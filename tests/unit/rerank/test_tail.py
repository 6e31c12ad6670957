"""A lift for items of the tail."""

import numpy as np

from tailor.rerank import RerankOptions, rerank
from tailor.testing.rerankers import RerankerTests
from tests.unit.rerank.worlds import world


class TestTail(RerankerTests):
    method = "tail"


def test_tail_strength_one_lists_the_tail_first():
    pool, scores, history, metadata = world()
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="tail", strength=1.0), 12)
    lifted = metadata.tail[items]
    assert (np.diff(lifted.astype(int), axis=1) <= 0).all()
