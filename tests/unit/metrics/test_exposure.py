"""How exposure is spread over the catalogue, by hand."""

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tailor.data.item_metadata import ItemMetadata
from tailor.metrics import Lists, find_metric
from tailor.metrics.exposure import entropy, gini, opportunity_parity, statistical_parity
from tailor.testing.metrics import fabricate_metadata

EXPOSURE = ("catalog_coverage", "tail_coverage", "gini", "entropy", "arp", "aplt", "aclt", "novelty")


def test_exposure_arithmetic():
    items = fabricate_metadata(4).with_arrays(
        n_train=np.array([8, 2, 0, 5]), bucket=np.array(["head", "tail", "unseen", "tail"])
    )
    candidates = np.array([True, True, True, False])
    lists = Lists.build(np.array([[0, 1], [0, -1]]), items, candidates=candidates, n_train_users=9)
    got = {name: float(find_metric(name).values(lists)[0]) for name in EXPOSURE}
    assert got["catalog_coverage"] == 2 / 3
    assert got["tail_coverage"] == 1 / 1
    assert got["arp"] == pytest.approx((8 + 2 + 8) / 3)
    assert got["aplt"] == pytest.approx((1 / 2 + 0 / 1) / 2)
    assert got["aclt"] == pytest.approx((1 + 0) / 2)
    assert got["novelty"] == pytest.approx((-log2(9 / 10) - log2(3 / 10) - log2(9 / 10)) / 3)
    assert got["gini"] == pytest.approx(((2 * 2 - 4) * 1 + (2 * 3 - 4) * 2) / (3 * 3))  # counts 0, 1, 2
    assert got["entropy"] == pytest.approx(-(2 / 3) * log2(2 / 3) - (1 / 3) * log2(1 / 3))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_gini_is_half_the_relative_mean_absolute_difference(counts):
    x = np.array(counts, dtype=float)
    if x.sum() == 0:
        assert np.isnan(gini(x))
    else:
        assert gini(x) == pytest.approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()), abs=1e-12)


LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])
POSITIVES = sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))
VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0]], np.float32)
CATEGORIES = ['["a", "b"]', '["b"]', '["c"]', "[]"]
ITEMS = ItemMetadata(
    fabricate_metadata(4).table.assign(categories=CATEGORIES),
    vectors=VECTORS,
    n_train=np.array([9, 8, 1, 1]),
    bucket=np.array(["head", "head", "tail", "tail"]),
)


def lists_of(items, history=None, positives=None, seen=None):
    return Lists.build(np.asarray(items), ITEMS, history=history, positives=positives, seen=seen)


def test_entropy_by_hand():
    assert entropy(np.array([5, 5, 5, 5, 0])) == pytest.approx(2.0)
    assert entropy(np.array([7])) == 0.0
    assert np.isnan(entropy(np.zeros(3, np.int64)))


def test_parity_by_hand():
    # Nobody may be shown item 0 but user 2, who has not seen it.
    seen = sparse.csr_matrix(np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    lists = lists_of(LISTS, positives=POSITIVES, seen=seen)
    # Listed: head four times (items 1, 0, 0, 1), tail three times (3, 2, 2); 1 + 3 and 3 + 3 cells.
    chance = np.array([4 / 4, 3 / 6])
    assert statistical_parity(lists) == pytest.approx(chance.std() / chance.mean())
    # Hits: item 3 and item 0 of user 0, item 2 of user 1; positives: one of the head, two of the tail, all listed.
    assert opportunity_parity(lists) == pytest.approx(0.0)
    assert opportunity_parity(lists.first(1)) == pytest.approx(1.0)  # 0 / 1 and 2 / 2
