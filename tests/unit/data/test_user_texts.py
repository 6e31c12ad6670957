"""What users write: which texts, of which polarity, and what is known of a history of some length."""

import logging

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.config import UserTextOptions
from tailor.data.text import praise
from tailor.data.user_texts import NO_ITEM, UserTexts, is_late, write_user_texts
from tailor.errors import ConfigurationError

USERS = pd.DataFrame({"user_id": ["u0", "u1"], "about": ["I sail.", None], "searches": ["reefs", "knots"]})
ITEMS = pd.DataFrame({"item_id": ["a", "b", "c", "d"]})


def interactions(**columns: list[object]) -> pd.DataFrame:
    rows = pd.DataFrame(
        {"user_id": ["u0", "u0", "u1"], "item_id": ["a", "b", "c"], "split": ["train", "test", "train"]}
    )
    return rows.assign(text=["calm &amp; long", "", "loud"], **columns)


def write(rows: pd.DataFrame, **options: object) -> pd.DataFrame:
    return write_user_texts(USERS, ITEMS, rows, UserTextOptions(**options), ["", "nan"])


def test_comments_and_texts_about_no_item() -> None:
    table = write(interactions(), template=["{about}", "{searches}"])
    assert table.to_dict(orient="list") == {
        "user": [0, 0, 1, 0, 1],
        "item": [NO_ITEM, NO_ITEM, NO_ITEM, 0, 2],
        "split": ["", "", "", "train", "train"],
        "is_praise": [True] * 5,
        "text": ["I sail", "reefs", "knots", "calm & long", "loud"],
    }
    assert write(interactions(), comments=False).empty
    assert write(interactions().drop(columns="text")).empty


def test_a_template_of_no_column_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"user_text\.template '\{abuot\}' names a column 'abuot'.*'about'"):
        write(interactions(), template=["{abuot}"])


@pytest.mark.parametrize(
    ("values", "praised"),
    [
        ([1, 3, 5], [False, True, True]),
        ([1, 2, 10], [False, False, True]),
        ([1, 1, 1], [True, True, True]),  # no scale
        ([0.0, 1.0, 1.0], [True, True, True]),  # two values: taken or not
    ],
)
def test_a_scale_of_ratings_is_divided_in_its_middle(values: list[float], praised: list[bool]) -> None:
    assert praise(interactions(value=values), UserTextOptions()).tolist() == praised


def test_counts_are_no_scale_and_a_threshold_may_be_set() -> None:
    counts = pd.DataFrame({"value": np.arange(12.0)})
    assert praise(counts, UserTextOptions()).all()
    assert praise(counts, UserTextOptions(praise_from=10)).sum() == 2


def test_a_comment_with_one_star_speaks_against() -> None:
    table = write(interactions(value=[1.0, 3.0, 5.0]).assign(split="train"))
    assert table["is_praise"].tolist() == [False, True]


def test_the_scale_is_read_off_train_rows():
    rows = pd.DataFrame({"user_id": "u0", "item_id": ["a", "b", "c", "d"], "split": ["train"] * 3 + ["test"]})
    table = write(rows.assign(text="x", value=[1.0, 2.0, 3.0, 10.0]))  # of all rows the middle would be 5.5
    assert table["is_praise"].tolist() == [False, True, True, True]


def test_the_latest_texts_of_each_split_stay_and_the_others_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    rows = pd.DataFrame({"user_id": "u0", "item_id": ["a", "b", "c"], "split": "train", "timestamp": [3, 1, 2]})
    with caplog.at_level(logging.WARNING):
        table = write(rows.assign(text=["third", "first", "second"]), per_user=2)
    assert table["text"].tolist() == ["third", "second"]
    assert "1 of 3 texts of users are left out: feature_engineering.user_text.per_user = 2" in caplog.text


def test_late_texts_are_of_the_test_window() -> None:
    table = pd.DataFrame({"split": ["", "train", "validation", "new_user", "test", "cold", "cold_unused"]})
    assert is_late(table).tolist() == [False] * 4 + [True] * 3


def texts() -> UserTexts:
    """User 0: one about item 0, one about item 2 that speaks against it, one about none; user 2: one about item 1."""
    vectors = np.eye(4, dtype=np.float32)
    return UserTexts(
        np.array([0, 0, 2, 0]), np.array([0, 2, 1, NO_ITEM]), np.array([True, False, True, True]), np.arange(4), vectors
    )


def test_a_text_is_known_with_its_item() -> None:
    history = sparse.csr_matrix(np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]], np.float32))
    e = np.eye(4)
    sums = texts().sums(history, np.array([0, 0, 2]))
    np.testing.assert_array_equal(sums[0], np.r_[e[0] + e[3], 0 * e[0]])
    np.testing.assert_array_equal(sums[1], np.r_[e[3], e[1]])
    assert not sums[2].any()
    assert not texts().sums(history, np.array([-1, 1, -1])).any()


def test_equal_texts_share_a_row_through_parts_and_joins() -> None:
    every = texts()
    parts = [every.take(np.array(mask)) for mask in ([True, False, True, False], [False, True, False, True])]
    assert [len(part.vectors) for part in parts] == [2, 2]
    joined = UserTexts.join([UserTexts.none(), *parts])
    history = sparse.csr_matrix(np.ones((3, 3), np.float32))
    np.testing.assert_array_equal(joined.sums(history, np.arange(3)), every.sums(history, np.arange(3)))
    again = UserTexts.from_arrays(joined.arrays())
    np.testing.assert_array_equal(again.sums(history, np.arange(3)), every.sums(history, np.arange(3)))
    assert len(UserTexts.from_arrays(None)) == 0
