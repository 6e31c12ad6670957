"""Tables as parquet: plain ones, and one that grows."""

import pandas as pd

from tailor.datasets import AccumulatedDataset


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
