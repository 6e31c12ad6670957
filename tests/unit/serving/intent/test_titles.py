"""Titles as people type them."""

import numpy as np
import pytest

from tailor.serving.intent.titles import TitleIndex, title_keys

TITLES = [
    "Matrix, The",
    "Léon",
    "Schindler's List",
    "Seven (Se7en)",
    "Alien: Resurrection",
    "Sabrina",
    "Sabrina",
    "When Harry Met Sally...",
    "Alien",
]
INDEX = TitleIndex(
    TITLES, np.array([5, 4, 3, 2, 9, 1, 8, 7, 6]), [1999, 1994, 1993, 1995, 1997, 1954, 1995, 1989, 1979]
)


def test_keys_of_a_title():
    assert title_keys("Matrix, The") == [("the", "matrix"), ("matrix", "the"), ("matrix",)]


@pytest.mark.parametrize(
    ("key", "item"),
    [
        ("the matrix", 0),
        ("matrix", 0),
        ("leon", 1),
        ("schindlers list", 2),
        ("se7en", 3),
        ("alien resurrection", 4),
        ("alien", 8),
        ("sabrina", 6),
        ("when harry met sally", 7),
        ("sally", None),
    ],
)
def test_exact(key, item):
    assert INDEX.exact(tuple(key.split())) == item


def test_of_one_title_the_year_tells():
    assert INDEX.exact(("sabrina",), 1954) == 5
    assert INDEX.exact(("sabrina",), 2001) is None


@pytest.mark.parametrize(
    ("key", "item"), [("schindler list", 2), ("sabrinna", 6), ("matrx", 0), ("lion", None), ("something else", None)]
)
def test_close(key, item):
    assert INDEX.close(tuple(key.split())) == item


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("alien", [4, 8]),
        ("Ali", [4, 8]),
        ("leon", [1]),
        ("Schindler’s", [2]),
        ("sabrina 1954", [5]),
        ("the matrix", [0]),
        ("matrxi", [0]),
        ("nowhere", []),
    ],
)
def test_search(text, items):
    assert INDEX.search(text, 10) == items


def test_search_ends_after_k():
    assert INDEX.search("alien", 1) == [4]
