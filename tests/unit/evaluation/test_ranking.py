"""Lists as a long table, and back."""

import numpy as np
import pandas as pd
import pytest

from tailor.evaluation.ranking import internal_ids, label, read_tables, stack, to_frame, to_lists

LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])
USERS, ITEMS = pd.Series(["u", "v", "w"], dtype="str"), pd.Series(list("abcd"), dtype="str")


@pytest.fixture
def frame():
    return to_frame((LISTS, np.zeros(LISTS.shape, np.float32)), np.array([2, 0, 1]), USERS, ITEMS)


@pytest.mark.parametrize("ids", ["category", "str"])
def test_lists_survive_the_trip_through_the_table(frame, ids):
    shuffled = frame.sample(frac=1, random_state=0).astype({"user_id": ids, "item_id": ids})
    users, lists = to_lists(shuffled, USERS, ITEMS, 3)
    assert users.tolist() == [0, 1, 2]
    assert lists.tolist() == [LISTS[1].tolist(), LISTS[2].tolist(), LISTS[0].tolist()]


def test_ids_are_held_once_and_a_row_holds_integers(frame):
    many = pd.concat([frame] * 10_000, ignore_index=True)
    bytes_per_row = (many.memory_usage(deep=True).sum() - frame.memory_usage(deep=True).sum()) / len(many)
    assert bytes_per_row < 16
    assert frame["item_id"].astype(str).tolist() == [*"dba", "c", *"abc"]


@pytest.mark.parametrize(
    ("n_users", "n_items", "expected"),
    [(32_766, 32_766, 15), (32_767, 32_766, 17), (32_766, 32_767, 17), (32_767, 32_767, 19)],
)
def test_a_row_of_lists_takes_what_the_docs_say(n_users, n_items, expected):
    """Rank and score 4 bytes each, three labels 1 each, and the codes of both ids: 2 bytes, or 4 of many ids."""
    users, items = (pd.Series(np.arange(n)).astype("str") for n in (n_users, n_items))
    table = to_frame((LISTS, np.zeros(LISTS.shape, np.float32)), np.array([2, 0, 1]), users, items)
    table = label(table, model="ease", candidates="warm", split="test")
    widths = [
        cells.cat.codes.dtype.itemsize if cells.dtype == "category" else cells.dtype.itemsize
        for _, cells in table.items()
    ]
    assert sum(widths) == expected


def test_ids_are_found_whatever_the_order_of_the_categories_and_unknown_ones_are_none():
    cells = pd.Series(pd.Categorical(["b", "z", None, "a"], categories=["z", "b", "a"]))
    assert internal_ids(cells, ITEMS).tolist() == [1, -1, -1, 0]
    assert internal_ids(pd.Series(["b", "z"]), ITEMS).tolist() == [1, -1]


def test_tables_are_stacked_with_the_labels_of_each(frame):
    both = stack([label(frame, model="one", candidates="warm"), label(frame, model="two", candidates="warm")])
    assert both["model"].astype(str).tolist() == ["one"] * 7 + ["two"] * 7
    assert both["item_id"].astype(str).tolist() == frame["item_id"].astype(str).tolist() * 2
    assert [str(dtype) for dtype in both.dtypes] == ["category", "category", "int32", "float32", "category", "category"]


def test_one_table_is_in_memory_at_a_time():
    asked = []

    def read(name):
        asked.append(name)
        return pd.DataFrame({"model": [name]})

    tables = read_tables({"a": lambda: read("a"), "b": lambda: read("b")}, {"c": lambda: read("c")})
    assert asked == []
    assert next(tables)["model"].tolist() == ["a"]
    assert asked == ["a"]
    assert [table["model"].iloc[0] for table in tables] == ["b", "c"]
