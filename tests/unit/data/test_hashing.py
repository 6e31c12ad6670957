"""Hashes are the same everywhere: known answers, independence of row order, and an even spread."""

import numpy as np
import pandas as pd

from tailor.data.hashing import seeded_hash, splitmix64, tie_ranks


def test_splitmix64_gives_the_published_sequence():
    """The first outputs of the reference generator for the seeds 0 and 1234567 (state advances by the golden gamma)."""
    golden = 0x9E3779B97F4A7C15
    states = np.array([0, golden, 2 * golden % 2**64], np.uint64)
    assert [hex(word) for word in splitmix64(states)] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]
    assert splitmix64(np.array([1234567], np.uint64)).tolist() == [6457827717110365317]


def test_equal_rows_hash_alike_and_every_column_counts():
    users, items = pd.Series(["u", "u", "v", "u"]), pd.Series(["i", "j", "i", "i"])
    hashes = seeded_hash(3, users, items)
    assert hashes[0] == hashes[3]
    assert len(set(hashes.tolist())) == 3
    assert seeded_hash(4, users, items)[0] != hashes[0]
    assert seeded_hash(3, items, users)[0] != hashes[0]
    assert seeded_hash(3, users.to_numpy(), items.to_numpy()).tolist() == hashes.tolist()


def test_hashes_are_spread_evenly():
    """Each of 16 bins gets its share of 16,000 ids, within 6 standard deviations."""
    bins = np.bincount((seeded_hash(0, pd.Series([f"i{n}" for n in range(16_000)])) >> np.uint64(60)).astype(int))
    assert len(bins) == 16
    assert np.abs(bins - 1000).max() < 6 * np.sqrt(1000)


def test_tie_ranks_are_a_permutation_in_the_order_of_hashes():
    ids = pd.Series([f"i{n}" for n in range(50)])
    ranks = tie_ranks(1, ids)
    assert sorted(ranks.tolist()) == list(range(50))
    assert np.argsort(ranks).tolist() == np.argsort(seeded_hash(1, ids)).tolist()
