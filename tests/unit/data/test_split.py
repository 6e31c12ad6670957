"""The split: windows in each user's order, cold items, new users, pseudo-cold items; decided by hashes of ids."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor import columns as c
from tailor.data.config import SplitOptions
from tailor.data.split import pseudo_cold, split_interactions
from tailor.errors import BadInputError

PLAIN = SplitOptions(cold_items=0.0, new_users=0.0)


def one_user(n, timestamps=None):
    frame = pd.DataFrame({"user_id": "u", "item_id": [f"i{i}" for i in range(n)]})
    return frame if timestamps is None else frame.assign(timestamp=timestamps)


@pytest.mark.parametrize(
    ("n", "train", "validation", "test"),
    [(1, 1, 0, 0), (2, 1, 1, 0), (3, 2, 0, 1), (5, 3, 1, 1), (10, 7, 1, 2), (100, 70, 10, 20)],
)
def test_seven_one_two_in_time_order(n, train, validation, test):
    labels = split_interactions(one_user(n, np.arange(n)), PLAIN, 0)
    assert labels.tolist() == ["train"] * train + ["validation"] * validation + ["test"] * test


def interactions(n_users=60, n_items=80, per_user=15, seed=0):
    rng = np.random.default_rng(seed)
    frames = [
        pd.DataFrame(
            {
                "user_id": f"u{u}",
                "item_id": [f"i{i}" for i in rng.choice(n_items, per_user, replace=False)],
                "timestamp": rng.integers(0, 50, per_user),
            }
        )
        for u in range(n_users)
    ]
    return pd.concat(frames, ignore_index=True)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), timed=st.booleans())
def test_the_split_does_not_depend_on_row_order(seed, timed):
    data = interactions()
    data = data if timed else data.drop(columns="timestamp")
    shuffled = data.sample(frac=1, random_state=seed)
    pd.testing.assert_series_equal(
        split_interactions(data, SplitOptions(), seed), split_interactions(shuffled, SplitOptions(), seed).sort_index()
    )


def test_cold_items_lose_everything_and_split_at_the_test_window():
    data = interactions()
    options = SplitOptions(cold_items=0.25, new_users=0.0)
    labels = split_interactions(data, options, 0)
    unheld = split_interactions(data, PLAIN, 0)
    cold = data["item_id"].isin(data["item_id"][labels.isin([c.COLD, c.COLD_UNUSED])])
    assert data["item_id"][cold].nunique() == round(0.25 * data["item_id"].nunique())
    assert set(labels[cold]) == {c.COLD, c.COLD_UNUSED}
    # Windows are counted over all of a user's interactions: the same base rate for warm and cold positives.
    assert ((labels == c.COLD) == (cold & (unheld == c.TEST))).all()
    assert (labels[~cold] == unheld[~cold]).all()


def test_cold_items_span_popularity():
    data = interactions(n_users=300, n_items=100)
    labels = split_interactions(data, SplitOptions(cold_items=0.1, new_users=0.0), 3)
    counts = data["item_id"].value_counts()
    cold = counts.index.isin(data["item_id"][labels.isin([c.COLD, c.COLD_UNUSED])])
    per_decile = [int(part.sum()) for part in np.array_split(cold, 10)]
    assert sum(per_decile) == 10
    assert max(per_decile) <= 2


def test_a_single_cold_item_may_be_any():
    """One stratum: which item it is, the seed says, whatever its popularity."""
    data = interactions(n_users=40, n_items=30)
    options = SplitOptions(cold_items=0.04, new_users=0.0)
    drawn = set()
    for seed in range(30):
        cold = set(data["item_id"][split_interactions(data, options, seed).isin([c.COLD, c.COLD_UNUSED])])
        assert len(cold) == 1
        drawn |= cold
    assert len(drawn) > 10


def test_latest_cold_items_are_the_newest():
    data = interactions()
    labels = split_interactions(data, SplitOptions(cold_strategy="latest", new_users=0.0), 0)
    cold = set(data["item_id"][labels.isin([c.COLD, c.COLD_UNUSED])])
    first = data.groupby("item_id")["timestamp"].min()
    assert first[list(cold)].min() >= first.drop(list(cold)).max()


def test_new_users_leave_whole():
    data = interactions()
    labels = split_interactions(data, SplitOptions(), 0)
    new = set(data["user_id"][labels == c.NEW_USER])
    assert len(new) == round(0.1 * 60)
    assert (labels[data["user_id"].isin(new)] == c.NEW_USER).all()


def test_global_time_is_one_border_for_all():
    data = interactions()
    labels = split_interactions(data, SplitOptions(strategy="global_time", cold_items=0.0, new_users=0.0), 0)
    borders = [data["timestamp"][labels == name] for name in (c.TRAIN, c.VALIDATION, c.TEST)]
    assert borders[0].max() <= borders[1].min()
    assert borders[1].max() <= borders[2].min()


def test_random_windows_ignore_time():
    data, options = interactions(), SplitOptions(strategy="random", train=0.8, validation=0.1, new_users=0.0)
    labels = split_interactions(data, options, 0)
    timeless = split_interactions(data.assign(timestamp=0.0), options, 0)
    assert labels.tolist() == timeless.tolist()
    assert labels.tolist() != split_interactions(data, options, 1).tolist()
    one = one_user(10)
    counts = split_interactions(
        one, SplitOptions(strategy="random", train=0.8, validation=0.1, cold_items=0.0, new_users=0.0), 0
    )
    assert sorted(counts) == [c.TEST, *[c.TRAIN] * 8, c.VALIDATION]


@pytest.mark.parametrize("options", [SplitOptions(strategy="global_time"), SplitOptions(cold_strategy="latest")])
def test_time_is_needed_where_it_is_used(options):
    with pytest.raises(BadInputError, match="no column is mapped to 'timestamp'"):
        split_interactions(interactions().drop(columns="timestamp"), options, 0)


def test_a_given_split_is_honoured():
    data = one_user(4).assign(split=["train", "validation", "test", "cold"])
    assert split_interactions(data, SplitOptions(), 0).tolist() == ["train", "validation", "test", "cold"]


def test_a_given_split_needs_validation():
    with pytest.raises(BadInputError, match="no rows labelled validation"):
        split_interactions(one_user(2).assign(split=["train", "test"]), SplitOptions(), 0)


def test_pseudo_cold_samples_are_disjoint_warm_and_of_one_size():
    n_train = pd.Series(np.r_[np.arange(1, 201), np.zeros(50)].astype(int), index=[f"i{i}" for i in range(250)])
    labels = pseudo_cold(n_train, 0.05, 0)
    assert labels.value_counts().to_dict() == {"none": 250 - 20, "A": 10, "B": 10}
    assert (labels[n_train == 0] == "none").all()
