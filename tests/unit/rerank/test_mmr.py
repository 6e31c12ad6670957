"""Maximal marginal relevance against its definition."""

import numpy as np

from tailor.rerank import RerankOptions, rerank
from tailor.rerank.base import relevance
from tailor.testing.rerankers import RerankerTests
from tests.unit.rerank.worlds import world


class TestMMR(RerankerTests):
    method = "mmr"


def test_mmr_by_the_definition():
    pool, scores, history, metadata = world()
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="mmr", strength=0.7), 4)
    r, cosine = relevance(scores), metadata.vectors @ metadata.vectors.T
    for user in range(len(pool)):
        chosen: list[int] = []
        while len(chosen) < 4:
            left = [p for p in range(12) if pool[user, p] not in chosen]
            gain = [0.3 * r[user, p] - 0.7 * max((cosine[pool[user, p], j] for j in chosen), default=0.0) for p in left]
            chosen.append(pool[user, left[int(np.argmax(gain))]])
        assert items[user].tolist() == chosen
