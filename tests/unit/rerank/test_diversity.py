"""What strength does, of the methods that vary lists."""

import numpy as np
import pytest

from tailor.metrics import Lists, diversity
from tailor.rerank import RerankOptions, rerank
from tests.unit.rerank.worlds import world


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_more_strength_means_more_diversity_and_less_relevance(method):
    """MMR gains distances, a DPP the volume that a list spans. Both are greedy: it holds of many users, not of each."""
    pool, scores, history, metadata = world(0, n_users=2000, size=20)
    varied, total = [], []
    for strength in (0.0, 0.5, 1.0):
        items, values = rerank(pool, scores, history, metadata, RerankOptions(method=method, strength=strength), 4)
        listed = metadata.vectors[items]
        volume = np.linalg.slogdet(listed @ listed.transpose(0, 2, 1))[1]
        distance = diversity.intra_list_diversity(Lists.build(items, metadata))
        varied.append((distance if method == "mmr" else volume).mean())
        total.append(values.sum())
    assert varied[0] < varied[1] < varied[2]
    assert total[0] > total[1] > total[2]
