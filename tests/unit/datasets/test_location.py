"""Places on file systems, by path and by URL."""

import os

import pandas as pd

from tailor.datasets import (
    ParquetDataset,
)
from tailor.datasets.location import Location


def table(seed):
    return pd.DataFrame({"x": [seed, seed + 1]})


def test_a_url_never_writes_to_the_local_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = ParquetDataset(filepath="memory://tailor-written-by-a-test/x.parquet")
    dataset.save(table(1))
    assert dataset.filepath == "memory:///tailor-written-by-a-test/x.parquet"
    assert not any(tmp_path.iterdir())
    assert not os.path.exists("/tailor-written-by-a-test")  # noqa: PTH110
    dataset.location.remove()


def test_a_place_knows_its_neighbours():
    place = Location.parse("memory://shop/a/x.npz")
    assert (str(place), place.name, place.is_local) == ("memory:///shop/a/x.npz", "x.npz", False)
    assert str(place.sibling("y/z")) == "memory:///shop/a/y/z"
    assert str(Location.parse("/data/x.npz")) == "/data/x.npz"
