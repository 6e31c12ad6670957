"""Cells that hold several values, as Python, numpy, parquet and JSON bring them."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.lists import holds_lists, is_list, join_lists, read_list


@pytest.mark.parametrize(
    ("cell", "entries"),
    [
        (["tea", "hot milk"], ["tea", "hot milk"]),
        (np.array(["tea", "hot milk"], dtype=object), ["tea", "hot milk"]),
        (("tea", None, float("nan"), "x"), ["tea", "x"]),
        ([], []),
        ("['tea', 'hot milk']", ["tea", "hot milk"]),
        (" ['tea' 'hot milk'\n 'x'] ", ["tea", "hot milk", "x"]),  # numpy writes no commas
        ("['it\\'s', \"x, y\", None]", ["it's", "x, y"]),
        ('["tea", "caf\\u00e9", null]', ["tea", "café"]),
        ("[28, 12]", [28, 12]),
        ("[28 12]", [28, 12]),
        ("[]", []),
    ],
)
def test_lists_are_read_whoever_wrote_them(cell, entries):
    assert read_list(cell) == entries


@pytest.mark.parametrize(
    "cell", ["tea", "[REC]", "[adult swim] tea", "['tea'] or milk", "['tea'", "[1, two]", "[007 8]", None, 3, np.nan]
)
def test_what_is_no_list_is_left_alone(cell):
    assert read_list(cell) is None


def test_a_list_in_a_cell_is_no_text():
    assert all(is_list(cell) for cell in ([], (), set(), np.array([])))
    assert not any(is_list(cell) for cell in ("[]", None, {}))
    assert holds_lists(pd.Series([None, ["tea"]]))
    assert not holds_lists(pd.Series(["['tea']", None]))
    assert not holds_lists(pd.Series([1.0, 2.0]))


def test_lists_are_written_with_commas_and_titles_stay():
    cells = pd.Series([["tea", "milk"], "['a', 'b']", "[1984]", "[]", None, 2**60 + 1], index=[3, 1, 4, 0, 5, 9])
    written = join_lists(cells)
    assert written.tolist() == ["tea, milk", "a, b", "[1984]", "[]", None, 2**60 + 1]
    assert written.index.tolist() == [3, 1, 4, 0, 5, 9]
    numbers = pd.Series([1.5, 2.5])
    assert join_lists(numbers) is numbers
