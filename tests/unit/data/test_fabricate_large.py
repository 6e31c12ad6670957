"""The fabricated catalogue of any size: its size, its power laws, its clusters, its memory."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from tailor.data import fabricate_large as large
from tailor.errors import ConfigurationError

SIZE = large.CatalogueSize(users=2000, items=1600, rows=30_000, clusters=8)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    n = large.write_catalogue(folder, SIZE)
    read = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("interactions", "items", "users")}
    assert n == len(read["interactions"])
    return read


def test_it_has_the_size_that_is_asked_for(tables):
    assert len(tables["items"]) == 1600
    assert len(tables["users"]) == 2000
    assert len(tables["interactions"]) == pytest.approx(30_000, rel=0.1)
    assert not tables["interactions"].duplicated(["user_id", "item_id"]).any()
    assert set(tables["interactions"]["user_id"]) == set(tables["users"]["user_id"])
    assert set(tables["interactions"]["item_id"]) <= set(tables["items"]["item_id"])


def test_users_keep_to_their_cluster_and_texts_tell_it(tables):
    rows = tables["interactions"]
    same = large.cluster_of(rows["user_id"], 8) == large.cluster_of(rows["item_id"], 8)
    # loyalty, and an eighth of the draws from everywhere; what is drawn twice counts once, which takes from the former
    assert 0.8 < same.mean() < 0.9 + 0.1 / 8
    words = tables["items"]["title"].str.lower().str.split().str[:5].map(set)
    cluster = large.cluster_of(tables["items"]["item_id"], 8)
    vocabularies = [set().union(*words[cluster == k]) for k in range(8)]
    shared = [a & b for i, a in enumerate(vocabularies) for b in vocabularies[:i]]
    assert all(len(both) <= 4 for both in shared)  # the words of a setting, which eight themes have in common
    assert tables["items"].groupby(cluster)["genre"].nunique().tolist() == [1] * 8


def test_popularity_and_activity_have_long_tails(tables):
    items = tables["interactions"]["item_id"].value_counts().to_numpy()
    users = tables["interactions"]["user_id"].value_counts()
    assert items[: len(items) // 10].sum() > 0.3 * items.sum()
    assert users.min() >= 5
    assert users.max() > 4 * users.mean()


def test_the_same_seed_makes_the_same_and_another_one_does_not(tables, tmp_path):
    large.write_catalogue(tmp_path, SIZE)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "interactions.parquet"), tables["interactions"])
    other = large.draw_block(SIZE, np.arange(2000), 1)
    assert not other["item_id"].head(100).equals(tables["interactions"]["item_id"].head(100))


def test_memory_is_that_of_a_block(tmp_path, monkeypatch):
    """Four times the users: four times the rows, the same peak."""
    monkeypatch.setattr(large, "BLOCK_USERS", 500)
    peaks = []
    for factor in (1, 4):
        size = large.CatalogueSize(users=1000 * factor, items=1600, rows=20_000 * factor, clusters=8)
        tracemalloc.start()
        large.write_catalogue(tmp_path / str(factor), size)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize(
    ("users", "rows", "clusters", "message"),
    [
        (100, 2000, 65, "clusters = 65; there are words for 1 to 64"),
        (100, 500, 8, "rows = 500; 100 users take more than 500 and at most 10,000 of 1,600 items in 8 clusters"),
        (100, 10_001, 8, "rows = 10,001; .* set rows between them, or add items"),
    ],
)
def test_what_cannot_be_is_refused(users, rows, clusters, message):
    with pytest.raises(ConfigurationError, match=message):
        large.CatalogueSize(users=users, items=1600, rows=rows, clusters=clusters)
