"""Warnings of the data card: each comes where its figure says so, and only there."""

import re
from dataclasses import replace

import pytest

from tailor.data.card import Card, ColumnUse, Script, Sizes, Texts, Times
from tailor.data.card_warnings import warn

SIZES = Sizes(
    users=1000, items=500, items_taken=500, interactions=50_000, sparsity=0.9, gini=0.5, largest_item="a",
    largest_share=0.02, median_history=50, short_histories=0.1,
)  # fmt: skip
TEXTS = Texts(
    columns=[ColumnUse("title", 0.0)], reviews=False, empty=0.0, words={"median": 5.0}, tokens=8.5, max_length=64,
    truncated=0.0, scripts=[Script("Latin", 1.0)],
)  # fmt: skip
TIMES = Times(present=True, readable=True, first="2020-01-01", last="2021-01-01", ties=0.1, months={"2020-01": 1})
SPLIT = {"interactions by split": {"train": 35_000, "test": 9_000, "cold": 800}, "items by bucket": {"cold": 50}}
ACCOUNTS = [{"table": "interactions", "rows_in": 100, "skipped": 2, "dropped": 8, "repaired": 0, "kept": 90}]
GOOD = Card(SIZES, [(0, 0), (1, 1)], [], [], TEXTS, TIMES, SPLIT, [], ACCOUNTS)


def said(card, base_model="MiniLM"):
    return warn(card, base_model)


def test_a_good_catalogue_has_no_warnings():
    assert said(GOOD) == []


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("sizes", {"users": 1}, "There is 1 user: .*; add users"),
        ("sizes", {"users": 99}, "There are 99 users: "),
        ("sizes", {"items": 1}, "There is 1 item: .* evaluation.k"),
        ("sizes", {"short_histories": 0.51}, "51% of the users have fewer than five .*; add interactions"),
        ("sizes", {"largest_share": 0.3}, "Item 'a' holds 30% of the interactions: .*; leave it out"),
        ("texts", {"empty": 0.5}, "50% of the items have no text: .*; map more columns"),
        ("texts", {"columns": [ColumnUse("genre", 0.6)]}, "Column 'genre' is empty for 60% .*; fill it"),
        ("texts", {"truncated": 0.2}, "About 20% of the texts are longer than 64 tokens .*; raise lm_finetuning"),
        ("times", {"ties": 0.9}, "90% of the rows share user and timestamp .*; map a finer time"),
        ("times", {"constant": True}, r"All timestamps are the same \(2020-01-01\): .*; map the column"),
        ("times", {"readable": False}, r"are no dates \(seconds since 1970\): .*; divide milliseconds by 1,000"),
    ],
)
def test_each_figure_has_its_sentence(part, changes, words):
    (sentence,) = said(replace(GOOD, **{part: replace(getattr(GOOD, part), **changes)}))
    assert re.search(words, sentence), sentence
    assert sentence.endswith(".")


def test_no_times():
    (sentence,) = said(replace(GOOD, times=Times(present=False)))
    assert sentence.startswith("There are no times: ")
    assert "map a column to 'timestamp' in data_processing.columns.interactions" in sentence


def test_windows_without_rows():
    few = {"interactions by split": {"test": 999, "cold": 1}, "items by bucket": {"cold": 1}}
    assert [sentence[:25] for sentence in said(replace(GOOD, split=few))] == ["There are 999 test rows: s"[:25]]
    nothing_cold = {"interactions by split": {"test": 1000}, "items by bucket": {"cold": 3}}
    (sentence,) = said(replace(GOOD, split=nothing_cold))
    assert sentence.startswith("3 items are cold and 0 rows of them are in test windows")
    assert "data_processing.split.cold_items" in sentence


def test_dropped_rows_are_counted_with_skipped_ones():
    assert said(GOOD) == []  # 10 of 100 are not above a tenth
    accounts = [ACCOUNTS[0] | {"dropped": 9}]
    (sentence,) = said(replace(GOOD, accounts=accounts))
    assert sentence.startswith("11% of the rows of table 'interactions' (11 of 100) were dropped or skipped")


def test_letters_that_the_language_model_may_not_know():
    scripts = [Script("Latin", 0.7), Script("Cyrillic", 0.2), Script("Greek", 0.1)]
    (sentence,) = said(replace(GOOD, texts=replace(TEXTS, scripts=scripts)), base_model="packaged:mini")
    assert sentence.startswith("30% of the letters of the texts are not Latin, and the language model is packaged:mini")


def test_an_empty_column_is_not_told_where_all_texts_are_empty():
    texts = replace(TEXTS, empty=1.0, columns=[ColumnUse("title", 1.0)], scripts=[])
    (sentence,) = said(replace(GOOD, texts=texts))
    assert sentence.startswith("100% of the items have no text")
