"""The determinantal point process against brute force."""

import numpy as np

from tailor.rerank import RerankOptions, rerank
from tailor.rerank.base import relevance
from tailor.testing.rerankers import RerankerTests
from tests.unit.rerank.worlds import world


class TestDPP(RerankerTests):
    method = "dpp"


def test_dpp_is_the_greedy_maximum_of_the_determinant():
    pool, scores, history, metadata = world()
    s = 0.8
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="dpp", strength=s), 4)
    r = relevance(scores)
    for user in range(len(pool)):
        at = {int(i): p for p, i in enumerate(pool[user])}
        chosen: list[int] = []
        for _ in range(4):

            def value(candidate, taken=tuple(chosen), user=user, at=at):
                subset = [*taken, candidate]
                similar = metadata.vectors[subset] @ metadata.vectors[subset].T
                return (1 - s) * sum(r[user, at[i]] for i in subset) + s * np.linalg.slogdet(similar)[1]

            chosen.append(max((int(i) for i in pool[user] if i not in chosen), key=value))
        assert items[user].tolist() == chosen
