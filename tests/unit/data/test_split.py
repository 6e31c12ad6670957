"""The split: windows in each user's order, cold items, new users, pseudo-cold items; decided by hashes of ids."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor import columns as c
from tailor.data.config import SplitOptions
from tailor.data.split import label_interactions, pseudo_cold, refuse_too_little, split_interactions
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
    labels = label_interactions(one_user(n, np.arange(n)), PLAIN, 0)
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
    counts = label_interactions(
        one, SplitOptions(strategy="random", train=0.8, validation=0.1, cold_items=0.0, new_users=0.0), 0
    )
    assert sorted(counts) == [c.TEST, *[c.TRAIN] * 8, c.VALIDATION]


LAST_TWO = SplitOptions(strategy="leave_one_out")


@pytest.mark.parametrize(
    ("n", "train", "validation", "test"), [(1, 1, 0, 0), (2, 2, 0, 0), (3, 1, 1, 1), (5, 3, 1, 1), (100, 98, 1, 1)]
)
def test_leave_one_out_takes_the_last_two_rows_of_users_with_three(n, train, validation, test):
    """In time order, whatever the order of rows and whatever the shares."""
    data = one_user(n, np.arange(n)).iloc[::-1]
    labels = label_interactions(data, LAST_TWO.model_copy(update={"train": 0.1, "validation": 0.8}), 0)
    assert labels.tolist()[::-1] == ["train"] * train + ["validation"] * validation + ["test"] * test


def test_leave_one_out_orders_rows_of_one_time_as_other_strategies_do():
    """Shares that leave one row of ten in each window mark the same rows."""
    data = interactions(per_user=10).assign(timestamp=7.0)
    shares = SplitOptions(train=0.8, validation=0.1, cold_items=0.0, new_users=0.0)
    labels = label_interactions(data, LAST_TWO, 3)
    assert labels.tolist() == label_interactions(data, shares, 3).tolist()
    assert labels.tolist() != label_interactions(data, LAST_TWO, 4).tolist()
    assert labels.value_counts().to_dict() == {"train": 480, "validation": 60, "test": 60}


def test_leave_one_out_counts_users_who_are_train_as_a_whole(caplog):
    with caplog.at_level("INFO"):
        label_interactions(users_with(1, 2, 3, 4), LAST_TWO, 0)
    assert "leave_one_out: 2 of 4 users have fewer than 3 rows, all train" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        label_interactions(users_with(3, 4), LAST_TWO, 0)
    assert not caplog.text


def test_leave_one_out_holds_out_items_and_users_on_request_alone():
    data = interactions()
    assert set(label_interactions(data, LAST_TWO, 0)) == {c.TRAIN, c.VALIDATION, c.TEST}
    assert set(label_interactions(data, SplitOptions(strategy="per_user"), 0)) == set(c.SPLITS)
    asked = SplitOptions(strategy="leave_one_out", cold_items=0.25, new_users=0.1)
    labels, plain = label_interactions(data, asked, 0), label_interactions(data, LAST_TWO, 0)
    new = labels == c.NEW_USER
    assert data["user_id"][new].nunique() == round(0.1 * 60)
    cold = data["item_id"].isin(data["item_id"][labels.isin([c.COLD, c.COLD_UNUSED])]) & ~new
    assert data["item_id"][cold].nunique() == round(0.25 * 80)
    assert ((labels == c.COLD) == (cold & (plain == c.TEST))).all()
    assert (labels[~cold & ~new] == plain[~cold & ~new]).all()


def test_leave_one_out_refuses_short_histories_without_naming_shares():
    with pytest.raises(BadInputError, match=r"no row falls into validation or test\..* 40 have 2") as caught:
        split_interactions(users_with(*(2,) * 40), LAST_TWO, 0)
    assert "What helps: more rows per user, or data_processing.split.strategy: global_time" in str(caught.value)
    assert "split.train" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [SplitOptions(strategy="global_time"), LAST_TWO, SplitOptions(cold_strategy="latest")],
)
def test_time_is_needed_where_it_is_used(options):
    with pytest.raises(BadInputError, match="no column is mapped to 'timestamp'"):
        split_interactions(interactions().drop(columns="timestamp"), options, 0)


def test_a_given_split_is_honoured():
    data = one_user(4).assign(split=["train", "validation", "test", "cold"])
    assert label_interactions(data, SplitOptions(), 0).tolist() == ["train", "validation", "test", "cold"]


def test_a_given_split_needs_validation():
    with pytest.raises(BadInputError, match="no rows labelled validation"):
        label_interactions(one_user(2).assign(split=["train", "test"]), SplitOptions(), 0)


def test_pseudo_cold_samples_are_disjoint_warm_and_of_one_size():
    n_train = pd.Series(np.r_[np.arange(1, 201), np.zeros(50)].astype(int), index=[f"i{i}" for i in range(250)])
    labels = pseudo_cold(n_train, 0.05, 0)
    assert labels.value_counts().to_dict() == {"none": 250 - 20, "A": 10, "B": 10}
    assert (labels[n_train == 0] == "none").all()
    assert set(pseudo_cold(n_train, 0.0, 0)) == {"none"}


def users_with(*lengths, items=30):
    """Users u0, u1, … with so many rows each, in time order over items i0 … in turn."""
    rows = [(f"u{user}", row) for user, n in enumerate(lengths) for row in range(n)]
    frame = pd.DataFrame(rows, columns=["user_id", "timestamp"])
    return frame.assign(item_id=[f"i{place % items}" for place in range(len(frame))])


@pytest.mark.parametrize(
    ("lengths", "empty"), [((1,) * 40, "validation or test"), ((2,) * 40, "test"), ((4,) * 20, "validation")]
)
def test_users_with_few_rows_are_refused_with_their_counts(lengths, empty):
    counts = [sum(low <= n <= high for n in lengths) for low, high in ((1, 1), (2, 2), (3, 4), (5, 99))]
    said = "{} have 1, {} have 2, {} have 3–4, {} have 5 or more".format(*counts)
    with pytest.raises(BadInputError, match=rf"Too little data: no row falls into {empty}\. .*{said}") as caught:
        split_interactions(users_with(*lengths), PLAIN, 0)
    assert "What helps: more rows per user, or data_processing.split.strategy: global_time, which" in str(caught.value)
    assert "a smaller data_processing.split.train than 0.7" in str(caught.value)
    assert ("a larger data_processing.split.validation than 0.1" in str(caught.value)) == ("validation" in empty)


def test_what_would_help_fits_the_catalogue():
    timeless = users_with(*(1,) * 40).drop(columns="timestamp")
    with pytest.raises(BadInputError, match=r"global_time \(with a column mapped to 'timestamp'\), which"):
        split_interactions(timeless, PLAIN, 0)
    with pytest.raises(BadInputError, match="or smaller cold_items and new_users"):
        split_interactions(timeless, SplitOptions(), 0)
    split_interactions(users_with(*(1,) * 40), SplitOptions(strategy="global_time", cold_items=0, new_users=0), 0)
    one = users_with(1, 1)
    with pytest.raises(BadInputError) as caught:
        split_interactions(one, SplitOptions(strategy="global_time", cold_items=0, new_users=0), 0)
    assert "strategy: global_time" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (users_with(30), PLAIN, "the users with train rows are 1, at least 2 are needed. The rows are 21 train"),
        (users_with(5, 5, items=1), PLAIN, "the items with train rows are 1, at least 4 are needed"),
        (users_with(5, 5, items=3), PLAIN, "the items with train rows are 3, at least 4 are needed"),
        (
            users_with(*(10,) * 9, items=14),
            PLAIN,
            "pseudo_cold = 0.05 of the 14 items with train rows fills no two samples; 0.08 would",
        ),
        (
            users_with(*(10,) * 9, items=7),
            SplitOptions(cold_items=0, new_users=0, pseudo_cold=0.49),
            "pseudo_cold = 0.49 leaves 0 of the 7 items with train rows to fit on",
        ),
        (
            users_with(5, 5, items=1),
            SplitOptions(cold_items=0, new_users=0, pseudo_cold=0),
            "the items with train rows are 1, at least 2 are needed",
        ),
        (
            users_with(*(10,) * 9, items=30),
            SplitOptions(cold_items=0.99, new_users=0),
            "no row falls into train or validation or test. The rows are 0 train",
        ),
    ],
)
def test_a_split_that_some_step_could_do_nothing_with_is_refused(data, options, said):
    with pytest.raises(BadInputError, match=said):
        split_interactions(data, options, 0)


def test_what_the_refusal_names_is_enough():
    data = users_with(*(10,) * 9, items=14)
    options = SplitOptions(cold_items=0, new_users=0, pseudo_cold=0.08)
    labels = split_interactions(data, options, 0)
    n_train = data["item_id"][labels == "train"].value_counts()
    assert sorted(pseudo_cold(n_train, 0.08, 0).unique()) == ["A", "B", "none"]
    two = SplitOptions(cold_items=0, new_users=0, pseudo_cold=0)
    assert set(split_interactions(users_with(10, 10, items=2), two, 0)) == {"train", "validation", "test"}
    four = SplitOptions(cold_items=0, new_users=0, pseudo_cold=0.25)
    assert set(split_interactions(users_with(10, 10, items=4), four, 0)) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("key", "labels", "said"),
    [
        (
            "item_id",
            ["train", "cold", "test", "validation"],
            r"item_id 'a' cold or cold_unused and others train \(1 such",
        ),
        ("user_id", ["train", "new_user", "test", "validation"], r"user_id 'a' new_user and others train \(1 such"),
    ],
)
def test_a_given_split_that_contradicts_itself_is_refused(key, labels, said):
    other = "user_id" if key == "item_id" else "item_id"
    data = pd.DataFrame({key: ["a", "a", "b", "c"], other: ["w", "x", "y", "z"], "split": labels})
    with pytest.raises(BadInputError, match=rf"The 'split' column labels some rows of {said}"):
        label_interactions(data, SplitOptions(), 0)


def test_a_given_split_may_do_without_cold_items_and_new_users():
    data = users_with(*(10,) * 9)
    given = data.assign(split=label_interactions(data, PLAIN, 0))
    assert set(split_interactions(given, SplitOptions(), 0)) == {"train", "validation", "test"}
    with pytest.raises(BadInputError, match="What helps: other labels in the 'split' column, or no column mapped"):
        refuse_too_little(given, pd.Series("train", index=given.index), SplitOptions())
