"""The item and user tables: head and tail by train popularity, quartiles by train activity."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.buckets import head_items, item_table, user_table
from tailor.data.config import SplitOptions


@pytest.mark.parametrize(
    ("counts", "share", "head"),
    [
        ([50, 30, 20], 0.8, [True, True, False]),  # 50 + 30 = 80 % exactly
        ([50, 29, 21], 0.8, [True, True, True]),  # the item that crosses the border is in
        ([100, 0, 0], 0.8, [True, False, False]),
        ([10, 10, 10, 10], 0.5, [False, False, True, True]),  # ties by hash, lowest first
    ],
)
def test_head_items(counts, share, head):
    hashes = np.arange(len(counts), dtype=np.uint64)[::-1].copy()
    assert head_items(np.array(counts), hashes, share).tolist() == head


def test_buckets_come_from_train_only():
    data = pd.DataFrame(
        {
            "user_id": ["u", "u", "v", "v", "v", "w"],
            "item_id": ["a", "b", "a", "c", "d", "a"],
            "split": ["train", "train", "train", "test", "cold", "new_user"],
        }
    )
    items = item_table(pd.DataFrame({"item_id": list("abcde")}), data, SplitOptions(pseudo_cold=0.01), 0.5, 0)
    assert items["n_train"].tolist() == [2, 1, 0, 0, 0]
    assert items["bucket"].tolist() == ["head", "tail", "unseen", "cold", "unseen"]
    users = user_table(pd.DataFrame({"user_id": ["u"], "age": [30]}), data)
    assert users["user_id"].tolist() == ["u", "v", "w"]
    assert users["bucket"].tolist() == ["q4", "q2", "new"]
    assert users["age"].tolist()[0] == 30


def test_nothing_is_head_where_nothing_was_taken():
    assert not head_items(np.zeros(3, np.int64), np.arange(3, dtype=np.uint64), 0.8).any()


@pytest.mark.parametrize("seed", range(5))
def test_the_head_is_the_smallest_set_of_most_popular_items_that_holds_the_share(seed):
    rng = np.random.default_rng(seed)
    counts = rng.zipf(1.5, 50).clip(max=500) - 1
    head = head_items(counts, rng.integers(0, 2**63, 50).astype(np.uint64), 0.8)
    held = counts[head].sum() / counts.sum()
    assert held >= 0.8
    assert (counts[head].sum() - counts[head].min()) / counts.sum() < 0.8
    assert counts[head].min() >= counts[~head].max()


def interactions(**columns):
    rows = {
        "user_id": list("uuvvw"),
        "item_id": list("abaca"),
        "split": ["train", "train", "train", "test", "new_user"],
    }
    return pd.DataFrame(rows | columns)


def test_cold_rows_that_no_list_asks_for_make_an_item_cold_too():
    rows = interactions(split=["train", "cold_unused", "train", "cold", "train"])
    table = item_table(pd.DataFrame({"item_id": list("abcd")}), rows, SplitOptions(), 0.5, 0)
    assert table["bucket"].tolist() == ["head", "cold", "cold", "unseen"]


def test_pseudo_cold_items_are_warm():
    rng = np.random.default_rng(0)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(60)]})
    rows = pd.DataFrame({"user_id": "u", "item_id": rng.choice(items["item_id"][:40], 300), "split": "train"})
    table = item_table(items, rows, SplitOptions(pseudo_cold=0.1), 0.8, 0)
    assert table["pseudo_cold"].value_counts().to_dict() == {"none": 52, "A": 4, "B": 4}
    assert (table.loc[table["pseudo_cold"] != "none", "n_train"] > 0).all()
    assert table["item_id"].tolist() == items["item_id"].tolist()


def test_users_fall_into_quartiles_of_train_activity():
    rows = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in range(8) for _ in range(u + 1)],
            "item_id": "i",
            "split": "train",
        }
    )
    table = user_table(pd.DataFrame({"user_id": []}, dtype=str), rows)
    assert table["n_train"].tolist() == list(range(1, 9))
    assert table["bucket"].tolist() == ["q1", "q1", "q2", "q2", "q3", "q3", "q4", "q4"]


def test_weak_and_blocked_rows_of_a_held_out_user_make_nobody_known():
    rows = pd.DataFrame(
        {
            "user_id": list("nnnuuw"),
            "item_id": list("abcabd"),
            "split": ["new_user", "later", "blocked", "train", "new_user", "later"],
        }
    )
    table = user_table(pd.DataFrame({"user_id": []}, dtype=str), rows)
    # u is new to one domain and known from another; of w nothing says that he is held out.
    assert dict(zip(table["user_id"], table["bucket"] == "new", strict=True)) == {"n": True, "u": False, "w": False}
