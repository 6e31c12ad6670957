"""Tables as parquet: plain ones, and one that grows."""

import pandas as pd
import pytest
from kedro.io import DatasetError

from tailor.datasets import (
    AccumulatedDataset,
    ParquetDataset,
)


class Broken(pd.DataFrame):
    """A table whose writing is interrupted."""

    def to_parquet(self, target, **_):
        target.write_bytes(b"half")
        raise KeyboardInterrupt


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.parquet"
    dataset = ParquetDataset(filepath=str(path))
    dataset.save(pd.DataFrame({"x": [1]}))

    with pytest.raises(KeyboardInterrupt):
        dataset.save(Broken({"x": [2]}))
    assert dataset.load()["x"].tolist() == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["table.parquet"]


def table(seed):
    return pd.DataFrame({"x": [seed, seed + 1]})


def test_a_missing_file_is_named(root):
    with pytest.raises((FileNotFoundError, DatasetError), match=r"gone\.parquet"):
        ParquetDataset(filepath=f"{root}/gone.parquet").load()
    ParquetDataset(filepath=f"{root}/there.parquet").save(table(0))


def test_a_table_shows_its_first_rows(root):
    dataset = ParquetDataset(filepath=f"{root}/t.parquet")
    dataset.save(pd.DataFrame({"x": range(100)}))
    assert dataset.preview(nrows=2)["data"] == [[0], [1]]
    dataset.save(pd.DataFrame({"x": []}))
    assert dataset.preview(nrows=2)["data"] == []


def test_what_is_no_table_is_refused(root):
    ParquetDataset(filepath=f"{root}/other.parquet").save(table(0))
    with pytest.raises(DatasetError, match="takes a table, not a dict: give this dataset an entry of its own"):
        ParquetDataset(filepath=f"{root}/t.parquet").save({"x": 1})


def test_a_growing_table_replaces_rows_with_the_same_keys(root):
    dataset = AccumulatedDataset(filepath=f"{root}/seeds.parquet", keys=["seed"])
    for seed, value in ((0, 1.0), (1, 2.0), (0, 3.0)):
        dataset.save(pd.DataFrame({"seed": [seed], "value": [value]}))
    assert dataset.load().to_numpy().tolist() == [[1, 2.0], [0, 3.0]]


def summary(seed, warm, made="a"):
    return pd.DataFrame({"model": ["ours", "theirs"], "warm NDCG": [warm, 0.1], "seed": seed, "recipe": made})


def test_rows_of_the_same_seed_are_replaced_and_others_kept(tmp_path):
    dataset = AccumulatedDataset(filepath=str(tmp_path / "seeds.parquet"), keys=["recipe", "seed"])
    for table in (summary(0, 0.2), summary(1, 0.3), summary(0, 0.4), summary(0, 0.5, "b")):
        dataset.save(table)
    kept = dataset.load()
    ours = kept[kept["model"] == "ours"]
    assert ours[["recipe", "seed", "warm NDCG"]].to_numpy().tolist() == [["a", 1, 0.3], ["a", 0, 0.4], ["b", 0, 0.5]]
    assert [path.name for path in tmp_path.iterdir()] == ["seeds.parquet"]


def test_a_table_of_other_columns_starts_anew(tmp_path):
    dataset = AccumulatedDataset(filepath=str(tmp_path / "seeds.parquet"), keys=["recipe", "seed"])
    dataset.save(summary(0, 0.2).assign(old=1.0))
    dataset.save(summary(1, 0.2))
    assert dataset.load()["seed"].tolist() == [1, 1]
