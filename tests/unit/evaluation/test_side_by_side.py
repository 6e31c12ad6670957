"""Lists of several models side by side: titles, hits, buckets, and what is refused."""

import re

import pandas as pd
import pytest

from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation.side_by_side import Cell, side_by_side

ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "i2", "i3", "i4"],
        "title": ["One", "Two <b>", "Three", None],
        "bucket": ["head", "tail", "cold", "head"],
    }
)
INTERACTIONS = pd.DataFrame(
    [
        ("u1", "i4", 5, "train"),
        ("u1", "i1", 3, "validation"),
        ("u1", "i2", 9, "test"),
        ("u1", "i3", 9, "cold"),
        ("u2", "i2", 1, "train"),
    ],
    columns=["user_id", "item_id", "timestamp", "split"],
)


def lists_of(ranked, candidates="mixed", domain=None):
    """A table of lists as runs write it: ids are categories; rows stand in any order."""
    rows = [(user, item, rank, candidates) for user, items in ranked.items() for rank, item in enumerate(items, 1)]
    table = pd.DataFrame(rows[::-1], columns=["user_id", "item_id", "rank", "candidates"])
    if domain:
        table["domain"] = pd.Categorical([domain] * len(table))
    return table.astype(dict.fromkeys(("user_id", "item_id", "candidates"), "category"))


LISTS = {
    "popular": lambda: lists_of({"u1": ["i4", "i2"], "u2": ["i1"]}),
    "hybrid": lambda: lists_of({"u1": ["i3", "i2", "i1"], "u2": ["i3"]}),
}


def shown(**options):
    return side_by_side(LISTS, ["u1"], ITEMS, INTERACTIONS, **options)


def test_each_list_is_in_the_order_of_its_ranks_with_hits_and_buckets():
    (user,) = shown().users
    assert user.columns["hybrid"] == [
        Cell("Three", "cold", True),
        Cell("Two <b>", "tail", True),
        Cell("One", "", False),
    ]
    assert user.columns["popular"] == [Cell("i4", "", False), Cell("Two <b>", "tail", True)]
    assert user.hits == {"popular": 1, "hybrid": 2}


def test_the_history_is_what_the_list_stands_on_in_the_order_of_time():
    (user,) = shown().users
    assert user.history == "One; i4"
    many = pd.concat([INTERACTIONS, *([INTERACTIONS.iloc[[0]].assign(timestamp=1)] * 4)], ignore_index=True)
    (user,) = side_by_side(LISTS, ["u1"], ITEMS, many).users
    assert user.history == "6 items, the latest: i4; i4; i4; One; i4"


def test_the_table_has_a_column_for_each_model_and_a_row_for_each_place():
    html = shown(models=["hybrid", "popular"])._repr_html_()
    assert re.findall(r'<th scope="col">(.*?)</th>', html) == ["rank", "hybrid, 2 hits", "popular, 1 hit"]
    rows = re.findall(r"<tr><td>\d</td>(.*)</tr>", html)
    assert rows == [
        '<td class="hit">✓ Three <span class="mark">cold</span></td><td>i4</td>',
        '<td class="hit">✓ Two &lt;b&gt; <span class="mark">tail</span></td>'
        '<td class="hit">✓ Two &lt;b&gt; <span class="mark">tail</span></td>',
        "<td>One</td><td></td>",
    ]


def test_k_cuts_lists_off_and_users_come_in_the_order_asked_for():
    table = side_by_side(LISTS, ["u2", "u1"], ITEMS, INTERACTIONS, k=1)
    assert [user.name for user in table.users] == ["u2", "u1"]
    assert [len(cells) for user in table.users for cells in user.columns.values()] == [1, 1, 1, 1]
    assert repr(table) == "Lists side by side for u2, u1"


def test_items_that_have_no_titles_are_called_by_their_ids():
    (user,) = side_by_side(LISTS, ["u1"], ITEMS.drop(columns="title"), INTERACTIONS).users
    assert [cell.title for cell in user.columns["hybrid"]] == ["i3", "i2", "i1"]


def test_of_several_domains_each_list_stands_alone():
    tables = [lists_of({"u1": [item]}, domain=domain) for item, domain in (("i1", "books"), ("i2", "films"))]
    lists = {"ease": lambda: pd.concat(tables).astype({"domain": "category"})}
    first, second = side_by_side(lists, ["u1"], ITEMS, INTERACTIONS).users
    assert (first.name, first.columns["ease"]) == ("u1, books", [Cell("One", "", False)])
    assert (second.name, second.columns["ease"]) == ("u1, films", [Cell("Two <b>", "tail", True)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": ["hybird"]}, r"No lists of model 'hybird'\. Did you mean 'hybrid'\? Known: popular, hybrid\."),
        ({"models": []}, "0 models and 1 users: choose at least one model"),
        ({"k": 0}, r"k = 0 is out of bounds: 1 to 100 places\."),
        ({"k": 101}, "k = 101 is out of bounds"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(options, words):
    with pytest.raises(ConfigurationError, match=words):
        shown(**options)


def test_too_many_users_are_refused():
    with pytest.raises(ConfigurationError, match=r"2 models and 21 users: .* 1 to 20 users"):
        side_by_side(LISTS, [f"u{n}" for n in range(21)], ITEMS, INTERACTIONS)


@pytest.mark.parametrize(("user", "candidates"), [("u9", "mixed"), ("u1", "cold")])
def test_a_user_who_has_no_list_is_named(user, candidates):
    with pytest.raises(BadInputError, match=f"Model 'popular' has no {candidates} list for user '{user}': choose"):
        side_by_side(LISTS, [user], ITEMS, INTERACTIONS, candidates=candidates)
