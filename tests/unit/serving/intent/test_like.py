"""Which words of a text are a title: those that a phrase, quotes, capitals or the whole text says are."""

import numpy as np
import pytest

from tailor.data.vocabulary import Vocabulary
from tailor.serving.intent import TitleIndex, parse_query

TITLES = ["Heat", "Blue Velvet", "War, The", "It", "Life of Brian", "Das Boot", "Love and War"]
INDEX, VOCABULARY = TitleIndex(TITLES, np.arange(7)), Vocabulary(["War", "Comedy"])


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("similar to heat", ["Heat"]),
        ("I saw Heat last week", ["Heat"]),
        ("beat the heat this summer", []),
        ("in the heat of the desert", []),
        ("'Heat'?", ["Heat"]),
        ("blue velvet", ["Blue Velvet"]),
        ("a dress of blue velvet", ["Blue Velvet"]),
        ("blue velvt", ["Blue Velvet"]),
        ("we watched Blue Velvet and Life of Brian", ["Blue Velvet", "Life of Brian"]),
        ("I like it", []),
        ("war", []),
        ("movies about the war", []),
        ("im Stil von Das Boot", ["Das Boot"]),
        ("看过 Blue Velvet", ["Blue Velvet"]),
        ("films in the vein of Life of Brain", ["Life of Brian"]),
    ],
)
def test_titles_in_texts(query, titles):
    assert [TITLES[item] for item in parse_query(query, VOCABULARY, INDEX).like] == titles
