"""The planted truth is where it is said to be: clusters, popularity, words, dirt."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.fabricate import planted_catalogue, with_views, with_writers


@pytest.fixture(scope="module")
def catalogue():
    return planted_catalogue(seed=3, n_users=400, n_items=200, n_clusters=5, per_user=20, loyalty=0.9, dirty=4)


@pytest.fixture(scope="module")
def clean(catalogue):
    return catalogue.interactions.iloc[: len(catalogue.interactions) - 3 * 4]


def test_users_and_items_are_spread_evenly_over_clusters(catalogue):
    assert catalogue.item_cluster.value_counts().tolist() == [40] * 5
    assert catalogue.user_cluster.value_counts().tolist() == [80] * 5
    assert catalogue.items["item_id"].tolist() == catalogue.item_cluster.index.tolist()
    assert catalogue.users["user_id"].tolist() == catalogue.user_cluster.index.tolist()


def test_a_seed_gives_one_catalogue_and_its_sizes_are_the_defaults_of_the_tests():
    one, other = planted_catalogue(seed=5), planted_catalogue(seed=5)
    pd.testing.assert_frame_equal(one.interactions, other.interactions)
    assert not planted_catalogue(seed=6).interactions.equals(one.interactions)


def test_users_take_about_as_much_as_asked_mostly_in_their_cluster(catalogue, clean):
    counts = clean["user_id"].value_counts()
    assert len(counts) == 400
    assert counts.min() >= 5
    assert counts.mean() == pytest.approx(20, abs=0.7)
    same = catalogue.item_cluster[clean["item_id"]].to_numpy() == catalogue.user_cluster[clean["user_id"]].to_numpy()
    # Drawn without replacement, so a little less than the loyalty.
    assert 0.8 < same.mean() < 0.9


def test_nobody_takes_more_than_a_cluster_holds_nor_fewer_than_five():
    many = planted_catalogue(seed=0, n_users=20, n_items=40, n_clusters=4, per_user=30, dirty=0)
    assert many.interactions["user_id"].value_counts().max() == 10
    few = planted_catalogue(seed=0, n_users=60, n_items=80, n_clusters=4, per_user=1, dirty=0)
    assert set(few.interactions["user_id"].value_counts()) == {5}


def test_popularity_falls_within_a_cluster_as_rank_to_the_power_of_0_7():
    """Items 0 and 1 are the first of their clusters, 2 and 3 the second, and so on; five of 200 are taken by each."""
    catalogue = planted_catalogue(seed=1, n_users=800, n_items=400, n_clusters=2, per_user=1, dirty=0)
    rank = catalogue.interactions["item_id"].str[1:].astype(int) // 2
    counts = rank.value_counts().reindex(range(200))
    first, later = counts[:10].sum(), counts[50:100].sum()
    weights = np.arange(1, 201) ** -0.7
    assert first / later == pytest.approx(weights[:10].sum() / weights[50:100].sum(), rel=0.15)


def test_texts_are_words_of_the_cluster(catalogue):
    titles, genres = catalogue.items["title"].str.lower(), catalogue.items["genre"]
    assert titles[0].split()[3] == "0"
    for cluster in range(5):
        own = catalogue.item_cluster.to_numpy() == cluster
        vocabulary = {word for title in titles[own] for word in title.split()[:3]}
        assert len(vocabulary) == 5
        assert set(genres[own]) < vocabulary
        assert all(len(set(title.split()[:3])) == 3 for title in titles[own])
        others = {word for title in titles[~own] for word in title.split()[:3]}
        assert not vocabulary & others


def test_the_planted_dirt_stands_last(catalogue, clean):
    dirt = catalogue.interactions.iloc[len(clean) :]
    assert (catalogue.n_duplicates, catalogue.n_unknown_items, catalogue.n_missing_ids) == (4, 4, 4)
    pd.testing.assert_frame_equal(dirt.iloc[:4].reset_index(drop=True), clean.iloc[:4])
    assert dirt["item_id"].iloc[4:8].tolist() == ["ghost0", "ghost1", "ghost2", "ghost3"]
    assert dirt["item_id"].iloc[8:].isna().all()
    assert not clean.duplicated(["user_id", "item_id"]).any()
    assert not clean.isna().any(axis=None)


def test_times_are_seconds_of_four_months_and_ages_those_of_adults(catalogue, clean):
    times, ages = clean["timestamp"], catalogue.users["age"]
    assert times.between(10**9, 10**9 + 10**7 - 1).all()
    assert times.max() - times.min() > 0.99 * 10**7
    assert (ages.min(), ages.max()) == (18, 79)


def test_users_keep_to_the_studios_of_their_camp():
    """Of the items of the user's cluster, those of the other camp are a tenth as likely."""
    catalogue = planted_catalogue(seed=3, n_users=400, n_items=400, n_clusters=4, per_user=8, dirty=0, allegiance=0.9)
    rows = catalogue.interactions
    same = catalogue.item_camp[rows["item_id"]].to_numpy() == catalogue.user_camp[rows["user_id"]].to_numpy()
    assert 0.82 < same.mean() < 0.93  # 1 / 1.1 = .91 where draws do not exhaust the items
    even, odd = ("Vorlex", "Zimbral", "Brexul", "Krandip"), ("Quandor", "Tolvane", "Maldwin", "Fenwold")
    studio = catalogue.items["title"].str.split().str[-1]
    assert set(studio[catalogue.item_camp.to_numpy() == 0]) == set(even)
    assert set(studio[catalogue.item_camp.to_numpy() == 1]) == set(odd)


def test_without_allegiance_there_are_no_studios():
    catalogue = planted_catalogue(seed=3)
    assert not catalogue.item_camp.any()
    assert (
        not catalogue.items["title"].str.contains("Vorlex|Quandor|Zimbral|Tolvane|Brexul|Maldwin|Krandip|Fenwold").any()
    )


def test_some_users_write_a_line_of_their_cluster_in_words_that_no_item_has():
    plain = planted_catalogue(seed=0, n_users=400, n_clusters=4)
    catalogue = with_writers(plain, 0.25)
    lines = catalogue.users.set_index("user_id")["about"]
    assert lines.notna().mean() == pytest.approx(0.25, abs=0.05)
    hobbies = {0: "rye bread", 1: "tulips", 2: "clocks", 3: "sail"}
    assert all(hobbies[catalogue.user_cluster[user]] in line for user, line in lines.dropna().items())
    assert not catalogue.items["title"].str.contains("bread|tulips|clocks|sail|bees|garden", case=False).any()
    assert "about" not in plain.users
    pd.testing.assert_frame_equal(plain.interactions, catalogue.interactions)


def test_views_follow_taste_and_noise():
    plain = planted_catalogue(seed=3, n_users=400, n_items=200, n_clusters=5, per_user=10)
    catalogue = with_views(plain, 20, noise=0.5, seed=3)
    buys, views = (catalogue.interactions.query("event == @kind") for kind in ("buy", "view"))
    pd.testing.assert_frame_equal(buys.drop(columns="event"), plain.interactions)
    assert (views.groupby("user_id").size() == 20).all()
    own = catalogue.user_cluster[views["user_id"]].to_numpy() == catalogue.item_cluster[views["item_id"]].to_numpy()
    # Half of the views fall into the cluster, and a fifth of the other half; without replacement a little less.
    assert own.mean() == pytest.approx(0.5 + 0.5 / 5, abs=0.06)
    assert with_views(plain, 20, noise=0.5, seed=3).interactions.equals(catalogue.interactions)
