"""The page of the data card: what it says, what it draws, and that data stay text."""

from dataclasses import asdict, replace

import pandas as pd
import pytest

from tailor.data.card import Card, Group, Times, VectorUse, describe, long_tail
from tailor.data.config import TextOptions
from tailor.evaluation.card_page import build, figures
from tailor.evaluation.costs import Cost
from tests.unit.data.catalogues import ACCOUNTS, QUALITY, SUMMARY, interactions, items

TABLES = {"summary": SUMMARY, "quality": QUALITY, "accounts": ACCOUNTS}
CURVE = [
    {"share": 0.5, "interactions": 500.0, "model": "ease", "ndcg": 0.125, "n_users": 9.0},
    {"share": 1.0, "interactions": 1000.0, "model": "ease", "ndcg": 0.25, "n_users": 9.0},
]


@pytest.fixture
def card() -> Card:
    rows = interactions().assign(timestamp=[1_293_840_000.0 + s for s in (0, 1, 2, 3, 86_400 * 40)])
    return describe(rows, items(), TABLES, TextOptions(item_template=["{title}", "{genre}"]), 64)


def page(card: Card, **changes: object) -> str:
    rest = {
        "warnings": ["One <i>sentence</i>."],
        "costs": [asdict(Cost("hybrid_cf", "3 factorizations", 12.34, 1.25))],
        "machine": "2 CPU cores",
        "learning_curve": [],
    }
    return build(card.to_json() | rest | changes, "Data card: shop")


def body(html: str) -> str:
    return html.split("<body>")[1]


def test_the_page_says_what_the_card_holds_and_fetches_nothing(card):
    text = body(page(card))
    assert "src=" not in text
    for words in (
        "Data card: shop", "2 users, 4 items, 5 interactions", "From 2011-01-01 to 2011-02-10",
        "12.3", "for 2 CPU cores", "hybrid_cf", "3 factorizations", "Interactions by split", "Latin 100.0%",
        "rows in", "Not measured",
    ):  # fmt: skip
        assert words in text, words
    for plot in ("long_tail", "users", "items"):
        assert f'id="{plot}"' in text, plot
    # 5 of the 2 × 4 cells are taken
    assert "37.500 %" in text


def test_what_comes_from_the_data_stays_text(card):
    text = body(page(card))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert(1)" not in text
    assert "One &lt;i&gt;sentence&lt;/i&gt;." in text
    strange = replace(card, sizes=replace(card.sizes, largest_item="<script>x"))
    assert "&lt;script&gt;x" in body(page(strange))


def test_no_id_of_a_user_is_on_the_page(card):
    assert "user-" not in body(page(card))


def test_no_times_and_no_warnings_are_said_plainly(card):
    text = body(page(replace(card, times=Times(present=False)), warnings=[]))
    assert "No times: no column is mapped to <code>timestamp</code>" in text
    assert "Nothing that the card looks for." in text


def test_times_that_are_no_dates_are_said_to_be_none(card):
    times = Times(present=True, readable=False, first="1e+12", last="2e+12")
    assert "From 1e+12 to 2e+12, which are no dates." in body(page(replace(card, times=times)))


def test_vectors_and_those_that_are_missing_are_said(card):
    uses = [VectorUse("vector_image", 512, 1), VectorUse("vector_sound", 8, 0)]
    text = body(page(replace(card, vectors=uses)))
    assert "Vectors of <code>vector_image</code>: 512 numbers each. 1 of" in text
    assert "Vectors of <code>vector_sound</code>: 8 numbers each. Every item has one." in text
    assert "Vectors of" not in body(page(card))


def test_no_texts_and_nothing_dropped_are_said_plainly(card):
    texts = replace(card.texts, columns=[], empty=1.0, words={}, scripts=[])
    text = body(page(replace(card, texts=texts, quality=[], accounts=[])))
    assert "No item has a text" in text
    assert "Nothing was dropped or repaired." in text


def test_the_learning_curve_is_drawn_where_it_was_measured(card):
    text = body(page(card, learning_curve=CURVE))
    assert "Learning curve: ease on validation" in text
    assert "0.125" in text
    assert "Not measured" not in text


def test_plots_show_the_figures():
    drawn = figures(
        {
            "long_tail": long_tail(pd.Series([3, 1]).to_numpy()),
            "users_by_history": [asdict(Group("1", 7))],
            "items_by_interactions": [asdict(Group("2", 8))],
            "times": {"months": {"2020-01": 4, "2020-02": 0}},
            "learning_curve": CURVE,
        }
    )
    assert list(drawn) == ["long_tail", "users", "items", "months", "learning_curve"]
    assert (list(drawn["long_tail"].data[0].x), list(drawn["long_tail"].data[0].y)) == ([0, 0.5, 1], [0, 0.75, 1])
    assert (list(drawn["users"].data[0].x), list(drawn["users"].data[0].y)) == (["1"], [7])
    assert list(drawn["months"].data[0].y) == [4, 0]
    assert (list(drawn["learning_curve"].data[0].x), list(drawn["learning_curve"].data[0].y)) == (
        [500, 1000], [0.125, 0.25],
    )  # fmt: skip


def test_plots_without_figures_are_left_out():
    empty = {"long_tail": [(0, 0), (1, 1)], "users_by_history": [], "items_by_interactions": [], "learning_curve": []}
    assert list(figures(empty | {"times": {"months": None}})) == ["long_tail", "users", "items"]
