"""The data card: every figure on catalogues small enough to count by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from tailor.data.card import (
    HIDDEN,
    ColumnUse,
    Group,
    Script,
    Times,
    VectorUse,
    count_scripts,
    count_vectors,
    describe,
    estimate_tokens,
    gini,
    group_counts,
    hide_users,
    long_tail,
    measure_sizes,
    measure_texts,
    measure_times,
    split_counts,
    template_columns,
)
from tailor.data.config import TextOptions
from tailor.errors import ConfigurationError
from tests.unit.data.catalogues import ACCOUNTS, QUALITY, SUMMARY, interactions, items

TABLES = {"summary": SUMMARY, "quality": QUALITY, "accounts": ACCOUNTS}


def test_sizes():
    sizes = measure_sizes(np.array([4, 5, 1]), np.array([6, 0, 3, 1]), pd.Series(["a", "b", "c", "d"]))
    assert (sizes.users, sizes.items, sizes.items_taken, sizes.interactions) == (3, 4, 3, 10)
    assert sizes.sparsity == pytest.approx(1 - 10 / (3 * 4))
    assert (sizes.largest_item, sizes.largest_share) == ("a", 6 / 10)
    assert (sizes.median_history, sizes.short_histories) == (4, 2 / 3)  # five is not short


def test_vectors_are_counted():
    vectors = pd.DataFrame({"vector_image": [[1.0, 2.0], None, [3.0, 4.0]], "vector_sound": [[1.0]] * 3})
    assert count_vectors(vectors) == [VectorUse("vector_image", 2, 1), VectorUse("vector_sound", 1, 0)]
    assert count_vectors(items()) == []
    with_vectors = items().assign(vector_image=[[1.0]] * len(items()))
    described = describe(interactions(), with_vectors, TABLES, TextOptions(item_template=["{title}"]), 64)
    assert described.vectors == [VectorUse("vector_image", 1, 0)]


def test_gini():
    assert gini(np.array([3, 3, 3])) == pytest.approx(0)
    assert gini(np.array([0, 0, 8])) == pytest.approx(2 / 3)  # 1 - 1 / n: one takes all
    assert gini(np.array([1, 3])) == pytest.approx((-1 * 1 + 1 * 3) / (2 * 4))
    assert gini(np.array([0, 0])) == 0


def test_the_long_tail_curve_starts_with_the_most_popular_item():
    points = long_tail(np.array([1, 0, 6, 3]))
    assert points == [(0, 0), (1 / 4, 6 / 10), (2 / 4, 9 / 10), (3 / 4, 1), (1, 1)]
    assert long_tail(np.array([5])) == [(0, 0), (1, 1)]
    long = long_tail(np.ones(1000, np.int64))
    assert len(long) == 101
    np.testing.assert_allclose([held for _, held in long], [share for share, _ in long])


def test_groups_of_counts():
    counts = np.array([1, 1, 2, 3, 5, 6, 10, 11])
    assert group_counts(counts) == [
        Group("1", 2), Group("2", 1), Group("3–5", 2), Group("6–10", 2), Group("11–20", 1),
    ]  # fmt: skip
    assert group_counts(np.array([0, 0, 1])) == [Group("0", 2), Group("1", 1)]
    assert group_counts(np.array([1000, 1001, 5000]))[-2:] == [Group("101–1,000", 1), Group("1,001 and more", 2)]
    assert sum(group.count for group in group_counts(np.arange(3000))) == 3000


def test_texts_are_those_that_feature_engineering_writes():
    options = TextOptions(item_template=["{title}", "{genre} film"])
    texts = measure_texts(items(), interactions(), options, max_length=6)
    # "Alien Nine. space film" is 4 words; "Bob" is 1; nothing; "nan" is nothing, "drama film" is 2
    assert texts.columns == [ColumnUse("title", 2 / 4), ColumnUse("genre", 2 / 4)]
    assert texts.empty == 1 / 4
    assert (texts.words["least"], texts.words["median"], texts.words["most"]) == (1, 2, 4)
    tokens = [1.3 * 4 + 2, 1.3 * 1 + 2, 2, 1.3 * 2 + 2]
    assert texts.tokens == pytest.approx((6 + sum(tokens[1:])) / 4)  # the first is cut at 6
    assert (texts.max_length, texts.truncated) == (6, 1 / 4)
    assert texts.scripts == [Script("Latin", 1.0)]
    assert not texts.reviews


def test_what_users_wrote_joins_the_texts():
    rows = interactions().assign(text=["very good", "", "", "", ""])
    plain = measure_texts(items(), interactions(), TextOptions(item_template=["{title}"]), 64)
    joined = measure_texts(items(), rows, TextOptions(item_template=["{title}"]), 64)
    assert joined.reviews
    assert joined.tokens == pytest.approx(plain.tokens + 1.3 * 2 / 4)


def test_a_catalogue_without_texts():
    texts = measure_texts(items()[["item_id", "pseudo_cold"]], interactions(), TextOptions(item_template=[]), 64)
    assert (texts.columns, texts.empty, texts.words, texts.scripts) == ([], 1.0, {}, [])
    assert (texts.tokens, texts.truncated) == (2, 0)


def test_a_template_of_a_missing_column_is_refused_by_name():
    with pytest.raises(ConfigurationError, match=r"names a column 'titel' .* Did you mean 'title'\?"):
        measure_texts(items(), interactions(), TextOptions(item_template=["{titel}"]), 64)


def test_columns_of_a_template():
    assert template_columns(["{title} ({year})", "by {maker}", "plain", "{title}"]) == ["title", "year", "maker"]


def test_tokens_of_scripts_without_spaces_are_characters():
    # Kanji count one by one, the Latin word beside them as a word.
    assert estimate_tokens(["two words", "千と千尋 Ghibli", ""]).tolist() == pytest.approx(
        [2 * 1.3 + 2, 4 + 1.3 + 2, 2]
    )


def test_scripts():
    found = count_scripts(["abcd é 12!", "жук", "千と", "ԱԲ", "\u2c00"])
    shares = {script.name: script.share for script in found}
    assert shares == {
        "Latin": 5 / 13, "Cyrillic": 3 / 13, "Armenian": 2 / 13, "CJK": 1 / 13, "Hiragana": 1 / 13, "other": 1 / 13,
    }  # fmt: skip
    assert found[0].name == "Latin"
    assert count_scripts(["", "12"]) == []


def test_times():
    begin = 1_293_840_000.0  # 2011-01-01
    rows = pd.DataFrame({"user_id": list("aabb"), "timestamp": [begin, begin, begin, begin + 86400.0 * 60]})
    times = measure_times(rows)
    assert (times.present, times.readable, times.constant) == (True, True, False)
    assert (times.first, times.last) == ("2011-01-01", "2011-03-02")
    assert times.ties == 2 / 4  # of one user; the same second of two users is no tie
    assert times.months == {"2011-01": 3, "2011-02": 0, "2011-03": 1}


def test_a_month_without_rows_is_listed():
    rows = pd.DataFrame({"user_id": list("ab"), "timestamp": [-1.0, 86400.0 * 40]})
    assert measure_times(rows).months == {"1969-12": 1, "1970-01": 0, "1970-02": 1}


def test_no_times():
    assert measure_times(interactions()) == Times(present=False)


def test_times_that_are_no_dates_are_told_as_numbers():
    milliseconds = pd.DataFrame({"user_id": list("ab"), "timestamp": [1.4e12, 1.5e12]})
    times = measure_times(milliseconds)
    assert (times.present, times.readable, times.first, times.last, times.months) == (
        True, False, "1.4e+12", "1.5e+12", None,
    )  # fmt: skip


def test_places_in_an_order_are_no_dates():
    times = measure_times(pd.DataFrame({"user_id": list("aab"), "timestamp": [1, 2, 204]}))
    assert (times.present, times.readable, times.first, times.last, times.months) == (True, False, "1", "204", None)


def test_more_than_a_century_has_no_months():
    rows = pd.DataFrame({"user_id": list("ab"), "timestamp": [-5e9, 5e9]})
    times = measure_times(rows)
    assert times.readable
    assert times.months is None


def test_split_counts():
    assert split_counts(SUMMARY) == {
        "interactions by split": {"train": 3, "test": 1, "cold": 1},
        "items by bucket": {"head": 3, "cold": 1},
        "users by bucket": {"q1": 2},
    }


@pytest.mark.parametrize(
    ("table", "problem", "hidden"),
    [
        ("items", "missing item_id", False),
        ("interactions", "unreadable timestamp", False),
        ("interactions", "item_id not in the items table", False),
        ("interactions", "repeated (user_id, item_id) (the latest is kept)", True),
        ("interactions", "the row has more cells than the header", True),
        ("users", "duplicated id", True),
    ],
)
def test_examples_that_may_hold_ids_of_users_are_hidden(table, problem, hidden):
    row = {
        "table": [table],
        "problem": [problem],
        "action": ["dropped"],
        "rows": [1],
        "lines": ["7"],
        "examples": ["x"],
    }
    assert hide_users(pd.DataFrame(row))["examples"].tolist() == [HIDDEN if hidden else "x"]
    assert hide_users(pd.DataFrame(row | {"examples": [""]}))["examples"].tolist() == [""]


def test_the_card_is_json_without_ids_of_users():
    card = describe(interactions(), items(), TABLES, TextOptions(item_template=["{title}"]), 64).to_json()
    text = json.dumps(card, allow_nan=False)
    assert "user-" not in text
    assert card["sizes"]["interactions"] == 5
    groups = [{"label": "1", "count": 0}, {"label": "2", "count": 1}, {"label": "3–5", "count": 1}]
    assert card["users_by_history"] == groups
    assert card["items_by_interactions"][0] == {"label": "0", "count": 1}
    assert card["quality"][0] == {
        "table": "interactions", "problem": "repeated (user_id, item_id) (the latest is kept)", "action": "dropped",
        "rows": 2, "lines": "3, 4", "examples": HIDDEN,
    }  # fmt: skip
    assert card["quality"][1]["examples"] == "<script>alert(1)</script>"
    assert card["accounts"][0]["rows_in"] == 8


def test_one_user_and_one_item():
    one = pd.DataFrame({"user_id": ["user-1"], "item_id": ["a"], "split": ["train"]})
    catalogue = pd.DataFrame({"item_id": ["a"], "pseudo_cold": ["none"]})
    empty = {"summary": SUMMARY.iloc[:0], "quality": QUALITY.iloc[:0], "accounts": ACCOUNTS.iloc[:0]}
    card = describe(one, catalogue, empty, TextOptions(item_template=[]), 64)
    assert (card.sizes.sparsity, card.sizes.gini, card.sizes.largest_share) == (0, 0, 1)
    assert card.users_by_history == card.items_by_interactions == [Group("1", 1)]
    assert (card.split, card.quality, card.accounts) == ({}, [], [])


def test_rows_without_a_time_are_left_out_of_the_times():
    rows = pd.DataFrame({"user_id": list("aaa"), "timestamp": [1.3e9, None, None]})
    times = measure_times(rows)
    assert (times.first, times.last, times.ties, times.months) == ("2011-03-13", "2011-03-13", 0, {"2011-03": 1})
    assert measure_times(rows.iloc[1:]) == Times(present=False)
