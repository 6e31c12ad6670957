"""Every stratum has its share of a sample."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.interactions import trainable_items, tuned_items
from tailor.data.sampling import allocate, stratified_sample


def test_of_each_stratum_those_that_come_first_are_drawn():
    rows, strata = np.arange(10, 20), np.array(list("aaaaabbbbb"))
    order = np.arange(10, 0, -1).astype(np.uint64)
    assert stratified_sample(rows, strata, order, 4).tolist() == [13, 14, 18, 19]
    assert stratified_sample(rows, strata, order, 10).tolist() == rows.tolist()
    assert stratified_sample(rows, strata, order, None) is rows


@pytest.mark.parametrize(
    ("sizes", "total", "seats"),
    [([50, 30, 20], 7, [4, 2, 1]), ([1, 1, 1], 2, [1, 1, 0]), ([3, 0, 5], 8, [3, 0, 5]), ([9, 1], 1, [1, 0])],
)
def test_what_rounding_leaves_goes_to_the_largest_remainders(sizes, total, seats):
    assert allocate(np.array(sizes), total).tolist() == seats


def test_nobody_is_drawn_from_more_than_there_are():
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = rng.integers(0, 50, 5) + np.array([1, 0, 0, 0, 0])
        total = int(rng.integers(1, sizes.sum() + 1))
        seats = allocate(sizes, total)
        assert seats.sum() == total
        assert (seats <= sizes).all()


def test_a_language_model_is_tuned_on_head_and_tail_in_their_shares():
    n = 200
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(n)], "n_train": 1, "pseudo_cold": "none"})
    items["bucket"] = np.where(np.arange(n) % 4 == 0, "head", "tail")
    items.loc[:19, "pseudo_cold"] = "A"
    drawn = items[tuned_items(items, 20, 0)]
    assert drawn["bucket"].value_counts().to_dict() == {"tail": 15, "head": 5}
    assert set(drawn["pseudo_cold"]) == {"none"}
    assert (tuned_items(items, None, 0) == trainable_items(items)).all()
    assert (tuned_items(items, 20, 1) != tuned_items(items, 20, 0)).any()
