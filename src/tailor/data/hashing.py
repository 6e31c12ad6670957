"""Seeded hashes: the one source of randomness of splits and ties, the same on every engine and in any row order."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def splitmix64(x: Hashes) -> Hashes:
    """Mix 64-bit words (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", fig. 17)."""
    with np.errstate(over="ignore"):
        z = x + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def seeded_hash(seed: int, *columns: pd.Series | NDArray[np.str_]) -> Hashes:
    """Hash rows of string columns to uint64, shape (n,); equal rows and seeds hash alike on every machine."""
    state = splitmix64(np.full(len(columns[0]), seed, dtype=np.uint64))
    for column in columns:
        values = np.asarray(column, dtype=object)
        state = splitmix64(state ^ pd.util.hash_array(values, categorize=True))
    return state


def tie_ranks(seed: int, ids: pd.Series | NDArray[np.str_]) -> NDArray[np.int64]:
    """Return a seeded permutation of 0…n-1 by id: the order in which equal scores are listed, shape (n,)."""
    return np.argsort(np.argsort(seeded_hash(seed, ids), kind="stable"), kind="stable")
