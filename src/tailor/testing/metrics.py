"""What every metric must do, as tests to inherit.

from tailor.testing.metrics import MetricTests

class TestShareOfNew(MetricTests):
    metric = "share_of_new"
    low, high = 0.0, 1.0
"""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation.tables import COLUMNS, measure_lists
from tailor.metrics.base import Lists, Metric, find_metric

_CATEGORIES = ["[]", '["drama"]', '["drama", "comedy"]', '["war"]']


def fabricate_metadata(n_items: int, seed: int = 0, dimensions: int = 4) -> ItemMetadata:
    """Return items of all four buckets, with embeddings, categories (some have none) and popularity."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_items, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pd.DataFrame({c.ITEM: [f"i{i}" for i in range(n_items)], c.TITLE: "", c.PIECES: "[]"})
    table["categories"] = rng.choice(_CATEGORIES, n_items)
    bucket = np.resize([c.HEAD, c.TAIL, c.TAIL, c.COLD, c.UNSEEN], n_items)
    n_train = np.select([bucket == c.HEAD, bucket == c.TAIL], [rng.integers(20, 50, n_items), 3], default=0)
    return ItemMetadata(table, vectors=vectors, n_train=n_train.astype(np.int64), bucket=bucket)


def fabricate_lists(seed: int = 0, n_users: int = 40, n_items: int = 30, k: int = 8) -> Lists:
    """Return lists of which some are short and one is empty, of users of whom some have no history or no positives."""
    rng = np.random.default_rng(seed)
    items = np.stack([rng.permutation(n_items)[:k] for _ in range(n_users)])
    items[np.arange(k) >= rng.integers(0, k + 1, n_users)[:, None]] = -1
    items[0] = -1
    history, positives = (rng.random((n_users, n_items)) < share for share in (0.2, 0.4))
    history[1], positives[2] = False, False
    return Lists.build(
        items,
        fabricate_metadata(n_items, seed),
        positives=sparse.csr_matrix((positives & ~history).astype(np.float32)),
        history=sparse.csr_matrix(history.astype(np.float32)),
        seen=sparse.csr_matrix(history.astype(np.float32)),
        n_train_users=n_users,
    )


@pytest.mark.parametrize("seed", range(3))
class MetricTests:
    """Inherit, and set ``metric``; its bounds too where it has any."""

    metric: ClassVar[str]
    """Its registered name."""
    low: ClassVar[float] = -np.inf
    high: ClassVar[float] = np.inf
    tolerance: ClassVar[float] = 1e-6
    """Absolute: sums of another order differ by rounding."""

    def lists(self, seed: int) -> Lists:
        """Return the lists that are measured; override it where the metric needs others."""
        return fabricate_lists(seed)

    def registered(self) -> Metric:
        """Return the metric."""
        return find_metric(self.metric)

    def measured(self, lists: Lists) -> NDArray[np.float64]:
        """Return its values: (U,) per user, (1,) of all lists together; the shape is checked."""
        return self.registered().values(lists)

    def test_values_are_nan_or_within_the_bounds(self, seed: int) -> None:
        """Not every value is NaN, none is infinite, and all others lie within the bounds."""
        values = self.measured(self.lists(seed))
        known = values[~np.isnan(values)]
        assert len(known), "every value is NaN"
        assert np.isfinite(known).all()
        assert (known >= self.low - self.tolerance).all(), f"below {self.low}: {known.min()}"
        assert (known <= self.high + self.tolerance).all(), f"above {self.high}: {known.max()}"

    def test_the_order_of_users_does_not_matter(self, seed: int) -> None:
        """Users in another order have the same values in that order."""
        lists = self.lists(seed)
        order = np.random.default_rng(seed).permutation(len(lists.items))
        expected = self.measured(lists)
        if self.registered().per == "user":
            expected = expected[order]
        np.testing.assert_allclose(self.measured(lists.take(order)), expected, rtol=0, atol=self.tolerance)

    def test_a_users_value_does_not_depend_on_the_others(self, seed: int) -> None:
        """Values of a block of users are those of the same users among all."""
        if self.registered().per != "user":
            pytest.skip("a metric of all lists together")
        lists, rows = self.lists(seed), np.arange(5, 20)
        np.testing.assert_allclose(
            self.measured(lists.take(rows)), self.measured(lists)[rows], rtol=0, atol=self.tolerance
        )

    def test_empty_lists_have_nothing_or_zero(self, seed: int) -> None:
        """Lists without an item are NaN or 0."""
        lists = self.lists(seed)
        empty = Lists.build(
            np.full_like(lists.items, -1),
            lists.metadata,
            positives=lists.positives,
            history=lists.history,
            seen=lists.seen,
            candidates=lists.candidates,
            n_train_users=lists.n_train_users,
        )
        values = self.measured(empty)
        assert (np.isnan(values) | (values == 0)).all()

    def test_it_is_deterministic_and_leaves_its_input_alone(self, seed: int) -> None:
        """Twice the same lists give the same values, and no array is written to."""
        lists = self.lists(seed)
        before = [lists.items.copy(), lists.hits.copy(), *(m.toarray() for m in (lists.positives, lists.history))]
        first, again = self.measured(lists), self.measured(lists)
        np.testing.assert_array_equal(first, again)
        after = [lists.items, lists.hits, *(m.toarray() for m in (lists.positives, lists.history))]
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(old, new)

    def test_it_stands_in_the_table_of_metrics(self, seed: int) -> None:
        """The table holds the metric: the mean over users that have a value, or the value of all lists."""
        lists = self.lists(seed)
        one_bucket = np.full(len(lists.items), "q1")
        rows = measure_lists(lists, [self.registered()], [lists.k], lists.metadata.bucket, one_bucket)
        assert list(rows) == COLUMNS
        whole = rows[(rows["item_bucket"] == "all") & (rows["user_bucket"] == "all")]
        assert whole["metric"].tolist() == [self.metric]
        values = self.measured(lists)
        assert whole["value"].iloc[0] == pytest.approx(np.nanmean(values), abs=self.tolerance)
